"""Where weight and label files lie."""

from __future__ import annotations

import os
import pathlib

# An installed package has its files in `slim_models/embedded`, a checkout in `weights`.
_PACKAGE = pathlib.Path(__file__).parent
_CARRIED = [_PACKAGE / "embedded", _PACKAGE.parent / "weights"]


def folders() -> list[pathlib.Path]:
    """Where files are looked for, in order: `$GRADCAM_WEIGHTS`, `./weights`, what the project carries."""
    chosen = os.environ.get("GRADCAM_WEIGHTS")
    return [pathlib.Path(place) for place in (chosen, "weights") if place] + _CARRIED


def find(name: str) -> pathlib.Path | None:
    """The first folder's file of that name (for a V2 checkpoint: its prefix); None if no folder has it."""
    return _first(name, folders())


def carried(name: str) -> pathlib.Path | None:
    """The project's own file of that name, which no folder of the user's can shadow."""
    return _first(name, _CARRIED)


def _first(name: str, places: list[pathlib.Path]) -> pathlib.Path | None:
    for folder in places:
        if is_there(folder / name):
            return folder / name
    return None


def is_there(path: pathlib.Path) -> bool:
    """Whether there is a file, or a V2 checkpoint with that prefix."""
    return path.is_file() or path.with_name(f"{path.name}.index").is_file()
