"""What the commands of the command line do that need TensorFlow; each returns its exit code.

What one of them alone needs is imported when it is called: `explain` does not wait for what compares and evaluates.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

import slim_models
from gradcam import methods
from gradcam.cli.explain import Reports
from gradcam.cli.explaining import explained
from gradcam.cli.flags import band_numbers, look_of, targets_of
from gradcam.cli.naming import Naming, names_of
from gradcam.cli.network_flags import chosen_network, found_in, tell
from gradcam.cli.writer import OUTPUTS, Writer, rules_for
from gradcam.explainer import Explainer
from gradcam.pictures import ARRAY_SUFFIXES, SUFFIXES, checked_bands, expand, name_of, read_photograph, write_json
from gradcam.targets import asked, title
from slim_models.labels import class_name
from slim_models.mistakes import BadValue

__all__ = ["compare", "evaluate", "explain", "inspect", "layers"]


def explain(args: argparse.Namespace) -> int:
    """Explains every picture for every class; see `gradcam explain --help`."""
    named = methods.methods_named(dict.fromkeys(args.method or ["grad_cam"]))
    written = list(dict.fromkeys(args.write or OUTPUTS))
    network = chosen_network(args, source=args.images[0])
    reading = _reading(network, args.bands)
    suffixes = ARRAY_SUFFIXES if network.takes_arrays else SUFFIXES
    sources = expand(args.images, suffixes, recursive=args.recursive, say=tell)
    names = names_of(sources, {source: name_of(source) for source in sources})
    layers = list(dict.fromkeys(args.layer or [network.default_layer]))
    options = {**_rules(network, written, named), "precision": args.precision, "device": args.device, "say": tell}
    with Explainer(network, layers=layers, **options) as explainer:
        targets = list(dict.fromkeys(asked(target, explainer.index) for target in targets_of(args)))
        naming = _naming(args, explainer, layers, list(named))
        naming.check(len(names), len(targets))
        made = {**explainer.provenance(), "fit": args.fit, **({"bands": list(reading["bands"])} if reading else {})}
        words = ", ".join(title(target, explainer.labels) for target in targets)
        scale = args.scale if args.scale == "own" else f"{args.scale} by {words}"
        shown = {"format": args.format, "max_size": args.max_size, "scale": scale}
        writer = Writer(naming, written, look_of(args), made, args.force, args.top, **shown)
        reports = Reports(explainer, targets, writer, args.fit, args.top, args.scale != "own", **reading)
        outcome = explained(reports, names, args.batch, args.skip_existing)
    if outcome.failures and outcome.total == 1:
        raise outcome.failures[0][1]
    return 1 if outcome.failures else 0


def _naming(args: argparse.Namespace, explainer: Explainer, layers: list[str], named: list[str]) -> Naming:
    """What the files are called, of the network that is explained."""
    network = explainer.network
    # The layer that is given of a network that is not ours is its default then, and yet not the usual one.
    usual = "" if args.layer and args.network not in (None, *slim_models.NETWORKS) else network.default_layer
    weights, labels = explainer.fingerprint, explainer.labels
    return Naming(pathlib.Path(args.out), layers, named, network.name, labels, weights, args.fit, usual, args.name)


def _reading(network: slim_models.Network, bands: str | None) -> dict[str, Any]:
    """How arrays are read and shown; nothing where the network takes photographs.

    Raises:
        ValueError: there are no such bands, or the network takes photographs.
    """
    numbers = band_numbers(bands) if bands is not None else ()
    if network.takes_arrays:
        return {"channels": network.channels, "bands": checked_bands(numbers, network.channels)}
    if numbers:
        raise BadValue(f"--bands are of arrays, and {network.name} takes photographs")
    return {}


def _rules(
    network: slim_models.Network, written: Collection[str], named: Mapping[str, methods.Method]
) -> dict[str, list[str]]:
    """The ReLU rules that files and methods need; what is not defined for the network is said, if it can be left out.

    Raises:
        ValueError: a method needs a rule that is not defined for the network's activations.
    """
    needed = methods.needs(named)
    wanted = dict.fromkeys([*needed["rules"], *rules_for(written)])
    reason = slim_models.refusal(network.logits, [network.images])
    if reason and {*needed["rules"], *needed["layer_rules"]} - {"backprop"}:
        raise BadValue(reason)
    if reason and set(wanted) - {"backprop"}:
        tell(f"no guided backprop: {reason}")
    rules = [rule for rule in wanted if rule == "backprop" or not reason]
    return {"rules": rules, "layer_rules": list(needed["layer_rules"])}


def compare(args: argparse.Namespace) -> int:
    """Compares our numbers with a reference's; see `gradcam compare --help`."""
    from gradcam import figures
    from gradcam.comparison import comparing, side_by_side

    if args.authors:
        return compare_authors(args)
    result = comparing.compare(
        args.reference,
        args.network,
        args.weights,
        layer=args.layer,
        layout=args.layout,
        tolerance=args.tolerance,
        say=tell,
        **found_in(args),
    )
    print(result)
    print("pass" if result.passed else "FAIL")
    if args.plot:
        figures.save_figure(side_by_side.of_comparison(result), args.plot, dpi=100)
        print(args.plot)
    return 0 if result.passed else 1


def compare_authors(args: argparse.Namespace) -> int:
    """Compares our pictures with those of the paper's authors' code; see `gradcam compare --help`."""
    from gradcam import figures
    from gradcam.comparison import authors, side_by_side

    pictures = authors.read_authors(args.reference)
    image = read_photograph(args.authors).pixels
    network = chosen_network(args, len(next(iter(pictures.values()))))
    layers = [args.layer] if args.layer else None
    with Explainer(network, layers=layers) as explainer:
        pairs = authors.compare_authors(pictures, image, explainer)
        print(f"{'picture':32s} {'class':30s} {'SSIM':>8s} {'correlation':>12s}")
        for pair in pairs:
            name = class_name(pair.target, explainer.labels)
            print(f"{pair.name:32s} {pair.target:4d} {name:25s} {pair.ssim:8.5f} {pair.correlation:12.6f}")
    plot = args.plot or "out/authors.png"
    original = np.rint(authors.scale(image, network.image_size)).astype(np.uint8)
    figures.save_figure(side_by_side.of_authors(pairs, original), plot, dpi=150)
    print(plot)
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """Judges maps over a data set; see `gradcam evaluate --help`."""
    from gradcam.cli.evaluate import KINDS

    KINDS[args.kind].run(args)
    return 0


def inspect(args: argparse.Namespace) -> int:
    """Tells what a file is and what was found in it; see `gradcam inspect --help`."""
    from gradcam.cli.inspection import as_text

    found = slim_models.inspect(args.network, image_size=args.image_size, **found_in(args))
    print(as_text(found))
    if args.json:
        write_json(args.json, dataclasses.asdict(found))
        print(args.json)
    return 0


def layers(args: argparse.Namespace) -> int:
    """Lists the layers of a network, ours or the user's own; see `gradcam layers --help`."""
    if args.network in slim_models.NETWORKS:
        network = slim_models.build(args.network)
    else:
        # The layers are the same under any.
        options = {**found_in(args), "preprocessing": args.preprocessing or (None if args.prepared else "none")}
        network = slim_models.open_network(args.network, image_size=args.image_size, say=tell, **options)
    width = max(map(len, network.endpoints))
    for name, activations in network.endpoints.items():
        _, height, width_, channels = (size or "?" for size in activations.shape.as_list())
        default = "  (default)" if name == network.default_layer else ""
        print(f"{name:{width}s}  {height} x {width_} x {channels}{default}")
    return 0
