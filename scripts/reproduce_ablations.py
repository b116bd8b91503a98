"""Pieces of Grad-CAM left out or exchanged, as in the paper's appendix, in pictures; Table 3 has the numbers.

    python scripts/reproduce_ablations.py
    python scripts/reproduce_ablations.py --network vgg16 --images cat_dog.jpg --classes "tiger cat" boxer

For each class, above: Grad-CAM; without the ReLU of eq. 2; with the gradients' maximum, or the mean of their absolute
values, for channel weights. Below: the gradient passed back by the rule of guided backprop or of the deconvnet
(neither is Grad-CAM, though public scripts compute the first); guided Grad-CAM, and the same with a deconvnet.

What it shows with vgg16_tiny: without the ReLU, where what speaks against the class is blue, it is the cup against the
cat (Table 3's boxes lose a little by it, on pictures that objects fill: docs/RESULTS.md); with maxima or absolute
values the map is warm nearly everywhere and loses the class; the guided and the deconvnet's gradient find the cup, but
of the cat little more than its cheek and the coffee, or its brow.
"""

from __future__ import annotations

import pathlib

from gradcam.terminal import quiet_tensorflow, run_script

with quiet_tensorflow():
    from gradcam import figures, maps
    from gradcam.cli import reproduction
    from gradcam.methods import methods_named, needs
    from gradcam.pictures import read_photograph

ABOVE = ["grad_cam", "without_relu", "max_pooled", "absolute_gradients"]
BELOW = ["guided_gradient", "deconvnet_gradient"]
PRODUCTS = {"guided Grad-CAM": "guided", "deconvnet Grad-CAM": "deconvnet"}


def main(argv: list[str] | None = None) -> pathlib.Path:
    parser = reproduction.arguments(__doc__, reproduction.VGG, "out/ablations.png")
    reproduction.add_images(parser, ["sample:cat_and_coffee"], ["Egyptian cat", "espresso"])
    args = reproduction.parsed(parser, argv)

    methods = methods_named([*ABOVE, *BELOW])
    rows, titles, numbers = [], [], []
    with reproduction.open_explainer(
        args.network, args.weights, **{**needs(methods), "rules": PRODUCTS.values()}
    ) as explainer:
        for source in args.images:
            photograph = read_photograph(source)
            explanations = explainer.explain_classes(photograph.fitted(explainer.network.image_size), args.classes)
            for number, target in enumerate(explanations.targets):
                explanation = explanations[number]
                said, sized = explanation.says(0), reproduction.sized(photograph)
                cams = {name: method.make(explanation)[0] for name, method in methods.items()}
                panels: list[tuple[str, figures.Panel]] = []
                for name, method in methods.items():
                    signed = method.signed is not None
                    panels.append(
                        (method.title, figures.Overlay(sized, method.shown(explanation)[0], said, name, signed))
                    )
                for title, rule in PRODUCTS.items():
                    product = maps.guided_grad_cam(explanation.saliency[rule], explanation.heatmap())
                    panels.append((title, figures.Saliency(sized, product[0], said)))
                rows += [panels[: len(ABOVE)], panels[len(ABOVE) :]]
                title = reproduction.row_title(explainer, explanation.logits[0], target)
                titles += [title, title]
                probability = explanation.probabilities[0, target]
                numbers.append({"image": source, "class": title, "probability": probability, "cams": cams})
        facts, about = reproduction.facts(explainer), reproduction.about(explainer)
    figure = reproduction.drawn(args, rows, titles, [about])
    return figures.write_figure(figure, {**facts, "rows": numbers}, args.out, say=print)


if __name__ == "__main__":
    run_script("reproduce_ablations", main)
