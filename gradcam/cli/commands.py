"""What the commands of the command line do that need TensorFlow; each returns its exit code.

What one of them alone needs is imported when it is called: `explain` does not wait for what compares and evaluates.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses

import numpy as np

import slim_models
from gradcam.cli.clusters import Elsewhere, cluster_of
from gradcam.cli.explaining import explained
from gradcam.cli.naming import names_of
from gradcam.cli.network_flags import chosen_network, found_in, tell
from gradcam.cli.reporting import reports_of
from gradcam.explainer import Explainer
from gradcam.pictures import ARRAY_SUFFIXES, SUFFIXES, expand, name_of, read_photograph, write_json
from slim_models.labels import class_name

__all__ = ["compare", "conformance", "evaluate", "explain", "inspect", "layers"]


def explain(args: argparse.Namespace) -> int:
    """Explains every picture for every class; see `gradcam explain --help`."""
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        tell(line)

    with cluster_of(args) as cluster:
        network = chosen_network(args, source=args.images[0], say=say)
        suffixes = ARRAY_SUFFIXES if network.takes_arrays else SUFFIXES
        sources = expand(args.images, suffixes, recursive=args.recursive, say=tell)
        names = names_of(sources, {source: name_of(source) for source in sources})
        with contextlib.closing(reports_of(args, network, tell, said)) as reports:
            reports.writer.naming.check(len(names), len(reports.targets))
            there = None if cluster is None else Elsewhere(cluster, args, reports)
            outcome = explained(reports, names, args.batch, args.skip_existing, there)
    if outcome.failures and outcome.total == 1:
        raise outcome.failures[0][1]
    return 1 if outcome.failures else 0


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


def conformance(args: argparse.Namespace) -> int:
    """Tells which methods maps are; see `gradcam conformance --help`."""
    from gradcam import comparison

    if args.reference:
        print(comparison.write_reference(args.reference))
    if args.maps:
        print(comparison.said(comparison.conformance(args.maps)))
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
    print(as_text(found, _flags(args)))
    if args.json:
        write_json(args.json, dataclasses.asdict(found))
        print(args.json)
    return 0


def _flags(args: argparse.Namespace) -> list[str]:
    """What was said to `inspect` of the network, as it is said to `explain` too."""
    words, ours = list(args.words), [args.network, "--verbose", f"--json={args.json}"]
    if "--json" in words:
        del words[words.index("--json") : words.index("--json") + 2]
    return [word for word in words if word not in ours]


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
