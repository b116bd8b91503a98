"""What is wrong with a command's arguments, as far as it can be told before TensorFlow is there: in an instant.

The functions that say so are those that the commands themselves go through later.
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import slim_models
from gradcam.cli.flags import look_of
from gradcam.cli.network_flags import found_words
from gradcam.cli.words import band_numbers, targets_of
from slim_models.labels import class_index
from slim_models.mistakes import BadValue, MissingFile, UnknownName, check_name
from slim_models.naming import Meant, check_there, meant
from slim_models.network import check_layer, check_precision

if TYPE_CHECKING:
    from gradcam.targets import Target


def check(args: argparse.Namespace) -> None:
    """Raises the mistake that a command would come to, if TensorFlow is not needed to see it.

    Args:
        args: of the command line.
    """
    if args.command in _CHECKS:
        _CHECKS[args.command](args)


def _check_explain(args: argparse.Namespace) -> None:
    from gradcam.cli.clusters import check_cluster
    from gradcam.cli.naming import fields_of
    from gradcam.cli.resuming import check_folder
    from gradcam.cli.writer import OUTPUTS
    from gradcam.methods import methods_named
    from gradcam.pictures import FORMATS

    methods_named(args.method or ())
    look_of(args)
    if args.scale != "own" and len(set(args.target or ())) < 2:
        raise BadValue(f"--scale {args.scale} is of several classes of a picture: give --target at least twice")
    for name in args.write or ():
        check_name("output", name, OUTPUTS)
    check_name("format", args.format, FORMATS)
    for flag, number in (("--batch", args.batch), ("--top", args.top), ("--max-size", args.max_size)):
        if number is not None and number < 1:
            raise BadValue(f"{flag} must be at least 1, not {number}")
    if args.name is not None:
        fields_of(args.name)
    check_cluster(args)
    if args.precision is not None:
        check_precision(args.precision)
    if args.bands is not None:
        band_numbers(args.bands)
    network = _network(args)
    _check_pictures(args.images)
    _check_classes(targets_of(args), network)
    if network.entry is not None:
        for layer in args.layer or ():
            check_layer(network.network, network.entry.endpoints, layer)
    check_folder(pathlib.Path(args.out))


def _network(args: argparse.Namespace) -> Meant:
    found = {**found_words(args), "examples": args.examples}
    return meant(args.network, getattr(args, "weights", None), found, say=lambda line: None)


def _check_pictures(sources: Sequence[str]) -> None:
    """If none of the pictures is there: some others may be explained all the same."""
    from gradcam.pictures import check_source

    missing = []
    for source in sources:
        try:
            check_source(source)
        except (MissingFile, UnknownName) as error:
            missing.append(error)
    if len(sources) == 1 and missing:
        raise missing[0]
    if len(missing) == len(sources):
        raise MissingFile(f"none of the {len(sources)} pictures is there: {'; '.join(map(str, missing))}")


def _check_classes(targets: Sequence[Target], network: Meant) -> None:
    from gradcam.targets import asked

    known = network.classes()
    if known is not None:
        for target in targets:
            asked(target, lambda word: class_index(word, *known, network.network))


def _check_compare(args: argparse.Namespace) -> None:
    from gradcam.comparison import check_layout

    check_layout(args.layout)
    _network(args)
    check_there(args.reference, "no reference")
    if args.authors:
        _check_pictures([args.authors])


def _check_conformance(args: argparse.Namespace) -> None:
    if not (args.maps or args.reference):
        raise BadValue("give MY.npz with maps, or --reference FILE.npz to get what they are to be made of")
    if args.maps:
        check_there(args.maps, "no maps")


def _check_evaluate(args: argparse.Namespace) -> None:
    from gradcam.cli.evaluate import KINDS

    _network(args)
    KINDS[args.kind].check(args)


def _check_layers(args: argparse.Namespace) -> None:
    if args.network not in slim_models.NETWORKS:  # whose weights need not be there
        _network(args)


def _check_serve(args: argparse.Namespace) -> None:
    from gradcam.cli.serving import check_address, check_gradio

    if args.max_upload <= 0:
        raise BadValue(f"--max-upload must be more than 0, not {args.max_upload:g}")
    _network(args)
    check_gradio()
    check_address(args.host, args.port)


def _check_inspect(args: argparse.Namespace) -> None:
    found_words(args)
    if args.network not in slim_models.NETWORKS:
        check_there(args.network)


_CHECKS: dict[str, Callable[[argparse.Namespace], None]] = {
    "explain": _check_explain,
    "compare": _check_compare,
    "conformance": _check_conformance,
    "evaluate": _check_evaluate,
    "layers": _check_layers,
    "inspect": _check_inspect,
    "serve": _check_serve,
}
