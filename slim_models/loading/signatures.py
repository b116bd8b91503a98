"""What a file or a Keras model calls its inputs and outputs itself, so that its user can call them that too."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Mapping

_DEFAULT = "serving_default"


@dataclasses.dataclass(frozen=True)
class Signature:
    """The inputs and outputs of one way to run a network.

    Attributes:
        inputs: key -> name of the tensor.
        outputs: likewise.
    """

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


Signatures = Mapping[str, Signature]  # by name; a Keras model has one, without a name


def default(signatures: Signatures) -> list[Signature]:
    """The one that is meant where nobody says which, or else all."""
    return [signatures[_DEFAULT]] if _DEFAULT in signatures else list(signatures.values())


def tensors_of(signatures: Iterable[Signature], kind: str) -> list[str]:
    """The names of their tensors, each once, in order of name; `kind`: `"inputs"` or `"outputs"`."""
    return sorted({tensor for signature in signatures for tensor in getattr(signature, kind).values()})


def words(signatures: Signatures, kind: str) -> dict[str, str]:
    """What may be said for a tensor -> its name.

    Args:
        signatures: a network's.
        kind: `"inputs"` or `"outputs"`.

    Returns:
        Keys, where they mean one tensor or the default signature has them, and `signature/key`.
    """
    found, meant = {}, collections.defaultdict(set)
    for name, signature in signatures.items():
        for key, tensor in getattr(signature, kind).items():
            meant[key].add(tensor)
            if name:
                found[f"{name}/{key}"] = tensor
    keys = {key: tensors.pop() for key, tensors in meant.items() if len(tensors) == 1}
    for signature in default(signatures) if _DEFAULT in signatures else ():
        keys.update(getattr(signature, kind))
    return {**found, **keys}


def called(signatures: Signatures) -> dict[str, str]:
    """Name of a tensor -> what may be said for it: a key rather than `signature/key`, a name rather than a number."""
    said: dict[str, str] = {}
    for kind in ("inputs", "outputs"):
        for word, tensor in sorted(words(signatures, kind).items(), key=lambda pair: _awkward(pair[0])):
            said.setdefault(tensor, word)
    return said


def _awkward(word: str) -> tuple[bool, bool]:
    return "/" in word, word.startswith("output_")


def narrowed(signatures: Signatures, tensors: Mapping[str, str | None]) -> list[Signature]:
    """The signatures that are meant by a user who has named some of their tensors.

    Args:
        signatures: a network's.
        tensors: `"inputs"` and `"outputs"` -> name of the tensor that the user has given; None if none.

    Returns:
        Those that have them; the default where none has.
    """
    having = [
        signature
        for signature in signatures.values()
        if all(name is None or name in getattr(signature, kind).values() for kind, name in tensors.items())
    ]
    usual = default(signatures)
    return usual if not having or signatures.get(_DEFAULT) in having else having
