"""What the commands do that need no TensorFlow, or only for what they have found; each returns its exit code."""

from __future__ import annotations

import argparse
import sys
import textwrap

import slim_models
from gradcam.cli.network_flags import tell
from slim_models import downloading
from slim_models.labels import read_labels
from slim_models.mistakes import BadValue, Unreachable

__all__ = ["convert", "download", "networks"]


def download(args: argparse.Namespace) -> int:
    """Fetches published weights; see `gradcam download --help`."""
    if args.source and len(args.networks) > 1:
        raise BadValue("--from gives the file of one network, not of several")
    names = list(dict.fromkeys(args.networks))
    for name in names:
        downloading.check_fetched(name)  # before half a gigabyte of another network's
    failed = 0
    for name in names:
        sources = [downloading.mirrored(name, args.source)] if args.source else None
        try:
            downloading.download(name, args.dir, sources=sources, force=args.force, say=print)
        except Unreachable as error:
            failed += 1
            print(f"gradcam: {error}", file=sys.stderr)
    return 2 if failed == len(names) else int(failed > 0)


def convert(args: argparse.Namespace) -> int:
    """Writes a file of weights in another format; see `gradcam convert --help`."""
    weights = slim_models.convert(args.source, args.destination, averages=args.averages, say=tell)
    numbers = sum(array.size for array in weights.values())
    print(f"{args.destination}: {len(weights)} arrays, {numbers:,} numbers")
    return 0


def networks(args: argparse.Namespace) -> int:
    """Lists the networks: input, layers, classes, weights."""
    for name, entry in slim_models.NETWORKS.items():
        try:
            weights = str(slim_models.find_weights(name))
        except FileNotFoundError:
            weights = f"not here; {(entry.source or f'{entry.file} is to be in ./weights').format(name=name)}"
        layers = entry.endpoints
        # No line ends between a layer and its mark.
        marked = [f"{layer}\N{NO-BREAK SPACE}(default)" if layer == entry.default_layer else layer for layer in layers]
        print(f"{name}")
        print(f"  input    {entry.image_size} x {entry.image_size} RGB")
        first = ", 0 being the background" if entry.num_classes > len(read_labels(entry.labels).names) else ""
        print(f"  classes  {entry.num_classes} ({entry.labels}{first})")
        print(f"  weights  {weights}")
        lines = textwrap.fill(", ".join(marked), 100, initial_indent="  layers   ", subsequent_indent=" " * 11)
        print(lines.replace("\N{NO-BREAK SPACE}", " "))
    return 0
