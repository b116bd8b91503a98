"""Photographs, and arrays, of any size through a network of one size, and the maps back to the photograph."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable

import cv2
import numpy as np

from gradcam import maps
from gradcam.pictures import arrays, images
from gradcam.pictures.bands import as_rgb, checked_bands, choose
from gradcam.pictures.samples import SAMPLES
from slim_models.mistakes import BadValue, MissingFile, check_name
from slim_models.sizes import Size, height_and_width

FITS = ("stretch", "crop")
_SAMPLE = "sample:"
_MOST_CHANNELS = 4  # that OpenCV averages at once


@dataclasses.dataclass(frozen=True)
class Frame:
    """The size of a picture and how it is fitted to a network: all that a map needs to come back to its place.

    Attributes:
        size: (height, width) of the picture in pixels.
        fit: `"stretch"` or `"crop"`, as in `region`.
    """

    size: tuple[int, int]
    fit: str = "stretch"

    def heatmap(self, cam: np.ndarray) -> np.ndarray:
        """A cam as a heat map at the picture's own size and place, as of `Photograph.heatmap`."""
        return heatmap_at(cam, self.size, self.fit)


@dataclasses.dataclass(frozen=True, eq=False)
class Photograph:
    """A picture and how it is fitted to a network.

    Attributes:
        name: of its files, without a suffix.
        pixels: uint8 `[H, W, 3]`, RGB: what is shown, and unless there is an array what the network sees.
        fit: `"stretch"` or `"crop"`, as in `region`.
        array: `[H, W, K]`, what the network sees where that is no photograph of whole grey levels.
        bands: what is shown of the array's channels, as of `bands.choose`.
    """

    name: str
    pixels: np.ndarray
    fit: str = "stretch"
    array: np.ndarray | None = None
    bands: tuple[int, ...] = ()

    def __repr__(self) -> str:
        height, width = self.pixels.shape[:2]
        seen = "" if self.array is None else f", of which the network sees {list(self.array.shape)} {self.array.dtype}"
        return f"Photograph {self.name!r}: {width} x {height} pixels, fit {self.fit!r}{seen}"

    @classmethod
    def of_array(cls, name: str, array: np.ndarray, fit: str = "stretch", bands: Iterable[int] = ()) -> Photograph:
        """A picture for a network that takes arrays.

        Args:
            name: of its files, without a suffix.
            array: `[H, W, K]`, finite.
            fit: `"stretch"` or `"crop"`, as in `region`.
            bands: three that are shown as R, G and B, or one as grey, counted from 1; empty is their mean as grey,
                or of three channels all of them. They are shown between their 2nd and 98th percentiles.

        Raises:
            ValueError: there are no such bands, or the array is another.
        """
        if np.ndim(array) != 3:
            raise BadValue(f"{name} must be [H, W, K], not {list(np.shape(array))}")
        array = images.finite(array, name)
        chosen = checked_bands(bands, array.shape[2])
        return cls(name, as_rgb(array, chosen), fit, array, chosen)

    @property
    def frame(self) -> Frame:
        """What is left of it where its pixels are not needed."""
        height, width = self.pixels.shape[:2]
        return Frame((height, width), self.fit)

    def fitted(self, size: Size) -> np.ndarray:
        """The part that the network sees, at its size: uint8 `[height, width, 3]`, or of arrays float32 with K."""
        return fit_image(self.pixels if self.array is None else self.array, size, self.fit)

    def shrunk(self, longest: int) -> Photograph:
        """The same photograph with no side above `longest` pixels, for a figure."""
        scale = longest / max(self.pixels.shape)
        if scale >= 1:
            return self
        height, width = (max(1, round(scale * side)) for side in self.pixels.shape[:2])
        return dataclasses.replace(self, pixels=resize(self.pixels, (height, width)))  # the network's part stays

    def heatmap(self, cam: np.ndarray) -> np.ndarray:
        """A cam as a heat map at the photograph's own size and place.

        Args:
            cam: `[h, w]`, >= 0, of the fitted picture.

        Returns:
            float32 `[H, W]` in [0, 1], zero where the network did not look.
        """
        return self.frame.heatmap(cam)

    def overlay(
        self,
        heatmap: np.ndarray,
        colormap: str = maps.LOOK.colormap,
        opacity: float = maps.LOOK.opacity,
        grey: bool = maps.LOOK.grey,
    ) -> np.ndarray:
        """The heat map over the photograph; what the network did not see is dark, not merely cold.

        Args:
            heatmap: `[H, W]` in [0, 1], as `heatmap` makes it.
            colormap: as of `maps.colorize`.
            opacity: of the heat map.
            grey: whether the photograph is drawn without its colours.

        Returns:
            uint8 `[H, W, 3]`, RGB.
        """
        seen = region(self.pixels.shape[:2], self.fit)
        return self._around(maps.overlay(self.pixels[seen], heatmap[seen], colormap, opacity, grey), grey)

    def overlay_of(
        self, cam: np.ndarray, look: maps.Look = maps.LOOK, *, signed: bool = False, share: float = 1.0
    ) -> np.ndarray:
        """`overlay(heatmap(cam), *look)`, for which the heat map is nowhere whole: large photographs' are larger.

        Args:
            cam: `[h, w]` of the fitted picture, >= 0 unless `signed`.
            look: of the heat map.
            signed: whether 0 is in the middle of the colours.
            share: of the scale's top that the map's maximum is; 1 is the map's own scale.
        """
        rows, columns = seen = region(self.pixels.shape[:2], self.fit)
        size = rows.stop - rows.start, columns.stop - columns.start
        heatmap = maps.Enlarged(cam, size, signed=signed, share=share)
        return self._around(maps.overlay(self.pixels[seen], heatmap, *look), look.grey)

    def _around(self, overlay: np.ndarray, grey: bool) -> np.ndarray:
        """The overlay of what the network saw, in the dark photograph."""
        seen = region(self.pixels.shape[:2], self.fit)
        if overlay.shape == self.pixels.shape:
            return overlay
        result = np.repeat(maps.luma(self.pixels), 3, axis=-1) // 3 if grey else self.pixels // 3
        result[seen] = overlay
        return result

    def place(self, part: np.ndarray) -> np.ndarray:
        """A map of the fitted picture, `[h, w]` or `[h, w, K]`, at the photograph's size and place."""
        return place(part, self.pixels.shape[:2], self.fit)

    def shown(self, saliency: np.ndarray) -> np.ndarray:
        """What is shown of saliency `[h, w, K]`: `[h, w, 3]`, of the bands that are shown of the picture."""
        return choose(saliency, self.bands)


def read_photograph(
    source: str, fit: str = "stretch", *, channels: int | None = None, bands: Iterable[int] = ()
) -> Photograph:
    """Reads a picture from a file, or a sample by `sample:NAME`.

    Args:
        source: a picture's file; an npy file with a picture, or of several `stack.npy[2]`; or a sample.
        fit: `"stretch"` or `"crop"`, as in `region`.
        channels: K of a network that takes arrays, which are read from npy files and TIFFs whose pages are bands; None
            of one that takes photographs.
        bands: what is shown of them, as of `Photograph.of_array`.

    Raises:
        KeyError: no such sample.
        FileNotFoundError, ValueError: as `read_image`, or an array that the network does not take.
    """
    if channels is not None:
        return Photograph.of_array(arrays.name_of(source), arrays.read_array(source, channels), fit, bands)
    if arrays.is_npy(source):
        return _of_pixels(arrays.name_of(source), arrays.read_pixels(source), fit)
    check_source(source)
    if source.startswith(_SAMPLE):
        name = source.removeprefix(_SAMPLE)
        return Photograph(name, SAMPLES[name](), fit)
    return Photograph(pathlib.Path(source).stem, images.read_image(source), fit)


def bytes_of(source: str) -> int:
    """How many bytes the pixels of a picture take once it is read, by what its file says; 0 if that cannot be told.

    Args:
        source: as of `read_photograph`.
    """
    try:
        if source.startswith(_SAMPLE):
            return 0
        height, width = arrays.size_of(source) if arrays.is_npy(source) else images.size_of(source)
    except (ValueError, OSError, ImportError):  # told when it is read
        return 0
    return 3 * height * width


def check_source(source: str) -> None:
    """Whether there is such a sample, file or folder, which is quick to say.

    Raises:
        KeyError: no such sample.
        FileNotFoundError: no such file.
    """
    name = source.removeprefix(_SAMPLE)
    if name != source:
        check_name("sample", name, SAMPLES)
    if name == source and not (arrays.is_npy(source) or pathlib.Path(source).exists()):
        raise MissingFile(f"no picture at {source}")


def _of_pixels(name: str, pixels: np.ndarray, fit: str) -> Photograph:
    """Of RGB in [0, 255], which the network is fed to the last digit."""
    if pixels.dtype == np.uint8:
        return Photograph(name, pixels, fit)
    return Photograph(name, np.rint(pixels).astype(np.uint8), fit, pixels)


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


def fit_image(image: np.ndarray, size: Size, fit: str = "stretch") -> np.ndarray:
    """The picture at a network's size.

    Args:
        image: `[H, W, 3]`, or of any number of channels; uint8 or floating point.
        size: (height, width) in pixels, or one number for both.
        fit: `"stretch"` or `"crop"`, as in `region`.

    Returns:
        `[height, width, 3]`, or of that many channels, resized as by `resize`.
    """
    height, width = image.shape[:2]
    return resize(image[region((height, width), fit)], size)


def resize(array: np.ndarray, size: Size) -> np.ndarray:
    """Resizes each axis on its own: averaging where it shrinks, bilinear where it grows.

    Args:
        array: `[H, W]` or `[H, W, K]`, of any numeric type.
        size: (height, width) in pixels, or one number for both.

    Returns:
        `[height, width]` or `[height, width, K]`; uint8 stays uint8, all else becomes float32.
    """
    array, size = np.asarray(array), height_and_width(size)
    array = array if array.dtype == np.uint8 else array.astype(np.float32, copy=False)
    if array.ndim == 3 and array.shape[2] > _MOST_CHANNELS:
        parts = [array[..., start : start + _MOST_CHANNELS] for start in range(0, array.shape[2], _MOST_CHANNELS)]
        return np.concatenate([_resized(part, size) for part in parts], axis=2)
    return _resized(array, size)


def _resized(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    shape = (*size, *array.shape[2:])
    array = np.ascontiguousarray(array)
    # OpenCV averages only where no axis grows, so the shrinking is done first. Its sizes are (width, height).
    smaller = (min(array.shape[1], size[1]), min(array.shape[0], size[0]))
    if smaller != array.shape[1::-1]:
        array = cv2.resize(array, smaller, interpolation=cv2.INTER_AREA)
    if array.shape[:2] != tuple(size):
        array = cv2.resize(array, size[::-1], interpolation=cv2.INTER_LINEAR)
    return array.reshape(shape)  # of one channel OpenCV leaves out its axis


def heatmap_at(cam: np.ndarray, size: Size, fit: str = "stretch") -> np.ndarray:
    """A cam as a heat map of a photograph, as of `Photograph.heatmap`.

    Args:
        cam: `[h, w]`, >= 0, of the fitted picture.
        size: (height, width) of the photograph in pixels, or one number for both.
        fit: as it was in `fit_image`.
    """
    height, width = height_and_width(size)
    rows, columns = region((height, width), fit)
    # Straight from the small map: a detour over the network's size would be a second blur.
    heatmap = maps.heatmap(cam[None], (rows.stop - rows.start, columns.stop - columns.start))[0]
    return heatmap if heatmap.shape == (height, width) else place(heatmap, (height, width), fit)


def place(part: np.ndarray, size: Size, fit: str = "stretch") -> np.ndarray:
    """Brings what belongs to a network's input to the part of the photograph that it was made of.

    Args:
        part: `[h, w]` or `[h, w, K]` of any size, a map of the network's whole input.
        size: (height, width) of the photograph in pixels, or one number for both.
        fit: as it was in `fit_image`.

    Returns:
        float32 `[height, width]` or `[height, width, K]`, zero where the network did not look.
    """
    size = height_and_width(size)
    rows, columns = region(size, fit)
    whole = np.zeros((*size, *part.shape[2:]), np.float32)
    whole[rows, columns] = resize(part, (rows.stop - rows.start, columns.stop - columns.start))
    return whole
