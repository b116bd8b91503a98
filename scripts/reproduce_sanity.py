"""The sanity checks of Adebayo et al. 2018 (arXiv 1810.03292): do maps change if the network forgets?

    python scripts/reproduce_sanity.py
    python scripts/reproduce_sanity.py --network resnet_v1_50_tiny --out out/sanity_resnet.png
    python scripts/reproduce_sanity.py --network vgg16 --images cat_dog.jpg --classes boxer

out/sanity.png: how alike the maps of the trained network and of its randomised ones are, by three measures;
cascading: all layers from the logits down to the one named are random; independent: that one alone. Marks at the
right are the likeness of the trained network's maps of different pictures. out/sanity_maps.png: the maps of the
first picture down the cascade. out/sanity.json: every number; null where a map is blank, as Grad-CAM's may become
(20 of 72 in the cascade of resnet_v1_50_tiny): such pictures are left out of the means.

What it shows (embedded networks, rank correlation, seed 0): guided backprop hardly minds, as Adebayo et al. found: it
has 0.97 with vgg16_tiny random down to conv5_3 and 0.95 with resnet_v1_50_tiny down to block4/unit_1, where backprop
has 0.39 and 0.25, Grad-CAM 0.24 and -0.03 (mean of six seeds: 0.03 and 0.06) and Grad-CAM++ 0.71 and 0.69. Guided
Grad-CAM, unlike in their paper, goes with Grad-CAM: 0.36 and 0.30. Maps of different pictures have 0.13 to 0.47.
"""

from __future__ import annotations

import pathlib

from gradcam.terminal import quiet_tensorflow, run_script

with quiet_tensorflow():
    from gradcam.cli import evaluate


def main(argv: list[str] | None = None) -> pathlib.Path:
    return evaluate.reproduce("sanity", __doc__, "out/sanity.png", argv)


if __name__ == "__main__":
    run_script("reproduce_sanity", main)
