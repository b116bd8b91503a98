"""What `gradcam inspect` prints: an inspection as a screen of text."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slim_models import FoundTensor, Inspection

_WIDTH, _INDENT = 110, 15
_STAYS = "\N{NO-BREAK SPACE}"  # in what is not to be wrapped
_MOST = {"inputs": 6, "outputs": 6, "layers": 12, "labels": 5, "training": 6}


def as_text(found: Inspection, flags: Sequence[str] = ()) -> str:
    """An inspection in less than 60 lines.

    Args:
        found: the inspection.
        flags: what was said of the network, which belongs to the command that explains it.
    """
    return "\n".join(line for name, texts in _parts(found, flags) for line in _lines(name, texts))


def _parts(found: Inspection, flags: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Name and paragraphs of each part that there is something to say of."""
    said = dict(found.evidence)
    yield "path", [found.path]
    versions = "; ".join(f"{name} {version}" for name, version in found.versions.items())
    yield "format", [f"{found.format}{f' ({versions})' if versions else ''}"]
    if "weights" in said:
        yield "weights", [said.pop("weights")]
    if found.size or found.parameters:
        parameters = [f"{found.parameters:,} parameters"] if found.parameters else []
        yield "size", [", ".join([f"{found.size:,} bytes"] * bool(found.size) + parameters)]
    yield from _tensors(found, said)
    if found.num_classes:
        yield "head", [f"{found.head}{_how(said.pop('head', ''))}"]
        yield "classes", [_classes(found, said.pop("labels", ""))]
    if found.preprocessing or "preprocessing" in said:
        how = said.pop("preprocessing", "as given").removeprefix(f"{found.preprocessing} ")
        yield "preprocessing", [f"{found.preprocessing} {how if how.startswith('(') else f'({how})'}"]
    said.pop("layer", None)
    yield "layers", _some("layers", _layers(found.layers), last=True)
    if found.layers:
        yield "guided", [f"not defined: {found.guided}" if found.guided else "guided backprop is defined"]
    inference = [said.pop("training")] if "training" in said else []
    yield "training", _some("training", [*inference, *found.training, *_switches(said)])
    yield "besides", [f"{key}: {text}" for key, text in said.items()]
    yield from _verdict(found, flags)


def _tensors(found: Inspection, said: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """What goes in and comes out, each with how the chosen one was found."""
    for name, tensors, key, role in (
        ("inputs", found.inputs, "images", "the pictures"),
        ("outputs", found.outputs, "logits", "the logits"),
    ):
        how = said.pop(key, "")
        lines = _some(name, [_tensor(tensor, role) for tensor in tensors])
        if how and lines:
            lines[0] += f", {how[how.rfind('(found') :].strip('()')}" if "(found" in how else f": {how}"
        yield name, lines or [how] * bool(how)
    size = said.pop("image size", "")
    if found.image_size:
        yield "image size", [size or "{} x {}".format(*found.image_size)]


def _tensor(found: FoundTensor, role: str) -> str:
    shape = (
        "of unknown shape"
        if found.shape is None
        else f"[{', '.join('?' if n is None else str(n) for n in found.shape)}]"
    )
    return f"{found.name}  {found.dtype} {shape}{f'  <- {role}' if found.chosen else ''}"


def _layers(layers: Sequence[FoundTensor]) -> list[str]:
    """Names and sizes, in columns."""
    width = min(max((len(layer.name) for layer in layers), default=0), 70)
    sizes = [" x ".join("?" if size is None else str(size) for size in (layer.shape or ())[1:]) for layer in layers]
    marks = ["  <- the default" if layer.chosen else "" for layer in layers]
    lines = [f"{layer.name:{width}s}  {size}{mark}" for layer, size, mark in zip(layers, sizes, marks)]
    return [line.replace(" ", _STAYS) for line in lines]


def _some(name: str, lines: Sequence[str], last: bool = False) -> list[str]:
    """The first lines, or the last, and how many there are besides."""
    most = _MOST[name]
    if len(lines) <= most:
        return list(lines)
    more = f"and {len(lines) - most} more"
    return [f"{more} before these", *lines[-most:]] if last else [*lines[:most], more]


def _how(text: str) -> str:
    """How something was found, without what was found."""
    return f" {text[text.index('(') :]}" if "(" in text else ""


def _classes(found: Inspection, how: str) -> str:
    """How many there are, the first names, and where these are from."""
    names = ", ".join(_some("labels", [name.split(", ")[0] for name in found.labels or ()])) or "without names"
    source, bracket, why = how.partition(" (")
    how = f"{source}, {why.removesuffix(')')}" if bracket else source
    return f"{found.num_classes}: {names}{f' ({how})' if how else ''}"


def _switches(said: dict[str, str]) -> list[str]:
    """What is fed that a network is not being trained: `keep_prob: 1.0 (guessed by its name)`."""
    numbers = [key for key, text in said.items() if text.split(" (")[0] in ("True", "False", "0", "0.0", "1.0")]
    return [f"{key} is fed {said.pop(key)}" for key in numbers]


def _verdict(found: Inspection, flags: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Whether it can be explained, and what to do if not."""
    if found.problem is None:
        command = f"gradcam explain PICTURE --network {shlex.join([found.path, *flags])}"
        yield "verdict", ["can be explained:", command.replace(" ", _STAYS)]
        return
    sentences = [part.strip() for part in found.problem.split("; ")]
    if found.flags:
        yield "verdict", [f"to be told by hand: {' or '.join(found.flags)}", *sentences]
    else:
        yield "verdict", ["cannot be explained as it is:", *sentences]


def _lines(name: str, texts: Sequence[str]) -> Iterator[str]:
    wrapper = textwrap.TextWrapper(_WIDTH, break_long_words=False, break_on_hyphens=False)
    wrapper.subsequent_indent = " " * (_INDENT + 2)
    for number, text in enumerate(texts):
        wrapper.initial_indent = f"{'' if number else name:{_INDENT}s}"
        yield from (line.replace(_STAYS, " ") for line in wrapper.wrap(text))
