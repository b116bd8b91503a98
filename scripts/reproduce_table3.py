"""Reproduces Table 3 of the Grad-CAM paper's appendix: localisation error with pieces of Grad-CAM left out.

    python scripts/reproduce_table3.py
    python scripts/reproduce_table3.py --network vgg16_tiny --data tiny-imagenet-200.zip

The ReLU of eq. 2 left out; the gradients' maximum, or the mean of their absolute values, in place of their mean; the
gradient passed back through the ReLUs by the rule of guided backprop or of the deconvnet. The head of a ResNet has no
ReLU and its gradient is the same everywhere, so that there only the ReLU of eq. 2 and the sign of the gradients
matter: the default is a VGG16. On the few sample photographs the numbers mean nothing; docs/RESULTS.md has those of
10,000 pictures. There it comes out as in the paper, the deconvnet's gradient much worse than Grad-CAM, the guided one
a little better, and the ReLU's absence worse, though by less than in the paper.
"""

from __future__ import annotations

import pathlib

from gradcam.terminal import quiet_tensorflow, run_script

with quiet_tensorflow():
    from gradcam.cli import evaluate


def main(argv: list[str] | None = None) -> pathlib.Path:
    return evaluate.reproduce("ablations", __doc__, "out/table3.png", argv)


if __name__ == "__main__":
    run_script("reproduce_table3", main)
