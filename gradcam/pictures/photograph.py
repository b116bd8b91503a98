"""Photographs of any size through a network of one size, and the maps back to the photograph."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable

import numpy as np

from gradcam import fitting, images, maps
from gradcam.samples import SAMPLES


@dataclasses.dataclass(frozen=True, eq=False)
class Photograph:
    """A picture and how it is fitted to a network.

    Attributes:
        name: of its files, without a suffix.
        pixels: uint8 `[H, W, 3]`, RGB.
        fit: `"stretch"` or `"crop"`, as in `fitting.region`.
    """

    name: str
    pixels: np.ndarray
    fit: str = "stretch"

    def fitted(self, size: tuple[int, int]) -> np.ndarray:
        """The part that the network sees, at its size: uint8 `[height, width, 3]`."""
        return fitting.fit_image(self.pixels, size, self.fit)

    def shrunk(self, longest: int) -> Photograph:
        """The same photograph with no side above `longest` pixels, for a figure."""
        scale = longest / max(self.pixels.shape)
        if scale >= 1:
            return self
        height, width = (max(1, round(scale * side)) for side in self.pixels.shape[:2])
        return Photograph(self.name, fitting.resize(self.pixels, (height, width)), self.fit)

    def heatmap(self, cam: np.ndarray) -> np.ndarray:
        """A cam as a heat map at the photograph's own size and place.

        Args:
            cam: `[h, w]`, >= 0, of the fitted picture.

        Returns:
            float32 `[H, W]` in [0, 1], zero where the network did not look.
        """
        rows, columns = fitting.region(self.pixels.shape[:2], self.fit)
        # Straight from the small map: a detour over the network's size would be a second blur.
        heatmap = maps.heatmap(cam[None], (rows.stop - rows.start, columns.stop - columns.start))[0]
        return self.place(heatmap)

    def overlay(self, heatmap: np.ndarray, colormap: str = "jet") -> np.ndarray:
        """The heat map over the photograph; what the network did not see is dark, not merely cold.

        Args:
            heatmap: `[H, W]` in [0, 1], as `heatmap` makes it.
            colormap: a key of `maps.COLORMAPS`.

        Returns:
            uint8 `[H, W, 3]`, RGB.
        """
        seen = fitting.region(self.pixels.shape[:2], self.fit)
        result = self.pixels // 3
        result[seen] = maps.overlay(self.pixels[seen], heatmap[seen], colormap)
        return result

    def place(self, part: np.ndarray) -> np.ndarray:
        """A map of the fitted picture, `[h, w]` or `[h, w, 3]`, at the photograph's size and place."""
        return fitting.place(part, self.pixels.shape[:2], self.fit)


def read_photograph(source: str, fit: str = "stretch") -> Photograph:
    """Reads a picture from a file, or a sample by `sample:NAME`.

    Raises:
        KeyError: no such sample.
        FileNotFoundError, ValueError: as `read_image`.
    """
    if source.startswith("sample:"):
        name = source.removeprefix("sample:")
        if name not in SAMPLES:
            raise KeyError(f"no sample {name!r}; the samples are {', '.join(SAMPLES)}")
        return Photograph(name, SAMPLES[name](), fit)
    return Photograph(pathlib.Path(source).stem, images.read_image(source), fit)


def expand(sources: Iterable[str]) -> list[str]:
    """Files and samples as they are, folders replaced by the pictures in them, in order of name.

    Raises:
        FileNotFoundError: a folder without pictures.
    """
    result = []
    for source in sources:
        if not pathlib.Path(source).is_dir():
            result.append(source)
            continue
        found = sorted(p for p in pathlib.Path(source).iterdir() if p.suffix.lower() in images.SUFFIXES)
        if not found:
            raise FileNotFoundError(f"no pictures in {source}: looked for {', '.join(images.SUFFIXES)}")
        result.extend(map(str, found))
    return result
