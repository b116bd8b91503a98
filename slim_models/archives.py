"""One file out of an archive that is not to be trusted."""

from __future__ import annotations

import pathlib
import shutil
import tarfile

MOST = 2**30  # bytes; VGG16 has half as many


def unpacked(archive: pathlib.Path, member: str) -> pathlib.Path:
    """Unpacks the one file of that name from a tar archive, beside the archive.

    No path that the archive gives is ever written to, and an archive that has one outside of itself is
    refused altogether.

    Raises:
        ValueError: such a path; no file of that name, or several; one that is far too large.
        tarfile.TarError, EOFError, zlib.error: no tar archive, or only the first part of one.
    """
    with tarfile.open(archive) as tar:
        entries = tar.getmembers()
        for entry in entries:
            if entry.name.startswith(("/", "\\")) or ".." in pathlib.PurePosixPath(entry.name).parts:
                raise ValueError(f"the archive has a member outside of it, {entry.name!r}: it is not to be trusted")
        found = [entry for entry in entries if pathlib.PurePosixPath(entry.name).name == member and entry.isfile()]
        if len(found) != 1:
            raise ValueError(
                f"the archive holds {len(found)} files {member}, not one; it has {[e.name for e in entries]}"
            )
        if found[0].size > MOST:
            raise ValueError(f"{member} is {found[0].size:,} bytes, more than any weights that are fetched here")
        path = archive.with_name(member)
        content = tar.extractfile(found[0])
        assert content is not None  # it is a file
        with content, path.open("wb") as file:
            shutil.copyfileobj(content, file)
    return path
