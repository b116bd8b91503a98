"""Where weight and label files lie."""

from __future__ import annotations

import os
import pathlib

_PACKAGE = pathlib.Path(__file__).parent


def folders() -> list[pathlib.Path]:
    """Where files are looked for, in order: `$GRADCAM_WEIGHTS`, `./weights`, what the project carries."""
    chosen = os.environ.get("GRADCAM_WEIGHTS")
    # An installed package has the files in `slim_models/embedded`, a checkout in `weights`.
    places = [chosen, "weights", _PACKAGE / "embedded", _PACKAGE.parent / "weights"]
    return [pathlib.Path(place) for place in places if place]


def find(name: str) -> pathlib.Path | None:
    """The first folder's file of that name (for a V2 checkpoint: its prefix); None if no folder has it."""
    for folder in folders():
        path = folder / name
        if path.is_file() or path.with_name(path.name + ".index").is_file():
            return path
    return None
