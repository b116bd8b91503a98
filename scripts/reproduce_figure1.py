"""Reproduces Figure 1 of the Grad-CAM paper: two classes of one picture, each explained.

    python scripts/reproduce_figure1.py
    python scripts/reproduce_figure1.py --network vgg16 --image cat_dog.jpg --classes "tiger cat" boxer

A row a class; columns: original, guided backprop, Grad-CAM, guided Grad-CAM. By default a cat and a
cup of coffee seen by the embedded ResNet.
"""

from __future__ import annotations

import argparse
import pathlib

from gradcam.terminal import quiet_tensorflow, run_script

with quiet_tensorflow():
    import slim_models
    from gradcam import figures
    from gradcam.explainer import Explainer
    from gradcam.labels import class_name
    from gradcam.photographs import read_photograph


def main(argv: list[str] | None = None) -> pathlib.Path:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="resnet_v1_50_tiny", help="default: %(default)s")
    parser.add_argument("--weights", help="default: the network's file in weights/")
    parser.add_argument("--image", default="sample:cat_and_coffee", help="a file or a sample (default: %(default)s)")
    parser.add_argument("--classes", nargs="+", default=["tabby", "espresso"], help="default: %(default)s")
    parser.add_argument("--out", type=pathlib.Path, default="out/figure1.png", help="default: %(default)s")
    args = parser.parse_args(argv)

    network = slim_models.build(args.network)
    photograph = read_photograph(args.image)
    with Explainer(network, args.weights) as explainer:
        explanation = explainer.explain_classes(photograph.fitted(network.image_size), args.classes)
        names = [class_name(target, explainer.labels) for target in explanation.targets]
    rows = [list(figures.panels(photograph, explanation[number]).items()) for number in range(len(names))]
    probabilities = explanation.probabilities[range(len(names)), explanation.targets]
    titles = [f"{name} ({probability:.1%})" for name, probability in zip(names, probabilities)]
    figures.save_figure(figures.grid(rows, titles), args.out)
    print(args.out)
    return args.out


if __name__ == "__main__":
    run_script("reproduce_figure1", main)
