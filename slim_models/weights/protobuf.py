"""Protobuf's wire format, as far as walking through a message in a file takes it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple, TypeVar

from slim_models.mistakes import BadValue

_T = TypeVar("_T")


class Field(NamedTuple):
    """A field of a message: for a length-delimited one (wire type 2) `value` is the length."""

    number: int
    wire_type: int
    value: int


def fields(file: BinaryIO, end: int) -> Iterator[Field]:
    """The fields of a message that ends at `end`; the content of a length-delimited one is next in the file."""
    while file.tell() < end:
        key = varint(file)
        number, wire_type = divmod(key, 8)
        if wire_type not in (0, 1, 2, 5) or not number:
            raise BadValue("it is no protobuf message")
        value = varint(file) if wire_type in (0, 2) else {1: 8, 5: 4}[wire_type]
        after = file.tell() + (value if wire_type else 0)
        if after > end:
            raise EOFError("it ends in the middle of a message")
        yield Field(number, wire_type, value)
        file.seek(after)


def varint(file: BinaryIO) -> int:
    """A number in groups of seven bits, the lowest first; the top bit says that another follows."""
    result = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise EOFError("it ends in the middle of a message")
        result |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return result
    raise BadValue("it is no protobuf message")


def few(found: Iterable[_T], most: int = 2**18) -> Iterator[_T]:
    """What is found, as long as it is not more than a checkpoint of networks can have.

    Raises:
        ValueError: it is more.
    """
    for number, one in enumerate(found):
        if number == most:
            raise BadValue(f"it has more than {most:,} parts of a kind")
        yield one


def numbers_in(content: bytes) -> dict[int, int]:
    """The fields of a message that are whole numbers, by number."""
    return {field.number: field.value for field in fields(io.BytesIO(content), len(content)) if field.wire_type == 0}


def messages_in(content: bytes, number: int) -> Iterator[bytes]:
    """What is in the fields of a message with that number: messages, texts, or numbers of four or eight bytes each."""
    file = io.BytesIO(content)
    return (file.read(f.value) for f in fields(file, len(content)) if f.number == number and f.wire_type)
