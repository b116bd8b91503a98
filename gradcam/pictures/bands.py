"""Arrays of K channels -> RGB pictures to look at: three chosen bands, or one, or their mean as grey."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from slim_models.mistakes import BadValue

_DARKEST, _BRIGHTEST = 2, 98  # percentiles that are shown as black and white: a few bright roofs leave a scene dark


def checked_bands(bands: Iterable[int], channels: int) -> tuple[int, ...]:
    """The bands to show, counted from 1 as remote sensing does.

    Args:
        bands: three, shown as R, G and B, or one, shown as grey; none leaves the choice to `choose`.
        channels: K, of how many.

    Raises:
        ValueError: they are another number, or there is no such band.
    """
    chosen = tuple(bands)
    if len(chosen) not in (0, 1, 3) or not all(1 <= band <= channels for band in chosen):
        raise BadValue(
            f"bands are three (R, G, B) or one (grey), from 1 to {channels}, not {','.join(map(str, chosen))}"
        )
    return chosen


def choose(array: np.ndarray, bands: Sequence[int] = ()) -> np.ndarray:
    """What is shown of K channels, as it is: nothing scaled.

    Args:
        array: `[..., K]`, pictures or signed saliency.
        bands: of `checked_bands`; empty is all of three channels, and the mean of any other number.

    Returns:
        `[..., 3]`; all alike where it is grey.
    """
    chosen = _chosen(array, bands)
    return np.repeat(chosen, 3, axis=-1) if chosen.shape[-1] == 1 else chosen


def _chosen(array: np.ndarray, bands: Sequence[int]) -> np.ndarray:
    """`[..., 3]`, or `[..., 1]` of grey."""
    if bands:
        return array[..., [band - 1 for band in bands]]
    if array.shape[-1] == 3:
        return array
    return array.mean(axis=-1, keepdims=True, dtype=np.float64).astype(np.float32)


def as_rgb(array: np.ndarray, bands: Sequence[int] = ()) -> np.ndarray:
    """A picture of K channels of any range, each shown between its 2nd and its 98th percentile.

    For looking at only: what the network is fed is the array.

    Args:
        array: `[H, W, K]`, finite.
        bands: as of `choose`.

    Returns:
        uint8 `[H, W, 3]`, RGB; a channel that is the same everywhere is mid-grey.
    """
    shown = [_stretched(channel) for channel in np.moveaxis(_chosen(array, bands), -1, 0)]
    return np.stack(shown * 3 if len(shown) == 1 else shown, axis=-1)


def _stretched(channel: np.ndarray) -> np.ndarray:
    low, high = (float(value) for value in np.percentile(channel, (_DARKEST, _BRIGHTEST)))
    if not low < high:  # few places differ from the rest
        low, high = float(channel.min()), float(channel.max())
    if not low < high:
        return np.full(channel.shape, 128, np.uint8)
    return np.rint(255 * np.clip((channel - low) / (high - low), 0, 1)).astype(np.uint8)
