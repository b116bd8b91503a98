"""Reproduces Figure 1 of the Grad-CAM paper: two classes of one picture, each explained.

    python scripts/reproduce_figure1.py
    python scripts/reproduce_figure1.py --network vgg16 --resnet resnet_v1_50 \
        --images cat_dog.jpg --classes "tiger cat" boxer

A row a network and class; columns: original, guided backprop, Grad-CAM, guided Grad-CAM and occlusion map; beside the
last network, a VGG16 as in the paper, Grad-CAM of a ResNet. By default a cat and a cup of coffee, seen by
EfficientNet-Lite0, which knows ImageNet, and by the embedded networks.

What it shows: guided backprop hardly depends on the class. EfficientNet-Lite0's Grad-CAM lies on the cat's face and on
the cup; its occlusion map of the cat is in pieces, as no patch hides enough of so large a face. The embedded networks
see 112 pixels and give the cat 1.1 % or less: the ResNet's map is on its brow all the same, that of the VGG16 on brow
and ear. Both find the cup.
"""

from __future__ import annotations

import argparse
import pathlib
from typing import Any

import numpy as np

from gradcam.terminal import quiet_tensorflow, run_script

with quiet_tensorflow():
    from gradcam import figures
    from gradcam.cli import reproduction
    from gradcam.explainer import Explainer
    from gradcam.explanation import Explanation
    from gradcam.perturbation import occlusion_map
    from gradcam.pictures import Photograph, read_photograph
    from slim_models.labels import class_name
    from slim_models.mistakes import BadValue


def main(argv: list[str] | None = None) -> pathlib.Path:
    args = reproduction.parsed(_parser(), argv)
    weights = args.weights or [None] * len(args.network)
    if len(weights) != len(args.network):
        raise BadValue(f"--weights names {len(weights)} files for {len(args.network)} networks: give one for each")
    rows, titles, numbers, made = [], [], [], []
    with reproduction.open_explainer(args.resnet, args.resnet_weights, rules=()) as resnet:
        for number, (name, path) in enumerate(zip(args.network, weights), start=1):
            with reproduction.open_explainer(name, path) as explainer:
                made.append((reproduction.facts(explainer), reproduction.about(explainer)))
                beside = resnet if number == len(args.network) else None
                for row, title, facts in _rows(explainer, beside, args):
                    rows.append(row)
                    titles.append(title)
                    numbers.append(facts)
        made.append((reproduction.facts(resnet), reproduction.about(resnet)))
    facts, sentences = zip(*made)
    figure = reproduction.drawn(args, rows, titles, list(dict.fromkeys(sentences)))
    facts = {"networks": facts[:-1], "resnet": facts[-1], "rows": numbers}
    return figures.write_figure(figure, facts, args.out, say=print)


def _parser() -> argparse.ArgumentParser:
    parser = reproduction.arguments(__doc__, [None, reproduction.VGG], "out/figure1.png")
    reproduction.add_resnet(parser)
    reproduction.add_images(parser, ["sample:cat_and_coffee"], ["Egyptian cat", "espresso"])
    parser.add_argument(
        "--patch", type=int, metavar="PIXELS", help="of the occlusion map (default: a fifth of the height)"
    )
    parser.add_argument("--stride", type=int, metavar="PIXELS", help="between patches (default: height / 28)")
    return parser


def _rows(
    explainer: Explainer, resnet: Explainer | None, args: argparse.Namespace
) -> list[tuple[figures.Panels, str, dict[str, Any]]]:
    """Panels, title and numbers for every picture and class as a network sees them, a ResNet's map beside it."""
    network = explainer.network
    stride = max(1, network.image_size[0] // 28) if args.stride is None else args.stride
    result: list[tuple[figures.Panels, str, dict[str, Any]]] = []
    for source in args.images:
        photograph = read_photograph(source)
        image = photograph.fitted(network.image_size)
        explanation = explainer.explain_classes(image, args.classes)
        other = None
        if resnet is not None:
            classes = reproduction.same_classes(explainer, resnet, args.classes)
            other = resnet.explain_classes(photograph.fitted(resnet.network.image_size), classes)
        sizes = {"patch": args.patch, "stride": stride}
        drops = occlusion_map(explainer.predict, image, explanation.targets, **sizes, progress=True)
        for number, target in enumerate(explanation.targets):
            one, sized = explanation[number], reproduction.sized(photograph)
            row = figures.panels(photograph, one)
            occlusion = figures.Overlay(sized, np.maximum(drops[number], 0), one.says(0), (network.name, "occlusion"))
            title = f"{class_name(target, explainer.labels)}\n{network.name}"
            facts = {"network": network.name, "image": source, "class": class_name(target, explainer.labels)}
            facts |= {"probability": one.probabilities[0, target], "cam": one.cam()[0], "occlusion": drops[number]}
            row |= {"Grad-CAM": _of(network.name, sized, one), "occlusion map": occlusion}
            if other is not None and resnet is not None:
                known = other.probabilities[number, other.targets[number]]
                row["ResNet Grad-CAM"] = _of(resnet.network.name, sized, other[number])
                facts |= {"resnet_probability": known, "resnet_cam": other[number].cam()[0]}
            result.append((list(row.items()), title, facts))
    return result


def _of(network: str, photograph: Photograph, explanation: Explanation) -> figures.Overlay:
    """Grad-CAM of a network, which is on one scale with that of its other classes."""
    return figures.Overlay(photograph, explanation.cam()[0], explanation.says(0), (network, "Grad-CAM"))


if __name__ == "__main__":
    run_script("reproduce_figure1", main)
