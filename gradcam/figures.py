"""The paper's figures: rows of panels, and below them what colours and boxes mean and what it is all of."""

from __future__ import annotations

import os
import pathlib
import textwrap
import zlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gradcam import maps
from gradcam.maps import LOOK, Look
from gradcam.methods import METHODS, REGISTRY
from gradcam.panels import (
    LONGEST as LONGEST,
    Boxed as Boxed,
    Overlay as Overlay,
    Panel as Panel,
    Panels as Panels,
    Saliency as Saliency,
    bare,
    heading,
    iou_in_words as iou_in_words,
    largest as largest,
    panels as panels,
    pixels_of,
)
from gradcam.pictures import KEY, as_text, write_json
from slim_models.files import whole_file
from slim_models.mistakes import BadValue, check_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Figure, SubFigure
    from matplotlib.gridspec import SubplotSpec

# What the papers call their methods; deprecated: `methods.REGISTRY` has the titles.
TITLES = {name: REGISTRY[name].title for name in METHODS}

# How heat maps are scaled: each by its own maximum, or all of a figure that are of one kind (`Overlay.kind`) by that of
# the largest.
SCALES = ("own", "shared")
# Boxes in figures: colour and dashes, which tell them apart without colours; each has a black rim.
BOXES: dict[str, dict[str, Any]] = {
    "true box": {"edgecolor": "white", "linestyle": "-"},
    "box of the map": {"edgecolor": "cyan", "linestyle": (0, (3, 1.5))},
}
_BAR = 3.0  # inches: as long as a bar of colours gets
_SALIENCY = "Saliency: 0 is mid-grey, contrast is full at the 99.5th percentile of a panel's absolute values."


def grid(
    rows: Sequence[Panels],
    row_titles: Sequence[str],
    title: str = "",
    panel: float = 2.2,
    *,
    look: Look = LOOK,
    scale: str = "own",
    peaks: Mapping[Hashable, float] | None = None,
    remarks: Sequence[str] = (),
    beside: tuple[str, np.ndarray] | None = None,
) -> Figure:
    """Rows of panels with a title above each and one beside each row; below, a bar of the maps' colours and its scale.

    Args:
        rows: each a sequence of (title, panel); a panel is uint8 `[H, W, 3]`, RGB, or an `Overlay`, `Saliency` or
            `Boxed`.
        row_titles: one a row; may be empty strings.
        title: of the whole figure.
        panel: width of a picture in inches.
        look: of heat maps.
        scale: one of `SCALES`.
        peaks: kind of map -> what is as hot as can be on a shared scale; None are the `largest` of the figure.
        remarks: sentences below the figure, such as which network, weights and layer it is of.
        beside: the title and the pixels of a picture that all rows are of, at their left.

    Returns:
        A figure that belongs to no window.

    Raises:
        KeyError: no such scale.
    """
    check_name("scale", scale, SCALES)
    shown = [one for row in rows for _, one in row]
    peaks = (largest(shown) if peaks is None else peaks) if scale == "shared" else None
    pictures = [[pixels_of(one, look, peaks) for _, one in row] for row in rows]
    heights = [panel * min(max(p.shape[0] / p.shape[1] for p in row), 4) for row in pictures]  # inches, within limits
    first, columns, font = int(beside is not None), max(len(row) for row in rows), 9 if panel > 1.6 else 7
    width = (first + columns) * panel
    remarks = [*remarks, *([_SALIENCY] if any(isinstance(one, Saliency) for one in shown) else [])]
    foot = _Foot(_bars(shown, look, scale), _kinds_of_boxes(shown), [_wrapped(line, width, 7) for line in remarks])
    headings = [[heading(*pair) for pair in row] for row in rows]
    lines = [max(len(text.splitlines()) for text in row) for row in headings]
    above = sum(heights) + sum(0.11 + 0.14 * count for count in lines) + 0.35 * bool(title)
    figure, top = _above(foot, width, above)
    spec = top.add_gridspec(len(rows), first + columns, height_ratios=heights)
    for r, (row, row_title) in enumerate(zip(rows, row_titles)):
        for c, (_, one) in enumerate(row):
            axis = _picture(top, spec[r, first + c], headings[r][c], pictures[r][c], font)
            _draw_boxes(axis, one)
            if c == 0:
                axis.set_ylabel(_wrapped(row_title, heights[r], font), fontsize=font)
    if beside is not None:
        _picture(top, spec[:, 0], *beside, font)
    if title:
        top.suptitle(title, fontsize=10)
    return figure


def about(provenance: Mapping[str, Any], layers: Sequence[str] = ()) -> str:
    """The sentence that says what a figure is of: network, weights and layers.

    Args:
        provenance: as of `Explainer.provenance`.
        layers: whose maps are shown; empty if the panels say it.
    """
    origin = f" of {provenance['weights_from']}" if provenance.get("weights_from") else ""
    layer = f", layer {', '.join(layers)}" if layers else ""
    return f"{provenance['network']}, weights {provenance['weights'][:8]}{origin}{layer}."


def _picture(figure: Figure | SubFigure, place: SubplotSpec, title: str, pixels: np.ndarray, font: int) -> Axes:
    axis = figure.add_subplot(place)
    axis.set(xticks=[], yticks=[])
    axis.set_frame_on(False)
    axis.imshow(pixels)
    axis.set_title(title, fontsize=font)
    return axis


def _draw_boxes(axis: Axes, panel: Panel) -> None:
    for kind, boxes in panel.boxes.items() if isinstance(panel, Boxed) else ():
        for x0, y0, x1, y1 in boxes:  # edges of pixels, whose centres matplotlib counts
            axis.add_patch(_box(kind, (x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0))


def _box(kind: str, corner: tuple[float, float], width: float, height: float) -> Any:
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    rim = [withStroke(linewidth=2.6, foreground="black")]
    return Rectangle(corner, width, height, fill=False, linewidth=1.3, path_effects=rim, clip_on=False, **BOXES[kind])


def _kinds_of_boxes(shown: Sequence[Panel]) -> list[str]:
    return [kind for kind in BOXES if any(isinstance(one, Boxed) and one.boxes.get(kind) for one in shown)]


class _Bar(NamedTuple):
    """The colours of maps: what it says, from where to where it goes, and uint8 `[h, w, 3]`."""

    words: str
    ends: tuple[float, float]
    colours: np.ndarray


class _Foot(NamedTuple):
    """What is below the rows of a figure: bars of colours and a legend of boxes side by side, and sentences."""

    bars: Sequence[_Bar]
    legend: Sequence[str]
    sentences: Sequence[str]

    @property
    def text(self) -> str:
        return "\n".join(self.sentences)

    @property
    def height(self) -> float:
        """In inches."""
        lines = (1 + self.text.count("\n")) * bool(self.text)
        return 0.62 * bool(self.bars or self.legend) + 0.12 * lines + 0.08 * bool(lines)


def _bars(shown: Sequence[Panel], look: Look, scale: str) -> list[_Bar]:
    """The colours of the maps in a figure from black to white, as they are over what is dark or light in a picture."""
    overlays = [one for one in map(bare, shown) if isinstance(one, Overlay)]
    values = np.linspace(0, 1, 256)[None].repeat(32, axis=0)
    greys = np.linspace(0, 255, 32).round()[:, None, None] * np.ones((32, 256, 3))
    whose = {"own": "its own maximum", "shared": "the largest one's maximum"}[scale]
    absolute = {"own": "its largest absolute value", "shared": "the largest one's"}[scale]
    bars: list[_Bar] = []
    if not all(one.signed for one in overlays):
        bars.append(_Bar(f"heat map: share of {whose}", (0, 1), maps.overlay(greys, values, *look)))
    if any(one.signed for one in overlays):
        look = look._replace(colormap=maps.DIVERGING)
        bars.append(_Bar(f"signed map: share of {absolute}", (-1, 1), maps.overlay(greys, values, *look)))
    return bars


def _above(foot: _Foot, width: float, height: float) -> tuple[Figure, Figure | SubFigure]:
    """A new figure with its foot, and the part above that, of (width, height) in inches."""
    figure = blank((width, height + foot.height))
    if not foot.height:
        return figure, figure
    top, bottom = figure.subfigures(2, 1, height_ratios=[height, foot.height], squeeze=False)[:, 0]
    count = len(foot.bars) + bool(foot.legend)
    each = min(width / max(count, 1), _BAR)
    beside = max((width - count * each) / 2, 0.01)
    places = bottom.add_gridspec(1, count + 2, width_ratios=[beside, *[each] * count, beside])
    axes = [bottom.add_subplot(places[number + 1]) for number in range(count)]
    for bar, axis in zip(foot.bars, axes):
        axis.imshow(bar.colours, aspect="auto", extent=(*bar.ends, 0, 1))
        axis.set_box_aspect(0.1 / each)
        axis.set(yticks=[], xticks=np.linspace(*bar.ends, 3))
        axis.tick_params(labelsize=6.5, length=2)
        axis.set_xlabel(_wrapped(bar.words, each - 0.3, 7), fontsize=7)
    if foot.legend:
        axes[-1].set_axis_off()
        handles = [_box(kind, (0, 0), 1, 1) for kind in foot.legend]
        axes[-1].legend(handles, foot.legend, loc="center", fontsize=7, facecolor="0.6", framealpha=1)
    if foot.text:
        bottom.supxlabel(foot.text, fontsize=6.5)
    return figure, top


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
