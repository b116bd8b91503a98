"""A small map at a picture's size, a few rows at a time; NumPy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slim_models.mistakes import BadValue
from slim_models.sizes import Size, height_and_width


class Enlarged:
    """A cam as a heat map whose rows are made when they are looked at: that of a large photograph is nowhere whole.

    `Enlarged(cam, size)[2:5]` is `maps.heatmap(cam[None], size)[0][2:5]`, `[3, width]`.

    Attributes:
        shape: (height, width).
    """

    def __init__(self, cam: np.ndarray, size: Size, *, signed: bool = False, share: float = 1.0):
        """Enlarges a map bilinearly and divides it by its largest absolute value.

        Args:
            cam: `[h, w]`, finite, and >= 0 unless it is signed.
            size: (height, width) in pixels, or one number for both.
            signed: whether it may be below 0.
            share: of the scale's top that the map's largest value is to be.

        Raises:
            ValueError: the cam is not finite, or below 0; no such size.
        """
        if not np.isfinite(cam).all() or (not signed and (cam < 0).any()):
            raise BadValue(f"a cam must be finite{'' if signed else ' and >= 0'} everywhere")
        self.shape = height_and_width(size)
        self._signed = signed
        height, width = self.shape
        # Divided first, by the peak of the small map, so that the smallest cams do not underflow on the way.
        cam = np.asarray(cam, np.float64) / (np.abs(cam).max() or 1)
        left, right, part = _between(cam.shape[1], width)
        self._wide = cam[:, left] + (cam[:, right] - cam[:, left]) * part
        self._above, self._below, part = _between(len(cam), height)
        self._part = part[:, None]
        # Rows between the same two of the cam go from one to the other in a line: the largest is the first or the last.
        turns = np.flatnonzero(np.diff(self._above))
        ends = np.unique([0, *turns, *(turns + 1), height - 1])
        peak = max(float(np.abs(self._undivided(ends[part])).max()) for part in strips(len(ends), width))
        self._top = (peak or 1.0) / share if share else np.inf

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Rows of the heat map: float32 `[n, width]` in [0, 1], of a signed one in [-1, 1]."""
        return (self._undivided(rows) / self._top).astype(np.float32)

    def levels(self, rows: slice) -> np.ndarray:
        """Rows as colours take them, in [0, 1]: 0 of a signed map is in the middle."""
        return (1 + self[rows]) / 2 if self._signed else self[rows]

    def _undivided(self, rows: slice | np.ndarray) -> np.ndarray:
        """Rows of the map whose small one has the peak 1, float64."""
        above = self._wide[self._above[rows]]
        return above + (self._wide[self._below[rows]] - above) * self._part[rows]


def _between(count: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the centres of `size` pixels lie among those of `count` places: the two around each, the second's share."""
    places = np.clip((np.arange(size) + 0.5) * (count / size) - 0.5, 0, count - 1)
    before = places.astype(int)
    return before, np.minimum(before + 1, count - 1), places - before


def strips(height: int, width: int, places: int = 2**15) -> Iterator[slice]:
    """The rows of a picture, some at a time, so that what is computed of them is small whatever the picture.

    Args:
        height: of the picture.
        width: of the picture.
        places: how many there are to be in a strip, about; by default what stays in a processor's cache.
    """
    step = max(1, places // max(1, width))
    for start in range(0, height, step):
        yield slice(start, min(start + step, height))
