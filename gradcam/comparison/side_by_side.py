"""Figures of comparisons: theirs, ours, and the difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gradcam import figures, maps
from gradcam.comparison.agreement import Agreement, Comparison
from gradcam.comparison.authors import Pair
from slim_models.mistakes import BadValue

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def of_comparison(comparison: Comparison) -> Figure:
    """Every map of a comparison, a row each: the reference, ours, and their difference.

    Maps with many channels are shown by the mean over them, gradients with the network's own first channel
    as red. Each panel is scaled on its own; how large a difference is, is in its title.
    """
    rows = [row for row in comparison.rows if row.theirs.ndim > 1]
    if not rows:
        raise BadValue("there is no map among the reference's arrays that could be drawn")
    places = [f"picture {row.picture}" + ("" if row.target is None else f", class {row.target}") for row in rows]
    titles = [f"{row.array}\n{place}" for row, place in zip(rows, places)]
    return figures.grid([_panels(row) for row in rows], titles)


def _panels(row: Agreement) -> list[tuple[str, np.ndarray]]:
    difference = row.ours.astype(np.float64) - row.theirs
    title = f"difference, {row.relative_l2:.0e}{' by ties' * row.by_ties}"
    return [("reference", _picture(row.theirs)), ("ours", _picture(row.ours)), (title, _picture(difference))]


def _picture(array: np.ndarray) -> np.ndarray:
    """Signed values, `[h, w]`, `[h, w, 3]` or `[h, w, K]`, as uint8 `[h, w, 3]`; zero is mid-grey."""
    if array.ndim == 2 or array.shape[-1] != 3:
        flat = array if array.ndim == 2 else array.mean(axis=-1)
        array = np.repeat(flat[..., None], 3, axis=-1)
    return maps.display(array[None], percentile=99.9)[0]


def of_authors(pairs: Sequence[Pair], original: np.ndarray) -> Figure:
    """The authors' pictures of each class above ours.

    Args:
        pairs: as `compare_authors` gives them.
        original: uint8 `[H, W, 3]`, what they are of, at the network's size.
    """
    rows, titles = [], []
    for target in dict.fromkeys(pair.target for pair in pairs):
        of_class = [pair for pair in pairs if pair.target == target]
        rows.append([("original", original), *((pair.name, pair.theirs) for pair in of_class)])
        rows.append([("original", original), *((f"SSIM {pair.ssim:.4f}", pair.ours) for pair in of_class)])
        titles += [f"authors, class {target}", "ours"]
    return figures.grid(rows, titles)
