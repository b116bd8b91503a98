"""Hashes of files: those that were published, and those that are recorded where none was."""

from __future__ import annotations

import pathlib
import re

import pooch

from slim_models.writing import whole_file


def checked(file: pathlib.Path, published: str | None, record: pathlib.Path) -> str:
    """Holds a file against its published hash, or else against the recorded one.

    Args:
        file: of any content.
        published: `"md5:..."` or `"sha1:..."`; None if none was.
        record: a file as sha256sum writes it, which need not be there.

    Returns:
        A line that says the hash, and what it was held against.

    Raises:
        ValueError: another hash, or a record that is none.
    """
    algorithm, _, expected = (published or "sha256:").partition(":")
    where = "published"
    if not expected:
        expected, where = _recorded(record).get(file.name, ""), f"recorded in {record}"
    actual = pooch.file_hash(str(file), algorithm)
    if not expected:
        return f"no hash was ever published for it; {algorithm.upper()} {actual}"
    if actual != expected:
        raise ValueError(f"its {algorithm.upper()} is {actual}, but the one {where} is {expected}")
    return f"{algorithm.upper()} {actual}, as {where}"


def record(file: pathlib.Path, record: pathlib.Path) -> bool:
    """Adds a file's SHA-256 to a record; whether it was not there yet."""
    recorded = _recorded(record)
    if file.name in recorded:
        return False
    recorded[file.name] = pooch.file_hash(str(file))
    with whole_file(record) as temporary:
        temporary.write_text("".join(f"{digest}  {name}\n" for name, digest in recorded.items()))
    return True


def _recorded(record: pathlib.Path) -> dict[str, str]:
    """File name -> SHA-256; empty if there is no record."""
    if not record.exists():
        return {}
    matches = [re.fullmatch(r"([0-9a-fA-F]{64}) [ *](.+)", line) for line in record.read_text().splitlines()]
    if not matches or None in matches:
        raise ValueError(f"{record} does not record SHA-256s as 'HASH  FILE'; remove it to begin a new record")
    return {match[2]: match[1].lower() for match in matches if match}
