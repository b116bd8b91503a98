"""Grad-CAM at several depths of a VGG16 and of a ResNet, as in the paper's appendix.

    python scripts/reproduce_layers.py
    python scripts/reproduce_layers.py --network vgg16 --resnet resnet_v1_101 \
        --images cat_dog.jpg --classes "tiger cat" boxer

A row a network, picture and class; the layers get deeper to the right: the last of each block, unless others are named.
On the embedded networks deeper is better, as in the paper: the first blocks show edges and specks whatever the class,
and only the last two tell the cat from the cup.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradcam.terminal import quiet_tensorflow, run_script

with quiet_tensorflow():
    from gradcam import figures
    from gradcam.cli import reproduction
    from gradcam.explainer import Explainer
    from gradcam.pictures import Photograph, read_photograph

LAYERS = ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3")
RESNET_LAYERS = ("block1", "block2", "block3", "block4")


def main(argv: list[str] | None = None) -> pathlib.Path:
    parser = reproduction.arguments(__doc__, reproduction.VGG, "out/layers.png")
    reproduction.add_resnet(parser)
    reproduction.add_images(parser, ["sample:cat_and_coffee"], ["Egyptian cat", "espresso"])
    for flag, layers in (("--layers", LAYERS), ("--resnet-layers", RESNET_LAYERS)):
        text = f"default: {' '.join(layers)}"
        parser.add_argument(flag, nargs="+", default=list(layers), metavar="NAME", help=text)
    args = parser.parse_args(argv)

    photographs = {source: read_photograph(source) for source in args.images}
    rows, titles, numbers = [], [], []
    with (
        reproduction.open_explainer(args.network, args.weights, layers=args.layers, rules=()) as vgg,
        reproduction.open_explainer(args.resnet, args.resnet_weights, layers=args.resnet_layers, rules=()) as resnet,
    ):
        classes = reproduction.same_classes(vgg, resnet, args.classes)
        for explainer in (vgg, resnet):
            layers = args.layers if explainer is vgg else args.resnet_layers
            for row, title, facts in _rows(explainer, layers, photographs, classes):
                rows.append(row)
                titles.append(title)
                numbers.append(facts)
    columns = max(map(len, rows))
    figure = figures.grid(rows, titles, panel=reproduction.PAGE / columns)
    return figures.write_figure(figure, {"rows": numbers}, args.out, say=print)


def _rows(
    explainer: Explainer, layers: Sequence[str], photographs: dict[str, Photograph], classes: Sequence[int | str]
) -> list[tuple[figures.Panels, str, dict[str, Any]]]:
    """Panels, title and numbers for every picture and class, from one session run of a network."""
    result: list[tuple[figures.Panels, str, dict[str, Any]]] = []
    size = explainer.network.image_size
    images = np.stack([photograph.fitted(size) for photograph in photographs.values() for _ in classes])
    explanations = explainer.explain(images, list(classes) * len(photographs))
    sources = [source for source in photographs for _ in classes]
    for number, (source, target) in enumerate(zip(sources, explanations.targets)):
        explanation = explanations[number]
        cams = {layer: explanation.cam(layer=layer)[0] for layer in layers}
        title = reproduction.row_title(explainer, explanation.logits[0], target)
        row: figures.Panels = [
            (f"{layer}, {cam.shape[0]} x {cam.shape[1]}", reproduction.overlay(photographs[source], cam))
            for layer, cam in cams.items()
        ]
        facts = {
            "network": explainer.network.name,
            "image": source,
            "class": title.rpartition(" (")[0],
            "probability": explanation.probabilities[0, target],
            "cams": cams,
        }
        result.append((row, f"{explainer.network.name}\n{title}", facts))
    return result


if __name__ == "__main__":
    run_script("reproduce_layers", main)
