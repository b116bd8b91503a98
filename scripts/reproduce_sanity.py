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

import argparse
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import reproduction

from gradcam import figures, maps
from gradcam.evaluation import KINDS, charts, parameter_layers, sanity
from gradcam.explainer import Explainer
from gradcam.methods import MAP_METHODS, map_methods, needs
from gradcam.pictures import Photograph, read_photograph
from gradcam.terminal import run_script
from slim_models.labels import class_name
from slim_models.mistakes import BadValue

IMAGES = ("sample:chelsea", "sample:coffee", "sample:grace_hopper", "sample:rocket")
METHODS = (
    "grad_cam",
    "grad_cam_plus_plus",
    "layer_cam",
    "backprop",
    "deconvnet",
    "guided_backprop",
    "guided_grad_cam",
)
DEPTHS = 6  # of the cascade, that sanity_maps.png has a column for


def main(argv: list[str] | None = None) -> pathlib.Path:
    args = _parser().parse_args(argv)
    methods = map_methods(args.methods)
    photographs = [read_photograph(source) for source in args.images]
    network = reproduction.open_network(args.network, args.weights)
    weights = network.values.arrays()
    if weights is None:
        raise BadValue(f"{args.network} has no weights by name, which are what is randomized: give a network of ours")
    with Explainer(network, **needs(methods)) as explainer:
        images = np.stack([photograph.fitted(explainer.network.image_size) for photograph in photographs])
        trained = explainer.explain(images, _one_or_all(args.classes))
        shown = {"trained": sanity.heatmaps(trained, methods)}
        rows = []
        for kind in KINDS:
            watch = shown.__setitem__ if kind == "cascading" else None
            rows += sanity.randomization_test(
                explainer,
                weights,
                images,
                trained.targets,
                methods,
                kind=kind,
                seed=args.seed,
                progress=True,
                watch=watch,
            )
        rows += sanity.unrelated(shown["trained"])
        classes = [class_name(target, explainer.labels) for target in trained.targets]
        layers = list(parameter_layers(explainer.network.weight_shapes()))
    numbers = {
        "network": args.network,
        "seed": args.seed,
        "images": args.images,
        "classes": classes,
        "probabilities": trained.probabilities[np.arange(len(images)), trained.targets],
        "layers": layers,
        "rows": rows,
    }
    titles = {name: method.title for name, method in methods.items()}
    pictures = "1 picture" if len(images) == 1 else f"mean of {len(images)} pictures"
    figure = charts.similarity_curves(rows, titles, f"Sanity checks of {args.network}, {pictures} (less blank maps)")
    reproduction.write(figure, numbers, args.out)
    path = args.out.with_name(f"{args.out.stem}_maps{args.out.suffix}")
    title = f"{classes[0]}, {args.network}: trained, and random from the logits down to a layer"
    figures.save_figure(_map_figure(photographs[0], shown, titles, title), path)
    print(path)
    return args.out


def _parser() -> argparse.ArgumentParser:
    parser = reproduction.arguments(__doc__, reproduction.VGG, "out/sanity.png")
    reproduction.add_images(parser, IMAGES, None)  # one class for all pictures, or one each
    parser.add_argument(
        "--methods",
        nargs="+",
        default=list(METHODS),
        choices=list(MAP_METHODS),
        metavar="METHOD",
        help=f"of {', '.join(MAP_METHODS)} (default: {' '.join(METHODS)})",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random weights (default: %(default)s)")
    return parser


def _one_or_all(classes: Sequence[str] | None) -> str | Sequence[str] | None:
    return classes[0] if classes is not None and len(classes) == 1 else classes


def _map_figure(
    photograph: Photograph, shown: Mapping[str, sanity.Maps], titles: Mapping[str, str], title: str
) -> figures.Figure:
    """The maps of a photograph: a row a method, a column for the trained network and each of some depths."""
    names = list(shown)
    depths = [names[0], *(names[i] for i in np.unique(np.linspace(1, len(names) - 1, DEPTHS).round().astype(int)))]
    photograph = photograph.shrunk(500)
    rows = []
    for method in titles:
        heatmaps = [photograph.place(shown[depth][method][0]) for depth in depths]
        pictures = [photograph.pixels, *(maps.colorize(heatmap, "viridis") for heatmap in heatmaps)]
        headings = ["", *([""] * len(depths) if rows else depths)]
        rows.append(list(zip(headings, pictures)))
    return figures.grid(rows, [name.replace(" ", "\n") for name in titles.values()], title, panel=1.0)


if __name__ == "__main__":
    run_script("reproduce_sanity", main)
