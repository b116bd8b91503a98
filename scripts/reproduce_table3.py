"""Reproduces Table 3 of the Grad-CAM paper's appendix: localisation error with pieces of Grad-CAM left out.

    python scripts/reproduce_table3.py
    python scripts/reproduce_table3.py --network vgg16_tiny --data tiny-imagenet-200.zip

The ReLU of eq. 2 left out; the gradients' maximum, or the mean of their absolute values, in place of their mean; the
gradient passed back through the ReLUs by the rule of guided backprop or of the deconvnet. The head of a ResNet has no
ReLU and its gradient is the same everywhere, so that there only the ReLU of eq. 2 and the sign of the gradients
matter: the default is a VGG16. On the few sample photographs the numbers mean nothing; docs/RESULTS.md has those of
10,000 pictures.
"""

from __future__ import annotations

import dataclasses
import pathlib

import dataset_run
import reproduction
from reproduce_table1 import add_protocol

from gradcam.evaluation import BoxProtocol, Localization, localization_errors
from gradcam.terminal import run_script

METHODS = ["grad_cam", "without_relu", "max_pooled", "absolute_gradients", "guided_gradient", "deconvnet_gradient"]
PUBLISHED = """\
published for ILSVRC, VGG-16, top-1 localisation error, by another protocol than that of Table 1:
  Grad-CAM 59.65   guided gradient 59.14   deconvnet gradient 83.95"""


def main(argv: list[str] | None = None) -> pathlib.Path:
    parser = add_protocol(dataset_run.arguments(__doc__, "out/table3.png", METHODS))
    parser.set_defaults(network=reproduction.VGG)
    args = parser.parse_args(argv)
    protocol = BoxProtocol(args.threshold, args.segment, args.resize)
    run = dataset_run.run(args, lambda methods: Localization(methods, protocol), boxes=dataclasses.asdict(protocol))
    tables = {"localisation error": localization_errors(run.rows, run.methods)}
    return dataset_run.write(run, tables, args.out, "%", [f"protocol: {protocol}", PUBLISHED])


if __name__ == "__main__":
    run_script("reproduce_table3", main)
