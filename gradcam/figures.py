"""The paper's figures, drawn from explanations."""

from __future__ import annotations

import os
import pathlib
import textwrap
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcam import maps
from gradcam.cams import CamMethod
from gradcam.explanation import Explanation
from gradcam.methods import METHODS, REGISTRY, methods_named, title_of
from gradcam.pictures import KEY, Photograph, as_text, write_json
from slim_models.files import whole_file
from slim_models.mistakes import BadValue

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST = 1000  # pixels of a photograph's side in a panel, which is a few hundred wide
# A row of panels: a title for each, and uint8 [H, W, 3] RGB pictures.
Panels = Sequence[tuple[str, np.ndarray]]


# What the papers call their methods; deprecated: `methods.REGISTRY` has the titles.
TITLES = {name: REGISTRY[name].title for name in METHODS}


def panels(
    photograph: Photograph,
    explanation: Explanation,
    *,
    layer: str | None = None,
    method: CamMethod | str = "grad_cam",
    colormap: str = "jet",
) -> dict[str, np.ndarray]:
    """The pictures that explain one photograph for one class.

    Args:
        photograph: as it was fitted to the network.
        explanation: of that photograph alone.
        layer: one of those explained; None is the default layer.
        method: by its name in `methods.REGISTRY`, or a function of activations and gradients.
        colormap: of the heat map.

    Returns:
        Panel name -> uint8 `[H, W, 3]` RGB of the photograph's proportions: the original, the heat map
        over it and, if the rule `guided` was explained, guided backprop and its product with the map of a formula.
            Of K channels the photograph's bands are shown, of saliency as of the picture: their mean unless chosen.

    Raises:
        KeyError: no such method, or what it needs was not explained.
    """
    photograph = photograph.shrunk(LONGEST)
    entry = methods_named([method])[method] if isinstance(method, str) else None
    title = title_of(method) if entry is None else entry.title
    cam = explanation.cam(method, layer) if entry is None else entry.make(explanation, layer)
    original, overlay = photograph.pixels, photograph.overlay(photograph.heatmap(cam[0]), colormap)
    if "guided" not in explanation.saliency:
        return {"original": original, title: overlay}
    guided = _placed(photograph, explanation.saliency["guided"][0])
    formula = method if entry is None else entry.formula
    if formula is None:
        return {"original": original, "guided backprop": guided, title: overlay}
    product = _placed(photograph, explanation.guided_grad_cam(layer, formula)[0])
    return {"original": original, "guided backprop": guided, title: overlay, f"guided {title}": product}


def _placed(photograph: Photograph, saliency: np.ndarray) -> np.ndarray:
    """Signed saliency `[h, w, K]` as a picture of the photograph's size, of the bands that are shown of it."""
    return maps.display(photograph.place(photograph.shown(saliency))[None])[0]


def grid(rows: Sequence[Panels], row_titles: Sequence[str], title: str = "", panel: float = 2.2) -> Figure:
    """Rows of pictures with a title above each picture and one beside each row.

    Args:
        rows: each a sequence of (title, uint8 `[H, W, 3]` RGB).
        row_titles: one a row; may be empty strings.
        title: of the whole figure.
        panel: width of a picture in inches.

    Returns:
        A figure that belongs to no window.
    """
    columns = max(len(row) for row in rows)
    font = 9 if panel > 1.6 else 7
    # Inches; limited, for pictures that are hardly more than a line.
    heights = [panel * min(max(p.shape[0] / p.shape[1] for _, p in row), 4) for row in rows]
    size = (columns * panel, sum(heights) + 0.25 * len(rows) + (0.35 if title else 0))
    figure = blank(size)
    axes = figure.subplots(len(rows), columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    for row, row_title, row_axes, high in zip(rows, row_titles, axes, heights):
        for axis in row_axes:
            axis.set(xticks=[], yticks=[])
            axis.set_frame_on(False)
        for (panel_title, picture), axis in zip(row, row_axes):
            axis.imshow(picture)
            axis.set_title(panel_title, fontsize=font)
        row_axes[0].set_ylabel(_wrapped(row_title, high, font), fontsize=font)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def _wrapped(text: str, inches: float, font: int) -> str:
    """The lines of a text, broken where they are longer than that at a size of letters in points."""
    letters = max(8, int(inches / (0.55 * font / 72)))  # of about that width
    return "\n".join(textwrap.fill(line, letters, break_long_words=False) for line in text.split("\n"))


def blank(size: tuple[float, float]) -> Figure:
    """An empty figure of (width, height) in inches; matplotlib, which takes its time, is imported here."""
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained")


def save_figure(
    figure: Figure, path: str | os.PathLike, dpi: int = 300, provenance: Mapping[str, Any] | None = None
) -> None:
    """Writes a figure in the format that the path's suffix names, whole or not at all.

    Args:
        figure: of matplotlib.
        path: of the file.
        dpi: pixels an inch.
        provenance: what a PNG was made of, for `read_provenance`.

    Raises:
        ValueError: matplotlib knows no such format.
    """
    suffix = pathlib.Path(path).suffix.lower().lstrip(".")
    known = figure.canvas.get_supported_filetypes()
    if suffix not in known:
        raise BadValue(f"a figure cannot be written as {os.fspath(path)!r}; its suffix can be {', '.join(known)}")
    # As small as by default, in half the time: photographs have no repetitions that are worth a search.
    options: dict[str, Any] = {"pil_kwargs": {"compress_type": zlib.Z_RLE}} if suffix == "png" else {}
    if suffix == "png" and provenance is not None:
        options["metadata"] = {KEY: as_text(provenance)}
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format=suffix, bbox_inches="tight", pad_inches=0.05, **options)


def write_figure(
    figure: Figure, numbers: Mapping[str, Any], out: pathlib.Path, say: Callable[[str], object] | None = None
) -> pathlib.Path:
    """Writes a figure, and beside it the numbers behind it as JSON.

    Args:
        figure: of matplotlib.
        numbers: what JSON can hold, and NumPy arrays and numbers.
        out: the figure's name.
        say: is told both names; None is silent.

    Returns:
        The figure's name.
    """
    save_figure(figure, out)
    path = out.with_suffix(".json")
    write_json(path, numbers)
    for name in (out, path):
        if say:
            say(str(name))
    return out
