"""Whether a file that was fetched is the one that was published: its hash, and what an archive may hold."""

from __future__ import annotations

import gzip
import io
import itertools
import pathlib
import re
import shutil
import tarfile

from slim_models.files import read_text, whole_file
from slim_models.mistakes import BadValue

MOST = 2**30  # bytes; VGG19 has little more than half as many
_MOST_MEMBERS, _PIECE = 100, 2**20


def checked(file: pathlib.Path, published: str | None, record: pathlib.Path) -> str:
    """Holds a file against its published hash, or else against the recorded one.

    Args:
        file: of any content.
        published: `"md5:..."`, `"sha1:..."` or `"sha256:..."`, or its first digits; None if none was.
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
    actual = _digest(file, algorithm)
    if not expected:
        return f"no hash was ever published for it; {algorithm.upper()} {actual}"
    if not actual.startswith(expected):
        raise BadValue(f"its {algorithm.upper()} is {actual}, but the one {where} is {expected}")
    return f"{algorithm.upper()} {actual}, as {where}"


def record(file: pathlib.Path, record: pathlib.Path) -> bool:
    """Adds a file's SHA-256 to a record; whether it was not there yet."""
    recorded = _recorded(record)
    if file.name in recorded:
        return False
    recorded[file.name] = _digest(file, "sha256")
    with whole_file(record) as temporary:
        lines = [f"{digest}  {name}\n" for name, digest in recorded.items()]
        temporary.write_text("".join(lines), encoding="utf-8")
    return True


def _digest(file: pathlib.Path, algorithm: str) -> str:
    import pooch

    return pooch.file_hash(str(file), algorithm)


def _recorded(record: pathlib.Path) -> dict[str, str]:
    """File name -> SHA-256; empty if there is no record."""
    if not record.exists():
        return {}
    matches = [re.fullmatch(r"([0-9a-fA-F]{64}) [ *](.+)", line) for line in read_text(record).splitlines()]
    if not matches or None in matches:
        raise BadValue(f"{record} does not record SHA-256s as 'HASH  FILE'; remove it to begin a new record")
    return {match[2]: match[1].lower() for match in matches if match}


def unpacked(archive: pathlib.Path, member: str) -> pathlib.Path:
    """Unpacks the one file of that name from a `.tar.gz`, or the V2 checkpoint of that prefix, beside the archive.

    No path that the archive gives is ever written to, and an archive that has one outside of itself is
    refused altogether. It is read to its end, where gzip's CRC is.

    Returns:
        The file, or the checkpoint's prefix.

    Raises:
        ValueError: such a path; no file of that name, or several; far too many members, or one that is far too large.
        OSError, tarfile.TarError, EOFError, zlib.error, RecursionError: no tar archive, or a damaged one.
    """
    plain = _inflated(archive)
    with _SmallReads(plain) as file, tarfile.open(fileobj=file, mode="r:") as tar:
        entries = list(itertools.islice(tar, _MOST_MEMBERS + 1))
        if len(entries) > _MOST_MEMBERS:
            raise BadValue(f"the archive has more than {_MOST_MEMBERS} members")
        for entry, name in _wanted(entries, member).items():
            content = tar.extractfile(entry)
            assert content is not None  # it is a file
            with content, archive.with_name(name).open("wb") as into:
                shutil.copyfileobj(content, into, _PIECE)
    plain.unlink()
    return archive.with_name(member)


def _inflated(archive: pathlib.Path) -> pathlib.Path:
    """What gzip has packed, whole and as its CRC says; no more than `MOST`."""
    plain = archive.with_name(f"{archive.name}.tar")
    with gzip.open(archive) as packed, plain.open("wb") as file:
        while piece := packed.read(_PIECE):
            file.write(piece)
            if file.tell() > MOST:
                raise BadValue(f"it unpacks to more than {MOST:,} bytes, more than any weights that are fetched here")
    return plain


class _SmallReads(io.FileIO):
    """A file for `tarfile`, which reads a name at once, however long an archive says that it is."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _PIECE:
            raise BadValue(f"the archive has a member whose name takes {size} bytes")
        return super().read(size) or b""


def _wanted(entries: list[tarfile.TarInfo], member: str) -> dict[tarfile.TarInfo, str]:
    """The entries to be unpacked, and the names of their files; errors as of `unpacked`."""
    for entry in entries:
        if entry.name.startswith(("/", "\\")) or ".." in pathlib.PurePosixPath(entry.name).parts:
            raise BadValue(f"the archive has a member outside of it, {entry.name!r}: it is not to be trusted")
        if entry.issparse() or entry.size > MOST:  # holes take no room in an archive
            raise BadValue(f"{entry.name} is {entry.size:,} bytes, more than any weights that are fetched here")
    found = {entry: name for entry in entries if entry.isfile() and (name := _part(entry.name, member))}
    names = sorted(found.values())
    if names != [member] and (f"{member}.index" not in names or len({*names, member}) != len(names) + 1):
        raise BadValue(
            f"the archive holds {len(found)} files {member} or parts of it, not one, nor the parts of "
            f"a checkpoint; it has {[entry.name for entry in entries]}"
        )
    return found


def _part(path: str, member: str) -> str | None:
    """The file's name, if it is the member's or that of a V2 checkpoint's index or data with that prefix."""
    name = pathlib.PurePosixPath(path).name
    return name if re.fullmatch(re.escape(member) + r"(\.index|\.data-\d{5}-of-\d{5})?", name) else None
