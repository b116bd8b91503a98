"""Weights as a folder of plain arrays, one file each: for the peers, what is read fastest and with the least memory.

Reading one of our own formats takes TensorFlow, which a peer's process should not have to import.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping

import numpy as np


class Arrays(Mapping):
    """`{variable name: array}` of a folder; an array is read each time it is asked for, and not kept."""

    def __init__(self, folder: pathlib.Path):
        self._files = {str(path.relative_to(folder).with_suffix("")): path for path in sorted(folder.rglob("*.npy"))}
        if not self._files:
            raise FileNotFoundError(f"no weights in {folder}")

    def __getitem__(self, name: str) -> np.ndarray:
        return np.load(self._files[name], allow_pickle=False)

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def write_arrays(folder: pathlib.Path, weights: Mapping[str, np.ndarray]) -> None:
    """Writes what `Arrays` reads."""
    for name, array in weights.items():
        path = folder / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, array)
