"""Reproduces Table 1 of the Grad-CAM paper: classification and weakly supervised localisation error.

    python scripts/reproduce_table1.py
    python scripts/reproduce_table1.py --data tiny-imagenet-200.zip
    python scripts/reproduce_table1.py --network vgg16 --data ILSVRC --out out/table1_vgg16.png

A picture is right if its class is among the one or five most probable and the box made of that class's map has
IoU >= 0.5 with a true box. Beside the methods stand two baselines that look at nothing: the whole picture, and a
centred box of half its area. By default it is run on the sample photographs, too few to say anything: the numbers for
10,000 pictures are in docs/RESULTS.md. A run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import pathlib

import dataset_run

from gradcam.boxes import SEGMENTS
from gradcam.evaluation import RESIZINGS, BoxProtocol, Localization, classification_errors, localization_errors
from gradcam.terminal import run_script

METHODS = [
    "grad_cam",
    "cam",
    "grad_cam_plus_plus",
    "xgrad_cam",
    "hires_cam",
    "layer_cam",
    "guided_grad_cam",
    "guided_backprop",
    "backprop",
]
# ILSVRC-15 val, per cent, top-1 / top-5: Selvaraju et al., table 1, and a reproduction of it.
PUBLISHED = """\
published for ILSVRC-15 val, 224 pixels, 1000 classes; not comparable with other data (localisation, top-1 / top-5):
  Grad-CAM: VGG-16 56.51 / 46.41, GoogLeNet 60.09 / 49.34, AlexNet 68.3 / 56.6;   VGG-16 CAM 57.20 / 45.14
  VGG-16 Grad-CAM, independent reproduction (KTH): 55.82 / 44.82;   classification, VGG-16: 30.38 / 10.89"""


def main(argv: list[str] | None = None) -> pathlib.Path:
    parser = add_protocol(dataset_run.arguments(__doc__, "out/table1.png", METHODS))
    args = parser.parse_args(argv)
    protocol = BoxProtocol(args.threshold, args.segment, args.resize)
    run = dataset_run.run(args, lambda methods: Localization(methods, protocol), boxes=dataclasses.asdict(protocol))
    tables = {
        "classification error": {run.network: classification_errors(run.rows)},
        "localisation error": localization_errors(run.rows, run.methods),
    }
    return dataset_run.write(run, tables, args.out, "%", [f"protocol: {protocol}", PUBLISHED])


def add_protocol(parser):
    """The flags of how a map becomes a box."""
    parser.add_argument("--threshold", type=float, default=0.15, help="share of the maximum (default: %(default)s)")
    parser.add_argument(
        "--segment", default="largest", help=f"the segment boxed: {', '.join(SEGMENTS)} (default: %(default)s)"
    )
    parser.add_argument(
        "--resize", default="picture", help=f"the size maps are cut at: {', '.join(RESIZINGS)} (default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    run_script("reproduce_table1", main)
