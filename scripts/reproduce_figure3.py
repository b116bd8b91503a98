"""Reproduces Figure 3 of the Grad-CAM paper: counterfactual maps, of what speaks against a class.

    python scripts/reproduce_figure3.py
    python scripts/reproduce_figure3.py --network vgg16 --images cat_dog.jpg --classes boxer "tiger cat"

A row a picture; columns: original, the counterfactual map of each class (eq. 1 with the gradient negated, sec. 3.3:
regions whose removal would raise the class's score), and Grad-CAM of each class to compare.
For EfficientNet-Lite0 what speaks against the cat is the coffee, and what speaks against the espresso the cat's
cheek, at the edge of the picture; the maps of the embedded VGG16 (--network vgg16_tiny) are poorer.
"""

from __future__ import annotations

import pathlib

from gradcam.terminal import quiet_tensorflow, run_script

with quiet_tensorflow():
    from gradcam import figures
    from gradcam.cams import counterfactual, grad_cam
    from gradcam.cli import reproduction
    from gradcam.pictures import read_photograph


def main(argv: list[str] | None = None) -> pathlib.Path:
    parser = reproduction.arguments(__doc__, None, "out/figure3.png")
    reproduction.add_images(parser, ["sample:cat_and_coffee"], ["Egyptian cat", "espresso"])
    args = reproduction.parsed(parser, argv)

    rows, numbers = [], []
    with reproduction.open_explainer(args.network, args.weights, rules=()) as explainer:
        for source in args.images:
            photograph = read_photograph(source)
            sized = reproduction.sized(photograph)
            explanation = explainer.explain_classes(photograph.fitted(explainer.network.image_size), args.classes)
            titles = [
                reproduction.row_title(explainer, explanation.logits[0], target) for target in explanation.targets
            ]
            row: list[tuple[str, figures.Panel]] = [("original", sized.pixels)]
            for name, method in {"counterfactual": counterfactual, "Grad-CAM": grad_cam}.items():
                cams = explanation.cam(method)
                row += [(name, figures.Overlay(sized, cam, title)) for title, cam in zip(titles, cams)]
            rows.append(row)
            for number, target in enumerate(explanation.targets):
                numbers.append(
                    {
                        "image": source,
                        "class": titles[number].rpartition(" (")[0],
                        "probability": explanation.probabilities[number, target],
                        "counterfactual": explanation.cam(counterfactual)[number],
                        "grad_cam": explanation.cam(grad_cam)[number],
                    }
                )
        facts, about = reproduction.facts(explainer), reproduction.about(explainer)
    figure = reproduction.drawn(args, rows, [""] * len(rows), [about])
    return figures.write_figure(figure, {**facts, "rows": numbers}, args.out, say=print)


if __name__ == "__main__":
    run_script("reproduce_figure3", main)
