"""Reproduces Figure 1 of the Grad-CAM paper: two classes of one picture, each explained.

    python scripts/reproduce_figure1.py
    python scripts/reproduce_figure1.py --network vgg16 --resnet resnet_v1_50 \
        --images cat_dog.jpg --classes "tiger cat" boxer

A row a class; columns: original, guided backprop, Grad-CAM, guided Grad-CAM and occlusion map of a VGG16,
Grad-CAM of a ResNet. By default a cat and a cup of coffee seen by the embedded networks.
"""

from __future__ import annotations

import pathlib

import numpy as np
import reproduction
from reproduction import open_explainer, row_title

from gradcam import figures
from gradcam.occlusion import occlusion_map
from gradcam.photographs import Photograph, read_photograph
from gradcam.terminal import run_script


def main(argv: list[str] | None = None) -> pathlib.Path:
    parser = reproduction.arguments(__doc__, reproduction.VGG, "out/figure1.png")
    reproduction.add_resnet(parser)
    reproduction.add_images(parser, ["sample:cat_and_coffee"], ["Egyptian cat", "espresso"])
    parser.add_argument(
        "--patch", type=int, metavar="PIXELS", help="of the occlusion map (default: a fifth of the height)"
    )
    parser.add_argument("--stride", type=int, metavar="PIXELS", help="between patches (default: height / 28)")
    args = parser.parse_args(argv)

    rows, titles, numbers = [], [], []
    with (
        open_explainer(args.network, args.weights) as vgg,
        open_explainer(args.resnet, args.resnet_weights, rules=()) as resnet,
    ):
        stride = args.stride or max(1, vgg.network.image_size[0] // 28)
        for source in args.images:
            photograph = read_photograph(source)
            image = photograph.fitted(vgg.network.image_size)
            explanation = vgg.explain_classes(image, args.classes)
            seen_by_resnet = resnet.explain_classes(photograph.fitted(resnet.network.image_size), args.classes)
            for number, target in enumerate(explanation.targets):
                row = figures.panels(photograph, explanation[number])
                drops = occlusion_map(vgg.predict, image, target, patch=args.patch, stride=stride, progress=True)
                row["occlusion map"] = _overlay(photograph, np.maximum(drops, 0))
                row["ResNet Grad-CAM"] = _overlay(photograph, seen_by_resnet[number].cam()[0])
                rows.append(list(row.items()))
                by_vgg = row_title(vgg, explanation.logits[number], target)
                by_resnet = row_title(resnet, seen_by_resnet.logits[number], target)
                titles.append(f"{by_vgg}\nResNet {by_resnet.rpartition('(')[2].rstrip(')')}")
                numbers.append(
                    {
                        "image": source,
                        "class": by_vgg.rpartition(" (")[0],
                        "probability": explanation.probabilities[number, target],
                        "resnet_probability": seen_by_resnet.probabilities[number, target],
                        "cam": explanation[number].cam()[0],
                        "occlusion": drops,
                        "resnet_cam": seen_by_resnet[number].cam()[0],
                    }
                )
    networks = {"network": vgg.network.name, "resnet": resnet.network.name}
    return reproduction.write(figures.grid(rows, titles), {**networks, "rows": numbers}, args.out)


def _overlay(photograph: Photograph, cam: np.ndarray) -> np.ndarray:
    """A map over the photograph, small enough for a panel."""
    shrunk = photograph.shrunk(1000)
    return shrunk.overlay(shrunk.heatmap(cam))


if __name__ == "__main__":
    run_script("reproduce_figure1", main)
