"""Photographs of any size through a network of one size, and the maps back to the photograph."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable

import cv2
import numpy as np

from gradcam import maps
from gradcam.pictures import images
from gradcam.pictures.samples import SAMPLES
from slim_models.mistakes import BadValue, MissingFile, UnknownName

FITS = ("stretch", "crop")
_MOST_EXAMPLES = 200


@dataclasses.dataclass(frozen=True, eq=False)
class Photograph:
    """A picture and how it is fitted to a network.

    Attributes:
        name: of its files, without a suffix.
        pixels: uint8 `[H, W, 3]`, RGB.
        fit: `"stretch"` or `"crop"`, as in `region`.
    """

    name: str
    pixels: np.ndarray
    fit: str = "stretch"

    def fitted(self, size: tuple[int, int]) -> np.ndarray:
        """The part that the network sees, at its size: uint8 `[height, width, 3]`."""
        return fit_image(self.pixels, size, self.fit)

    def shrunk(self, longest: int) -> Photograph:
        """The same photograph with no side above `longest` pixels, for a figure."""
        scale = longest / max(self.pixels.shape)
        if scale >= 1:
            return self
        height, width = (max(1, round(scale * side)) for side in self.pixels.shape[:2])
        return Photograph(self.name, resize(self.pixels, (height, width)), self.fit)

    def heatmap(self, cam: np.ndarray) -> np.ndarray:
        """A cam as a heat map at the photograph's own size and place.

        Args:
            cam: `[h, w]`, >= 0, of the fitted picture.

        Returns:
            float32 `[H, W]` in [0, 1], zero where the network did not look.
        """
        rows, columns = region(self.pixels.shape[:2], self.fit)
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
        seen = region(self.pixels.shape[:2], self.fit)
        result = self.pixels // 3
        result[seen] = maps.overlay(self.pixels[seen], heatmap[seen], colormap)
        return result

    def place(self, part: np.ndarray) -> np.ndarray:
        """A map of the fitted picture, `[h, w]` or `[h, w, 3]`, at the photograph's size and place."""
        return place(part, self.pixels.shape[:2], self.fit)


def read_photograph(source: str, fit: str = "stretch") -> Photograph:
    """Reads a picture from a file, or a sample by `sample:NAME`.

    Raises:
        KeyError: no such sample.
        FileNotFoundError, ValueError: as `read_image`.
    """
    if source.startswith("sample:"):
        name = source.removeprefix("sample:")
        if name not in SAMPLES:
            raise UnknownName(f"no sample {name!r}; the samples are {', '.join(SAMPLES)}")
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
            raise MissingFile(f"no pictures in {source}: looked for {', '.join(images.SUFFIXES)}")
        result.extend(map(str, found))
    return result


def read_classes(folder: str) -> list[tuple[np.ndarray, str]]:
    """Reads some pictures of known classes, each in a folder that has its class's name.

    Args:
        folder: of such folders.

    Returns:
        Pictures, uint8 `[h, w, 3]`, RGB, and their classes: of each class as many, the first in order of name, so that
        there are no more than 200, but one at least.

    Raises:
        FileNotFoundError: there is no such folder, none in it, or one without pictures.
        ValueError: a picture that cannot be read.
    """
    path = pathlib.Path(folder)
    classes = sorted(entry for entry in (path.iterdir() if path.is_dir() else ()) if entry.is_dir())
    if not classes:
        raise MissingFile(f"no folders in {folder}: examples are pictures in folders that are named by their classes")
    most = max(1, _MOST_EXAMPLES // len(classes))
    return [(images.read_image(file), of.name) for of in classes for file in expand([str(of)])[:most]]


def region(size: tuple[int, int], fit: str) -> tuple[slice, slice]:
    """The part of a picture that a network of square input sees.

    Args:
        size: (height, width) of the picture in pixels.
        fit: `"stretch"`, the whole picture squeezed into a square (the paper's authors), or `"crop"`,
            the largest central square, in the proportions that networks are trained on.

    Returns:
        Rows and columns.

    Raises:
        ValueError: no such fit.
    """
    if fit not in FITS:
        raise BadValue(f"no fit {fit!r}; the fits are {', '.join(FITS)}")
    extents = size if fit == "stretch" else (min(size), min(size))
    starts = [(whole - extent) // 2 for whole, extent in zip(size, extents)]
    rows, columns = (slice(start, start + extent) for start, extent in zip(starts, extents))
    return rows, columns


def fit_image(image: np.ndarray, size: tuple[int, int], fit: str = "stretch") -> np.ndarray:
    """The picture at a network's size.

    Args:
        image: `[H, W, 3]`, uint8 or floating point.
        size: (height, width) in pixels.
        fit: `"stretch"` or `"crop"`, as in `region`.

    Returns:
        `[height, width, 3]`, resized as by `resize`.
    """
    height, width = image.shape[:2]
    return resize(image[region((height, width), fit)], size)


def resize(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes each axis on its own: averaging where it shrinks, bilinear where it grows.

    Args:
        array: `[H, W]` or `[H, W, 3]`, uint8 or floating point.
        size: (height, width) in pixels.

    Returns:
        `[height, width]` or `[height, width, 3]`; uint8 stays uint8, all else becomes float32.
    """
    array = np.asarray(array)
    array = np.ascontiguousarray(array if array.dtype == np.uint8 else array.astype(np.float32))
    # OpenCV averages only where no axis grows, so the shrinking is done first. Its sizes are (width, height).
    smaller = (min(array.shape[1], size[1]), min(array.shape[0], size[0]))
    if smaller != array.shape[1::-1]:
        array = cv2.resize(array, smaller, interpolation=cv2.INTER_AREA)
    if array.shape[:2] != tuple(size):
        array = cv2.resize(array, size[::-1], interpolation=cv2.INTER_LINEAR)
    return array


def place(part: np.ndarray, size: tuple[int, int], fit: str = "stretch") -> np.ndarray:
    """Brings what belongs to a network's input to the part of the photograph that it was made of.

    Args:
        part: `[h, w]` or `[h, w, 3]` of any size, a map of the network's whole input.
        size: (height, width) of the photograph in pixels.
        fit: as it was in `fit_image`.

    Returns:
        float32 `[height, width]` or `[height, width, 3]`, zero where the network did not look.
    """
    rows, columns = region(size, fit)
    whole = np.zeros((*size, *part.shape[2:]), np.float32)
    whole[rows, columns] = resize(part, (rows.stop - rows.start, columns.stop - columns.start))
    return whole
