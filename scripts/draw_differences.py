"""Draws what makes a picture one class rather than another: a tiger cat rather than a tabby.

    python scripts/draw_differences.py
    python scripts/draw_differences.py --network vgg16 --images cat_dog.jpg --classes boxer "bull mastiff"

A row a picture; columns: original, Grad-CAM of each of the two classes, and Grad-CAM of each less the other, whose
direction in the output is a difference. Alike classes rest on the same parts of a picture, which the first two maps
show twice; what is left in the others is what the network tells them by.
"""

from __future__ import annotations

import pathlib

from gradcam.terminal import quiet_tensorflow, run_script
from slim_models.mistakes import BadValue

with quiet_tensorflow():
    from gradcam import figures
    from gradcam.cli import reproduction
    from gradcam.pictures import read_photograph
    from gradcam.targets import Difference, asked, title


def main(argv: list[str] | None = None) -> pathlib.Path:
    parser = reproduction.arguments(__doc__, None, "out/differences.png")
    reproduction.add_images(parser, ["sample:chelsea", "sample:cat_and_coffee"], ["tiger cat", "tabby"])
    args = parser.parse_args(argv)
    if len(args.classes) != 2:
        raise BadValue(f"--classes must be two, one that is told from the other, not {len(args.classes)}")
    one, other = args.classes

    rows, numbers = [], []
    with reproduction.open_explainer(args.network, args.weights, rules=()) as explainer:
        targets = [one, other, Difference(one, other), Difference(other, one)]
        titles = [title(asked(target, explainer.index), explainer.labels) for target in targets]
        for source in args.images:
            photograph = read_photograph(source)
            explanation = explainer.explain_classes(photograph.fitted(explainer.network.image_size), targets)
            shown = [
                *(reproduction.row_title(explainer, explanation.logits[0], int(t)) for t in explanation.targets[:2]),
                *(text.replace(" rather than ", "\nrather than ") for text in titles[2:]),
            ]
            row = [("original", photograph.shrunk(figures.LONGEST).pixels)]
            row += [
                (text, figures.Overlay(photograph.shrunk(figures.LONGEST), cam))
                for text, cam in zip(shown, explanation.cam(), strict=True)
            ]
            rows.append(row)
            pairs = zip(titles, explanation.cam(), strict=True)
            numbers += [{"image": source, "target": text, "grad_cam": cam} for text, cam in pairs]
    figure = figures.grid(rows, [""] * len(rows), panel=reproduction.PAGE / len(rows[0]))
    return figures.write_figure(figure, {"network": explainer.network.name, "rows": numbers}, args.out, say=print)


if __name__ == "__main__":
    run_script("draw_differences", main)
