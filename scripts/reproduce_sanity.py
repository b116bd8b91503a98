"""The sanity checks of Adebayo et al. 2018 (arXiv 1810.03292): do maps change if the network forgets?

    python scripts/reproduce_sanity.py
    python scripts/reproduce_sanity.py --network resnet_v1_50_tiny --out out/sanity_resnet.png
    python scripts/reproduce_sanity.py --network vgg16 --images cat_dog.jpg --classes boxer

out/sanity.png: how alike the maps of the trained network and of its randomised ones are, by three measures;
cascading: all layers from the logits down to the one named are random; independent: that one alone. Lines are means
over the pictures, bands go from the least to the most alike; grey is the likeness of the trained network's maps of
different pictures. out/sanity_maps.png: the maps of the first picture down the cascade. out/sanity.json: every number;
null where a map is blank, as Grad-CAM's may become (9 of 76 in the cascade): such pictures are left out of the means.

What it shows (EfficientNet-Lite0, rank correlation, seed 0): guided backprop hardly minds, as Adebayo et al. found: it
has 0.97 with all random down to block_14, where backprop has 0.62, Grad-CAM -0.04 and Grad-CAM++ 0.57. Guided
Grad-CAM, unlike in their paper, goes with Grad-CAM: 0.42. Maps of different pictures have 0.21 (backprop) to 0.69;
those of the deconvnet 1.00: its rule looks at no activation, so that of a network without max pooling it gives the same
grid for every picture. A block alone changes little where a shortcut leads past it, which makes the curves of
`independent` jump.
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
