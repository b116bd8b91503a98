"""The pointing game (Zhang et al. 2016), and with recall as in sec. 4.1 of the Grad-CAM paper.

    python scripts/reproduce_pointing.py
    python scripts/reproduce_pointing.py --data tiny-imagenet-200.zip

A map is right if its maximum lies on the object or at most `--tolerance` pixels from it. With recall, the maps of
the five most probable classes are judged: that of the picture's own class has to point at it, those of other classes
have to be rejected, by a peak below a threshold. Baselines: the picture's centre, and to reject every map. On the
few sample photographs the numbers mean nothing; docs/RESULTS.md has those of 10,000 pictures.
"""

from __future__ import annotations

import pathlib

import dataset_run

from gradcam.evaluation import Pointing, accuracies, recalls
from gradcam.terminal import run_script

METHODS = ["grad_cam", "cam", "grad_cam_plus_plus", "layer_cam", "guided_grad_cam", "guided_backprop", "backprop"]
PUBLISHED = """\
published: COCO with recall, GoogLeNet: Grad-CAM 70.58, c-MWP 60.30 (Selvaraju et al.);
  VOC07 all/difficult, VGG16 (TorchRay): Grad-CAM 86.6/74.0, backprop 76.3/56.9, guided backprop 75.9/53.0,
  centre 69.6/42.4"""


def main(argv: list[str] | None = None) -> pathlib.Path:
    parser = dataset_run.arguments(__doc__, "out/pointing.png", METHODS)
    parser.add_argument(
        "--tolerance",
        type=float,
        default=15,
        metavar="PIXELS",
        help="of a picture whose shorter side has 224; smaller ones in proportion (default: %(default)s)",
    )
    parser.add_argument(
        "--classes",
        type=int,
        default=5,
        metavar="K",
        help="most probable ones, for the recall; 0 leaves it out (default: 5)",
    )
    args = parser.parse_args(argv)
    run = dataset_run.run(
        args,
        lambda methods: Pointing(methods, args.tolerance, args.classes),
        tolerance=args.tolerance,
        classes=args.classes,
    )
    tables = {"pointing game": accuracies(run.rows, run.methods)}
    if args.classes:
        tables["pointing game with recall"] = recalls(run.rows, run.methods)
    remark = f"protocol: tolerance {args.tolerance:g} of 224 pixels; rejection threshold chosen on the other half"
    return dataset_run.write(run, tables, args.out, "%", [remark, PUBLISHED])


if __name__ == "__main__":
    run_script("reproduce_pointing", main)
