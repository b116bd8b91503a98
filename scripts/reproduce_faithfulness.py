"""Faithfulness, as in sec. 5.2 of the Grad-CAM paper: rank correlation of maps with occlusion maps.

    python scripts/reproduce_faithfulness.py
    python scripts/reproduce_faithfulness.py --data tiny-imagenet-200.zip --stride 16

For each picture a grey patch is moved over the input; the drop of the class's logit at each place is the occlusion
map. Both maps are averaged over the cells of `--stride` pixels before Spearman's rank correlation is taken. Baseline:
nearness to the centre. On the few sample photographs the numbers mean nothing; docs/RESULTS.md has those of 10,000
pictures.
"""

from __future__ import annotations

import pathlib

import dataset_run

from gradcam.evaluation import Faithfulness, correlations
from gradcam.terminal import run_script
from slim_models.mistakes import BadValue

METHODS = [
    "grad_cam",
    "cam",
    "grad_cam_plus_plus",
    "hires_cam",
    "layer_cam",
    "guided_grad_cam",
    "guided_backprop",
    "deconvnet",
    "backprop",
]
PUBLISHED = """\
published for VOC07 val, VGG-16: Grad-CAM .254, guided Grad-CAM .261, guided backprop .168, c-MWP .220, CAM .208
  (an independent reproduction by KTH found only about .05)"""


def main(argv: list[str] | None = None) -> pathlib.Path:
    parser = dataset_run.arguments(__doc__, "out/faithfulness.png", METHODS)
    parser.add_argument(
        "--patch", type=int, metavar="PIXELS", help="of the network's input (default: a fifth of its height)"
    )
    parser.add_argument("--stride", type=int, metavar="PIXELS", help="between patches (default: height / 14)")
    args = parser.parse_args(argv)
    for flag, value in (("--patch", args.patch), ("--stride", args.stride)):
        if value is not None and value < 1:
            raise BadValue(f"{flag} must be at least 1, not {value}")
    run = dataset_run.run(
        args,
        lambda methods: Faithfulness(methods, args.patch, args.stride),
        needs_boxes=False,
        patch=args.patch,
        stride=args.stride,
    )
    tables = {"rank correlation with occlusion": correlations(run.rows, run.methods)}
    patch, stride = (
        f"height / {part}" if value is None else value for value, part in ((args.patch, 5), (args.stride, 14))
    )
    remark = f"protocol: logits; patch {patch}, stride {stride}, grey; class: the picture's own"
    return dataset_run.write(run, tables, args.out, "mean", [remark, PUBLISHED], digits=3)


if __name__ == "__main__":
    run_script("reproduce_faithfulness", main)
