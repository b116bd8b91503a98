"""`gradcam evaluate sanity`: maps of a network that is made to forget, layer by layer, as a figure and as numbers."""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcam import figures, maps
from gradcam.cli import flags, network_flags
from gradcam.evaluation import KINDS, heatmaps, parameter_layers, randomization_test, similarity_curves, unrelated
from gradcam.evaluation.datasets import check_data, read_examples
from gradcam.methods import REGISTRY, methods_named, needs
from gradcam.pictures import Photograph, check_source, read_photograph
from slim_models.labels import class_name
from slim_models.mistakes import BadValue

if TYPE_CHECKING:
    from gradcam.explainer import Explainer
    from gradcam.methods import Method

IMAGES = ("sample:chelsea", "sample:coffee", "sample:grace_hopper", "sample:rocket")
METHODS = (
    *("grad_cam", "grad_cam_plus_plus", "layer_cam", "backprop"),
    *("deconvnet", "guided_backprop", "guided_grad_cam"),
)
DEPTHS = 6  # of the cascade, that the figure of maps has a column for


class Sanity:
    """The sanity checks of Adebayo et al. 2018."""

    help = "do maps change if the network forgets (Adebayo et al. 2018)"
    description = "How alike the maps of a trained network and of its randomised ones are, by three measures."
    network = None  # the default one

    def add_flags(self, parser: argparse.ArgumentParser, out: str, network: str | None) -> None:
        """Network, pictures and methods."""
        flags.add_run_flags(parser, network, out)
        parser.add_argument(
            "--images", nargs="+", metavar="IMAGE", help=f"files or samples (default: {' '.join(IMAGES)})"
        )
        text = "by index, WordNet id or name (default: the predicted ones)"
        parser.add_argument("--classes", nargs="+", metavar="CLASS", help=text)
        parser.add_argument("--data", metavar="DATA", help="instead of --images: as of gradcam evaluate localization")
        parser.add_argument("--limit", type=int, default=4, metavar="N", help="pictures of DATA (default: %(default)s)")
        parser.add_argument(
            "--methods",
            nargs="+",
            default=list(METHODS),
            choices=list(REGISTRY),
            metavar="METHOD",
            help=f"of {', '.join(REGISTRY)} (default: {' '.join(METHODS)})",
        )
        parser.add_argument("--seed", type=int, default=0, help="of the random weights (default: %(default)s)")

    def check(self, args: argparse.Namespace) -> None:
        """Raises what is wrong with the flags and can be told without the network."""
        if args.data:
            if args.images or args.classes:
                raise BadValue("--data gives pictures and their classes: it goes without --images and --classes")
            if args.limit < 1:
                raise BadValue(f"--limit must be at least 1, not {args.limit}")
            check_data(args.data)
        for source in args.images or ():
            check_source(source)

    def run(self, args: argparse.Namespace) -> pathlib.Path:
        """Randomises the network and writes curves, maps and JSON."""
        from gradcam.explainer import Explainer

        self.check(args)
        methods = methods_named(args.methods)
        photographs, targets = _pictures(args)
        network = network_flags.network_of(args)
        if (weights := network.values.arrays()) is None:
            raise BadValue(f"{network.name} has no weights by name, which are what is randomized: give one of ours")
        with Explainer(network, **needs(methods)) as explainer:
            images = np.stack([photograph.fitted(explainer.network.image_size) for photograph in photographs])
            trained = explainer.explain(images, targets)
            shown = {"trained": heatmaps(trained, methods)}
            rows = _rows(explainer, weights, images, trained.targets, methods, args.seed, shown)
            made = explainer.provenance()
        classes = [class_name(target, network.labels) for target in trained.targets]
        numbers = {
            "network": network.name,
            "weights": made["weights"],
            "seed": args.seed,
            "images": [photograph.name for photograph in photographs] if args.data else args.images or list(IMAGES),
            "classes": classes,
            "probabilities": trained.probabilities[np.arange(len(images)), trained.targets],
            "layers": list(parameter_layers(network.weight_shapes())),
            "rows": rows,
        }
        titles = {name: method.title for name, method in methods.items()}
        about = figures.about(made, [network.default_layer])
        heading = f"Sanity checks of {network.name}: likeness to the trained network's maps"
        figures.write_figure(similarity_curves(rows, titles, heading, about), numbers, args.out, say=print)
        title = f"{classes[0]} ({trained.says(0)}): maps of the trained network, and random from the logits down"
        _save_maps(_map_figure(photographs[0], shown, titles, title, about), args.out)
        return args.out


def _save_maps(figure: figures.Figure, out: pathlib.Path) -> None:
    """The figure of the maps, beside that of the curves; prints where."""
    path = out.with_name(f"{out.stem}_maps{out.suffix}")
    figures.save_figure(figure, path)
    print(path)


def _pictures(args: argparse.Namespace) -> tuple[list[Photograph], Any]:
    """The photographs, and the classes as `Explainer.explain` takes them."""
    if not args.data:
        classes = args.classes[0] if args.classes and len(args.classes) == 1 else args.classes
        return [read_photograph(source) for source in args.images or IMAGES], classes
    examples = read_examples(args.data)[: args.limit]
    photographs = [Photograph(example.name, example.read()) for example in examples]
    return photographs, [example.target for example in examples]


def _rows(
    explainer: Explainer,
    weights: Mapping[str, np.ndarray],
    images: np.ndarray,
    targets: np.ndarray,
    methods: Mapping[str, Method],
    seed: int,
    shown: dict[str, Any],
) -> list[dict[str, Any]]:
    """How alike maps are in every kind of randomisation; `shown` gets the maps down the cascade."""
    rows = []
    for kind in KINDS:
        watch = shown.__setitem__ if kind == "cascading" else None
        rows += randomization_test(
            explainer, weights, images, targets, methods, kind=kind, seed=seed, progress=True, watch=watch
        )
    return rows + unrelated(shown["trained"])


def _map_figure(
    photograph: Photograph,
    shown: Mapping[str, Mapping[str, np.ndarray]],
    titles: Mapping[str, str],
    title: str,
    about: str,
) -> figures.Figure:
    """The maps of a photograph beside it: a row a method, a column for the trained network and each of some depths."""
    names = list(shown)
    depths = [names[0], *(names[i] for i in np.unique(np.linspace(1, len(names) - 1, DEPTHS).round().astype(int)))]
    photograph = photograph.shrunk(500)
    rows: list[figures.Panels] = []
    for method in titles:
        panels = [figures.Overlay(photograph, shown[depth][method][0]) for depth in depths]
        rows.append(list(zip([""] * len(depths) if rows else depths, panels)))
    names = [name.replace(" ", "\n") for name in titles.values()]
    look = maps.LOOK._replace(opacity=1.0)  # the maps alone: the picture is there once
    beside = ("the picture", photograph.pixels)
    return figures.grid(rows, names, title, panel=0.95, look=look, remarks=[about], beside=beside)
