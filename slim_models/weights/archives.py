"""One file out of an archive that is not to be trusted."""

from __future__ import annotations

import pathlib
import re
import shutil
import tarfile

MOST = 2**30  # bytes; VGG19 has little more than half as many


def unpacked(archive: pathlib.Path, member: str) -> pathlib.Path:
    """Unpacks the one file of that name from a tar archive, or the V2 checkpoint of that prefix, beside the archive.

    No path that the archive gives is ever written to, and an archive that has one outside of itself is
    refused altogether.

    Returns:
        The file, or the checkpoint's prefix.

    Raises:
        ValueError: such a path; no file of that name, or several; one that is far too large.
        tarfile.TarError, EOFError, zlib.error: no tar archive, or only the first part of one.
    """
    with tarfile.open(archive) as tar:
        entries = tar.getmembers()
        for entry in entries:
            if entry.name.startswith(("/", "\\")) or ".." in pathlib.PurePosixPath(entry.name).parts:
                raise ValueError(f"the archive has a member outside of it, {entry.name!r}: it is not to be trusted")
        found = {entry: name for entry in entries if entry.isfile() and (name := _part(entry.name, member))}
        names = sorted(found.values())
        if names != [member] and (f"{member}.index" not in names or len({*names, member}) != len(names) + 1):
            raise ValueError(
                f"the archive holds {len(found)} files {member} or parts of it, not one, nor the parts of "
                f"a checkpoint; it has {[entry.name for entry in entries]}"
            )
        for entry, name in found.items():
            if entry.size > MOST:
                raise ValueError(f"{name} is {entry.size:,} bytes, more than any weights that are fetched here")
            content = tar.extractfile(entry)
            assert content is not None  # it is a file
            with content, archive.with_name(name).open("wb") as file:
                shutil.copyfileobj(content, file)
    return archive.with_name(member)


def _part(path: str, member: str) -> str | None:
    """The file's name, if it is the member's or that of a V2 checkpoint's index or data with that prefix."""
    name = pathlib.PurePosixPath(path).name
    return name if re.fullmatch(re.escape(member) + r"(\.index|\.data-\d{5}-of-\d{5})?", name) else None
