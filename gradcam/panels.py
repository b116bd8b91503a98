"""What a figure is made of: maps and saliency over photographs, and boxes, as pixels; `figures` lays them out."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from gradcam import maps
from gradcam.boxes import Box
from gradcam.cams import CamMethod
from gradcam.explanation import Explanation
from gradcam.maps import LOOK, Look
from gradcam.methods import methods_named, title_of
from gradcam.pictures import Photograph

LONGEST = 1000  # pixels of a photograph's side in a panel, which is a few hundred wide


@dataclasses.dataclass(frozen=True, eq=False)
class Overlay:
    """A map over a photograph, drawn when the whole figure, and so its scale, is known.

    Attributes:
        photograph: as it was fitted to the network.
        cam: `[h, w]`, >= 0, of the fitted picture; where it is `signed`, of any sign.
        note: below the panel's title: what the network says of the class.
        kind: tells what can be compared from what cannot: of the maps of one network, layer and method one may be
            twice as strong as another, which means nothing of two methods.
        signed: whether 0 is in the middle of the colours.
    """

    photograph: Photograph
    cam: np.ndarray
    note: str = ""
    kind: Hashable = None
    signed: bool = False

    @property
    def peak(self) -> float:
        """The map's largest absolute value."""
        return float(np.abs(self.cam).max())

    def pixels(self, look: Look = LOOK, peak: float | None = None) -> np.ndarray:
        """The panel: uint8 `[H, W, 3]`, RGB, at the photograph's size.

        Args:
            look: of the heat map; signed maps have `maps.DIVERGING` in the place of its colours.
            peak: what is as hot as can be: the largest of several maps; None is the map's own.
        """
        share = min(self.peak / peak, 1) if peak else 1.0
        look = look._replace(colormap=maps.DIVERGING) if self.signed else look
        return self.photograph.overlay_of(self.cam, look, signed=self.signed, share=share)


@dataclasses.dataclass(frozen=True, eq=False)
class Saliency:
    """Signed saliency about mid-grey, scaled for itself as by `maps.display`.

    Attributes:
        photograph: as it was fitted to the network; of saliency the channels are shown that are shown of it.
        saliency: `[h, w, K]`, of the fitted picture.
        note: below the panel's title: what the network says of the class.
    """

    photograph: Photograph
    saliency: np.ndarray
    note: str = ""

    def pixels(self) -> np.ndarray:
        """The panel: uint8 `[H, W, 3]`, RGB, at the photograph's size."""
        return maps.display(self.photograph.place(self.photograph.shown(self.saliency))[None])[0]


@dataclasses.dataclass(frozen=True, eq=False)
class Boxed:
    """A panel with boxes.

    Attributes:
        panel: an overlay, or uint8 `[H, W, 3]`, RGB.
        boxes: kind, of `figures.BOXES`, -> boxes in pixels of the panel.
        note: below the panel's title, such as `IoU = 0.46`.
    """

    panel: Overlay | np.ndarray
    boxes: Mapping[str, Sequence[Box]]
    note: str = ""


Panel = np.ndarray | Overlay | Saliency | Boxed  # a picture is uint8 [H, W, 3], RGB
Panels = Sequence[tuple[str, Panel]]  # a row of a figure: a title for each


def panels(
    photograph: Photograph,
    explanation: Explanation,
    *,
    layer: str | None = None,
    method: CamMethod | str = "grad_cam",
) -> dict[str, Panel]:
    """The panels that explain one photograph for one class, as `figures.grid` takes them.

    Args:
        photograph: as it was fitted to the network.
        explanation: of that photograph alone.
        layer: one of those explained; None is the default layer.
        method: by its name in `methods.REGISTRY`, or a function of activations and gradients.

    Returns:
        Panel name -> panel of the photograph's proportions: the original, the heat map over it and, if the rule
        `guided` was explained, guided backprop and its product with the map of a formula. Of K channels the
        photograph's bands are shown, of saliency as of the picture: their mean unless chosen.

    Raises:
        KeyError: no such method, or what it needs was not explained.
    """
    photograph = photograph.shrunk(LONGEST)
    entry = methods_named([method])[method] if isinstance(method, str) else None
    title, formula = (title_of(method), method) if entry is None else (entry.title, entry.formula)
    said, signed = explanation.says(0), entry is not None and entry.signed is not None
    cam = explanation.cam(method, layer) if entry is None else entry.shown(explanation, layer)
    shown: dict[str, Panel] = {"original": photograph.pixels}
    if "guided" in explanation.saliency:
        shown["guided backprop"] = Saliency(photograph, explanation.saliency["guided"][0], said)
    shown[title] = Overlay(photograph, cam[0], said, (layer or explanation.default_layer, title), signed)
    if "guided" in explanation.saliency and formula is not None:
        shown[f"guided {title}"] = Saliency(photograph, explanation.guided_grad_cam(layer, formula)[0], said)
    return shown


def largest(panels: Sequence[Panel]) -> dict[Hashable, float]:
    """The peak of the strongest map of each kind, which maps of that kind are drawn on a shared scale by."""
    peaks: dict[Hashable, float] = {}
    for panel in map(bare, panels):
        if isinstance(panel, Overlay):
            peaks[panel.kind] = max(panel.peak, peaks.get(panel.kind, 0.0))
    return peaks


def bare(panel: Panel) -> np.ndarray | Overlay | Saliency:
    """A panel without its boxes."""
    return panel.panel if isinstance(panel, Boxed) else panel


def pixels_of(panel: Panel, look: Look = LOOK, peaks: Mapping[Hashable, float] | None = None) -> np.ndarray:
    """A panel as uint8 `[H, W, 3]`, RGB, without its boxes; `peaks`: as of `largest`, None for each map's own."""
    panel = bare(panel)
    if isinstance(panel, Overlay):
        return panel.pixels(look, (peaks or {}).get(panel.kind))
    return panel.pixels() if isinstance(panel, Saliency) else panel


def heading(title: str, panel: Panel) -> str:
    """What stands above a panel: its title, what the network says of the class, and that a map is blank, if it is."""
    within = bare(panel)
    notes = [one.note for one in ([panel] if panel is within else [within, panel]) if not isinstance(one, np.ndarray)]
    shown = within.cam if isinstance(within, Overlay) else within.saliency if isinstance(within, Saliency) else None
    blank = "" if shown is None or shown.any() else " (blank)"
    return "\n".join([f"{title}{blank}", *filter(None, notes)])


def iou_in_words(iou: float) -> str:
    """How a panel says how well a box fits: `IoU = 0.46`."""
    return f"IoU = {iou:.2f}"
