"""Grad-CAM at several depths of two networks, as in the paper's appendix.

    python scripts/reproduce_layers.py
    python scripts/reproduce_layers.py --network vgg16 --resnet resnet_v1_101 \
        --images cat_dog.jpg --classes "tiger cat" boxer

A row a network, picture and class; the layers get deeper to the right: the last of each spatial size, unless others are
named. By default EfficientNet-Lite0, which knows ImageNet, and the embedded ResNet.
Deeper is better, as in the paper: the first layers show edges and specks whatever the class, or all of the picture, or
nothing (a channel has one weight for all places, and early on it is an edge or a colour that is everywhere), and only
the last tell the cat from the cup.
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
    from slim_models.labels import class_name


def main(argv: list[str] | None = None) -> pathlib.Path:
    parser = reproduction.arguments(__doc__, None, "out/layers.png")
    reproduction.add_resnet(parser)
    reproduction.add_images(parser, ["sample:cat_and_coffee"], ["Egyptian cat", "espresso"])
    for flag in ("--layers", "--resnet-layers"):
        parser.add_argument(flag, nargs="+", metavar="NAME", help="default: the last of each spatial size")
    args = reproduction.parsed(parser, argv)

    photographs = {source: read_photograph(source) for source in args.images}
    networks = [reproduction.open_network(args.network, args.weights)]
    networks += [reproduction.open_network(args.resnet, args.resnet_weights)]
    layers = [
        given or reproduction.last_of_each_size(network)
        for given, network in zip((args.layers, args.resnet_layers), networks)
    ]
    rows, titles, numbers, about = [], [], [], []
    with (
        Explainer(networks[0], layers=layers[0], rules=()) as first,
        Explainer(networks[1], layers=layers[1], rules=()) as second,
    ):
        classes = reproduction.same_classes(first, second, args.classes)
        for explainer, names in zip((first, second), layers):
            about.append(figures.about(explainer.provenance()))
            for row, title, facts in _rows(explainer, names, photographs, classes):
                rows.append(row)
                titles.append(title)
                numbers.append(facts)
    figure = reproduction.drawn(args, rows, titles, list(dict.fromkeys(about)))
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
        said, sized, name = explanation.says(0), reproduction.sized(photographs[source]), explainer.network.name
        row: figures.Panels = [
            (f"{layer}, {cam.shape[0]} x {cam.shape[1]}", figures.Overlay(sized, cam, said, (name, layer)))
            for layer, cam in cams.items()
        ]
        facts = {
            "network": name,
            "image": source,
            "class": class_name(target, explainer.labels),
            "probability": explanation.probabilities[0, target],
            "cams": cams,
        }
        result.append((row, f"{name}\n{class_name(target, explainer.labels)}", facts))
    return result


if __name__ == "__main__":
    run_script("reproduce_layers", main)
