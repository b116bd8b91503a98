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

from gradcam.terminal import quiet_tensorflow, run_script

with quiet_tensorflow():
    from gradcam.cli import evaluate


def main(argv: list[str] | None = None) -> pathlib.Path:
    return evaluate.reproduce("pointing", __doc__, "out/pointing.png", argv)


if __name__ == "__main__":
    run_script("reproduce_pointing", main)
