"""What explains pictures and writes their files, as the flags of `gradcam explain` say."""

from __future__ import annotations

import argparse
import contextlib
import pathlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import slim_models
from gradcam import methods
from gradcam.cli.explain import Reports
from gradcam.cli.flags import look_of
from gradcam.cli.naming import Naming
from gradcam.cli.words import band_numbers, targets_of
from gradcam.cli.writer import CHECK, OUTPUTS, Writer, rules_for
from gradcam.explainer import Explainer
from gradcam.pictures import checked_bands
from gradcam.targets import Asked, Region, asked, title
from slim_models.mistakes import BadValue

Say = Callable[[str], object]


def reports_of(args: argparse.Namespace, network: slim_models.Network, say: Say, found: Sequence[str] = ()) -> Reports:
    """What explains and writes; to be closed.

    Args:
        args: of the command line.
        network: that they mean.
        say: is told what cannot be written, and what methods of many runs say.
        found: what was said of the network when it was opened; files of checks have it.

    Raises:
        KeyError, ValueError: a flag has no meaning for the network.
    """
    named = methods.methods_named(dict.fromkeys(args.method or ["grad_cam"]))
    outputs = args.write or OUTPUTS
    written = [*dict.fromkeys(outputs), *([CHECK] if args.check else [])]
    reading = _reading(network, args.bands)
    layers = list(dict.fromkeys(args.layer or [network.default_layer]))
    options = {**_rules(network, outputs, named, say), "precision": args.precision, "device": args.device, "say": say}
    with contextlib.ExitStack() as stack:
        explainer = stack.enter_context(Explainer(network, layers=layers, **options))
        targets = _targets(args, explainer)
        naming = _naming(args, explainer, layers, list(named))
        made = {**explainer.provenance(), "fit": args.fit, **({"bands": list(reading["bands"])} if reading else {})}
        words = ", ".join(title(target, explainer.labels) for target in targets)
        scale = args.scale if args.scale == "own" else f"{args.scale} by {words}"
        shown = {"format": args.format, "max_size": args.max_size, "scale": scale, **_events(args)}
        about = {"graph": network.graph_fingerprint(), "found": list(found)} if args.check else {}
        writer = Writer(naming, written, look_of(args), made, args.force, args.top, **shown, about=about)
        stack.pop_all()
    return Reports(explainer, targets, writer, args.fit, args.top, args.scale != "own", **reading)


def _targets(args: argparse.Namespace, explainer: Explainer) -> list[Asked]:
    """What is explained; each once.

    Raises:
        KeyError, ValueError: there is no such class, or there are no regions in what the network says.
    """
    network = explainer.network
    found = list(dict.fromkeys(asked(target, explainer.index) for target in targets_of(args)))
    if network.is_segmentation and args.check:
        raise BadValue(f"--check is of classifiers, and {network.name} has classes for every place")
    if not args.region:
        return found
    if not network.is_segmentation:
        raise BadValue(f"--region is of a segmentation, and {network.name} says one thing of the whole picture")
    size = network.logits.shape.as_list()[1:3]
    if None in size:
        raise BadValue(f"--region: {network.name} does not say for how many places it has classes; give --image-size")
    classes = [target for target in found if isinstance(target, int)]
    if len(classes) < len(found):
        raise BadValue("--region is of a class, not of what speaks against one")
    return [Region.of_box(target, args.region, size) for target in classes]


def _events(args: argparse.Namespace) -> dict[str, Any]:
    """Where TensorBoard finds the overlays, if it is to; and as of which step."""
    if not args.tensorboard:
        return {}
    from gradcam.events import Events

    return {"events": Events(args.tensorboard), "step": args.step}


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
    network: slim_models.Network, written: Collection[str], named: Mapping[str, methods.Method], say: Say
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
        say(f"no guided backprop: {reason}")
    rules = [rule for rule in wanted if rule == "backprop" or not reason]
    return {"rules": rules, "layer_rules": list(needed["layer_rules"])}
