"""Faithfulness, as in the Grad-CAM paper: rank correlation of maps with occlusion maps; and other metrics.

    python scripts/reproduce_faithfulness.py
    python scripts/reproduce_faithfulness.py --data tiny-imagenet-200.zip --stride 16
    python scripts/reproduce_faithfulness.py --data tiny-imagenet-200.zip --metric deletion insertion --limit 200

For each picture a grey patch is moved over the input; the drop of the class's logit at each place is the occlusion
map. Both maps are averaged over the cells of `--stride` pixels before Spearman's rank correlation is taken. Baselines:
noise, nearness to the centre and edges. docs/METHODS.md tells of the other metrics. On the few sample photographs the
numbers mean nothing; docs/RESULTS.md has those of 10,000 pictures.
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
