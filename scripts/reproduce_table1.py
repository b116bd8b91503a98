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

import pathlib

from gradcam.terminal import quiet_tensorflow, run_script

with quiet_tensorflow():
    from gradcam.cli import evaluate


def main(argv: list[str] | None = None) -> pathlib.Path:
    return evaluate.reproduce("localization", __doc__, "out/table1.png", argv)


if __name__ == "__main__":
    run_script("reproduce_table1", main)
