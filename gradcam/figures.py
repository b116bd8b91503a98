"""The paper's figures, drawn from explanations; the only module that imports matplotlib."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from gradcam import maps
from gradcam.cams import CamMethod, grad_cam
from gradcam.explanation import Explanation
from gradcam.photographs import Photograph
from gradcam.writing import whole_file

# A row of panels: a title for each, and uint8 [H, W, 3] RGB pictures.
Panels = Sequence[tuple[str, np.ndarray]]


def panels(
    photograph: Photograph,
    explanation: Explanation,
    number: int = 0,
    *,
    layer: str | None = None,
    method: CamMethod = grad_cam,
    colormap: str = "jet",
) -> dict[str, np.ndarray]:
    """The pictures that explain one photograph for one class, at the photograph's size.

    Args:
        photograph: as it was fitted to the network.
        explanation: of a batch with that photograph in it.
        number: its place in the batch.
        layer: one of those explained; None is the default layer.
        method: of `gradcam.cams`.
        colormap: of the heat map.

    Returns:
        Panel name -> uint8 `[H, W, 3]` RGB: original and Grad-CAM and, if the rule `guided` was
        explained, guided backprop and guided Grad-CAM.
    """
    heatmap = photograph.heatmap(explanation.cam(method, layer)[number])
    result = {"original": photograph.pixels}
    guided = "guided" in explanation.saliency
    if guided:
        result["guided backprop"] = _placed(photograph, explanation.saliency["guided"][number])
    result["Grad-CAM"] = maps.overlay(photograph.pixels, heatmap, colormap)
    if guided:
        product = explanation.guided_grad_cam(layer, method)[number]
        result["guided Grad-CAM"] = _placed(photograph, product)
    return result


def _placed(photograph: Photograph, saliency: np.ndarray) -> np.ndarray:
    """Signed saliency `[h, w, 3]` as a picture of the photograph's size."""
    return maps.display(photograph.place(saliency)[None])[0]


def grid(rows: Sequence[Panels], row_titles: Sequence[str], title: str = "") -> Figure:
    """Rows of pictures with a title above each picture and one beside each row.

    Args:
        rows: each a sequence of (title, uint8 `[H, W, 3]` RGB).
        row_titles: one a row; may be empty strings.
        title: of the whole figure.

    Returns:
        A figure that belongs to no window.
    """
    height, width = rows[0][0][1].shape[:2]
    columns = max(len(row) for row in rows)
    panel = 2.2  # inches
    size = (columns * panel, len(rows) * (panel * height / width + 0.25) + (0.35 if title else 0))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for row, row_title, row_axes in zip(rows, row_titles, axes):
        for axis in row_axes:
            axis.set(xticks=[], yticks=[])
            axis.set_frame_on(False)
        for (panel_title, picture), axis in zip(row, row_axes):
            axis.imshow(picture)
            axis.set_title(panel_title, fontsize=9)
        row_axes[0].set_ylabel(row_title, fontsize=9)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def save_figure(figure: Figure, path: str | os.PathLike, dpi: int = 300) -> None:
    """Writes a figure in the format that the path's suffix names, whole or not at all."""
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=dpi)
