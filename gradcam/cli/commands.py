"""What the commands of the command line do; each returns its exit code."""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Collection

import numpy as np

import slim_models
from gradcam import authors, comparison, figures, side_by_side
from gradcam.cams import METHODS
from gradcam.chosen import chosen_network, options_of, tell
from gradcam.explainer import Explainer
from gradcam.labels import class_name
from gradcam.listings import layers, networks
from gradcam.maps import COLORMAPS
from gradcam.outputs import OUTPUTS, Writer, rules_for
from gradcam.photographs import expand, read_photograph
from gradcam.reports import Reports
from gradcam.terminal import message
from slim_models import downloads

__all__ = ["compare", "convert", "download", "explain", "layers", "networks"]


def explain(args: argparse.Namespace) -> int:
    """Explains every picture for every class; see `gradcam explain --help`."""
    methods = list(dict.fromkeys(args.method or ["grad_cam"]))
    written = list(dict.fromkeys(args.write or OUTPUTS))
    _check("method", methods, METHODS)
    _check("colormap", [args.colormap], COLORMAPS)
    _check("output", written, OUTPUTS)
    if args.batch < 1:
        raise ValueError(f"--batch must be at least 1, not {args.batch}")
    sources = expand(args.images)
    network, weights = chosen_network(args)
    layers = list(dict.fromkeys(args.layer or [network.default_layer]))
    rules = rules_for(written)
    if rules and (reason := slim_models.refusal(network.logits, [network.images])):
        tell(f"no guided backprop: {reason}")
        rules = []
    options = {"rules": rules, "precision": args.precision, "device": args.device}
    with Explainer(network, weights, layers=layers, **options) as explainer:
        asked = list(dict.fromkeys(explainer.index(target) for target in args.target or []))
        out = pathlib.Path(args.out)
        writer = Writer(out, written, layers, methods, args.colormap, network.name, explainer.labels)
        failures = Reports(explainer, asked, writer, args.fit).write(sources, args.batch)
    if failures and len(sources) == 1:
        raise failures[0][1]
    for source, error in failures:
        print(f"gradcam: {source}: {message(error)}", file=sys.stderr)
    if failures:
        print(f"gradcam: {len(failures)} of {len(sources)} pictures failed", file=sys.stderr)
    if len(failures) < len(sources):
        print(f"the files are in {args.out}")
    return 1 if failures else 0


def _check(kind: str, words: Collection[str], known: Collection[str]) -> None:
    for word in words:
        if word not in known:
            raise KeyError(f"no {kind} {word!r}; the {kind}s are {', '.join(known)}")


def compare(args: argparse.Namespace) -> int:
    """Compares our numbers with a reference's; see `gradcam compare --help`."""
    if args.authors:
        return compare_authors(args)
    result = comparison.compare(
        args.reference,
        args.network,
        args.weights,
        layer=args.layer,
        layout=args.layout,
        tolerance=args.tolerance,
        say=tell,
        **options_of(args),
    )
    print(result)
    print("pass" if result.passed else "FAIL")
    if args.plot:
        figures.save_figure(side_by_side.of_comparison(result), args.plot, dpi=100)
        print(args.plot)
    return 0 if result.passed else 1


def compare_authors(args: argparse.Namespace) -> int:
    """Compares our pictures with those of the paper's authors' code; see `gradcam compare --help`."""
    pictures = authors.read_authors(args.reference)
    image = read_photograph(args.authors).pixels
    network, weights = chosen_network(args, len(next(iter(pictures.values()))))
    layers = [args.layer] if args.layer else None
    with Explainer(network, weights, layers=layers) as explainer:
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


def download(args: argparse.Namespace) -> int:
    """Fetches published weights; see `gradcam download --help`."""
    if args.source and len(args.networks) > 1:
        raise ValueError("--from gives the file of one network, not of several")
    for name in dict.fromkeys(args.networks):
        sources = [downloads.mirrored(name, args.source)] if args.source else None
        downloads.download(name, args.dir, sources=sources, force=args.force, say=print)
    return 0


def convert(args: argparse.Namespace) -> int:
    """Writes a file of weights in another format; see `gradcam convert --help`."""
    weights = slim_models.convert(args.source, args.destination)
    numbers = sum(array.size for array in weights.values())
    print(f"{args.destination}: {len(weights)} arrays, {numbers:,} numbers")
    return 0
