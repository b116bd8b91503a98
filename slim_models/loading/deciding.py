"""Which preprocessing a network gets: what the user says, what the graph says itself, or what trials say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slim_models.builders import GREY_PREPROCESSINGS, PREPROCESSINGS, Preprocessing, channels_of, example_for
from slim_models.loading.assembly import Plan
from slim_models.loading.evidence import by_examples, recognised
from slim_models.loading.examples import Examples
from slim_models.loading.originals import Original
from slim_models.loading.passes import Say
from slim_models.loading.structure import as_preprocessing, told, usual
from slim_models.loading.tensors import text_of
from slim_models.mistakes import BadValue
from slim_models.network import Network


def choices_for(found: Plan, given: Any) -> Sequence[str]:
    """The preprocessings that there are for such pictures.

    Raises:
        ValueError: the one that is given is for others.
    """
    channels = found.layout.channels
    choices = tuple(PREPROCESSINGS) if channels == 3 else GREY_PREPROCESSINGS
    count = None if given is None else channels_of(given)
    if count not in (None, channels):
        numbers = {3: "three numbers"}.get(count, f"{count} numbers")
        taken = {1: "grey pictures of one", 3: "RGB pictures of three"}.get(channels, f"pictures of {channels}")
        raise BadValue(
            f"preprocessing {given!r} has {numbers} a pixel, and {found.images} takes {taken}; "
            f"for these there are {', '.join(choices)}"
        )
    return choices


def _arrays(found: Plan, prepared: bool, given: Any) -> str:
    """What a network that takes arrays is said to take."""
    _, height, width, channels = found.shape
    tensor = text_of(found.part.inferred.get_tensor_by_name(found.images))
    why = "given: the pictures are prepared" if prepared else "found: its shape and its first convolution"
    taken = "taken as they are" if given in (None, "none") else "preprocessed as given"
    shape = f"[N, {height}, {width}, {channels}]"
    return f"channels: {channels} of {tensor} ({why}); pictures are arrays {shape} of any numbers, {taken}"


def known(
    original: Original, found: Plan, given: Any, choices: Sequence[str], prepared: bool, say: Say
) -> str | Preprocessing | None:
    """The preprocessing that is given, or that need not be tried; None if it has to be.

    Args:
        original: the network as it was found.
        found: what is to be imported of it.
        given: what the user says; None nothing.
        choices: of `choices_for`.
        prepared: whether the pictures need none.
        say: is told what was found.

    Raises:
        ValueError: it cannot be tried either.
    """
    if found.takes_arrays:
        say(_arrays(found, prepared, given))
        return given or "none"
    if given is not None:
        return given
    if found.decoding is not None:
        return as_preprocessing(found.decoding, say)
    return _by_structure(original, found, choices, say)


def _by_structure(original: Original, found: Plan, choices: Sequence[str], say: Say) -> str | None:
    lines: list[str] = []
    chosen = told(found.part, found.images, found.logits, _fed(found), lines.append)
    if chosen in choices and (chosen == "bgr" or not found.integers):
        say(lines[0])
        return chosen
    if found.integers:
        say("preprocessing: none (found: the graph takes integers)")
        return "none"
    if original.values.session is not None:  # trying would leave its operations in the graph
        raise BadValue(
            "what is done with pixels before the graph cannot be told, as nothing is tried in a live session: give "
            f"preprocessing (--preprocessing), one of {', '.join(choices)}, or numbers such as {example_for(choices)}"
        )
    return None


def tried(network: Network, found: Plan, theirs: Examples, choices: Sequence[str], say: Say) -> str:
    """The preprocessing by what a network recognises: the user's pictures, or ours.

    Args:
        network: without preprocessing.
        found: what was imported.
        theirs: the user's pictures.
        choices: of `choices_for`.
        say: is told what was found, and how well.

    Raises:
        ValueError: nothing can be told, or several are too close to call.
    """
    if not theirs.known:
        return recognised(network, theirs.labels, say, choices, usual(found.part), theirs.unknown)
    if found.one_output and found.head == "linear":
        raise BadValue("examples have classes, and the network says a number: give preprocessing")
    return by_examples(network, theirs.known, theirs.labels, say, choices, usual(found.part))


def _fed(found: Plan) -> list[int | None]:
    """The shape of what the graph takes: of its own tensor, and where that says nothing of the plan."""
    planned = found.layout.fed(*found.shape[:3])
    own = found.part.inferred.get_tensor_by_name(found.images).shape
    return [mine or other for mine, other in zip(own.as_list() if own.ndims == len(planned) else planned, planned)]
