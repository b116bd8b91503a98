"""The commands that list: networks, and the layers of one."""

from __future__ import annotations

import argparse
import textwrap

import slim_models
from gradcam.chosen import options_of, tell
from gradcam.labels import read_labels


def networks(args: argparse.Namespace) -> int:
    """Lists the networks: input, layers, classes, weights."""
    for name, entry in slim_models.NETWORKS.items():
        try:
            weights = str(slim_models.find_weights(name))
        except FileNotFoundError:
            weights = f"not here; gradcam download {name}"
        layers = slim_models.build(name).endpoints
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


def layers(args: argparse.Namespace) -> int:
    """Lists the layers of a network, ours or the user's own; see `gradcam layers --help`."""
    if args.network in slim_models.NETWORKS:
        network = slim_models.build(args.network)
    else:
        options = {**options_of(args), "preprocessing": args.preprocessing or "none"}  # the layers are the same
        network, _ = slim_models.network_named(args.network, None, args.image_size, say=tell, **options)
    width = max(map(len, network.endpoints))
    for name, activations in network.endpoints.items():
        _, height, width_, channels = (size or "?" for size in activations.shape.as_list())
        default = "  (default)" if name == network.default_layer else ""
        print(f"{name:{width}s}  {height} x {width_} x {channels}{default}")
    return 0
