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

from gradcam.terminal import quiet_tensorflow, run_script

with quiet_tensorflow():
    from gradcam.cli import evaluate


def main(argv: list[str] | None = None) -> pathlib.Path:
    return evaluate.reproduce("faithfulness", __doc__, "out/faithfulness.png", argv)


if __name__ == "__main__":
    run_script("reproduce_faithfulness", main)
