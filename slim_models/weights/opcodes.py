"""Pickles walked through before they are unpickled: what costs more than the file has to say is refused."""

from __future__ import annotations

import pickletools
from collections.abc import Iterable
from typing import Any, NamedTuple

from slim_models.mistakes import BadValue

_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
_GETS = ("GET", "BINGET", "LONG_BINGET")
# What can be a key of a dictionary, and then is looked at as a whole, however often a part of it is in it.
_HASHED = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "FROZENSET", "REDUCE", "NEWOBJ", "NEWOBJ_EX", "BUILD", "OBJ", "INST")
_MOST, _DEEPEST = 2**20, 100
_MOST_OPCODES = 10**6  # each takes as long as a kilobyte of an array, and may be one byte
_MARK = None


class _Nested(NamedTuple):
    """An object: of how many it consists, each counted as often as it is in it, and how deep they are nested."""

    members: int = 1
    depth: int = 1


def check_opcodes(opcodes: Iterable[tuple[Any, Any, Any]]) -> None:
    """Whether the unpickler can be given a pickle.

    Args:
        opcodes: of `pickletools.genops`.

    Raises:
        ValueError: it has too many parts; objects are numbered that it cannot have, for which the unpickler would make
            room; or one consists of so many others, all the same, or nested so deep, that a dictionary could not take
            it as a key.
    """
    stack: list[_Nested | None] = []
    memo: dict[int, _Nested] = {}
    for number, (opcode, argument, _) in enumerate(opcodes):
        if number > _MOST_OPCODES:
            raise BadValue(f"its pickle has more than {_MOST_OPCODES:,} parts, where arrays have a few thousand")
        name = opcode.name
        if name in _PUTS and (argument or 0) > number:
            raise BadValue("its pickle numbers more objects than it holds")
        if name in _PUTS or name == "MEMOIZE":
            memo[len(memo) if name == "MEMOIZE" else argument] = (stack[-1] if stack else None) or _Nested()
        elif name in _GETS:
            stack.append(memo.get(argument, _Nested()))
        elif name == "DUP":
            stack += stack[-1:]
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "POP":
            del stack[-1:]
        else:
            taken = _taken(stack, opcode.stack_before)
            stack += [_made(taken) if name in _HASHED else _Nested()] * len(opcode.stack_after)


def _taken(stack: list[_Nested | None], before: list[Any]) -> list[_Nested]:
    """Takes off the stack what an operation asks for: all down to the last mark, and what it wants below that."""
    taken: list[_Nested] = []
    wanted = len(before)
    if pickletools.markobject in before:
        while stack and (top := stack.pop()) is not _MARK:
            taken.append(top)
        wanted = before.index(pickletools.markobject)
    for _ in range(min(wanted, len(stack))):
        taken.append(stack.pop() or _Nested())
    return taken


def _made(parts: list[_Nested]) -> _Nested:
    made = _Nested(1 + sum(part.members for part in parts), 1 + max((part.depth for part in parts), default=0))
    if made.members > _MOST or made.depth > _DEEPEST:
        raise BadValue(f"its pickle nests objects so that one consists of more than {_MOST:,}, or {_DEEPEST} deep")
    return made
