"""Weakly supervised localisation (Selvaraju et al. 2017, sec. 4.1): a box from each map, beside the true ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcam import boxes, maps
from gradcam.boxes import Box
from gradcam.evaluation.estimates import Estimate, Table, estimate
from gradcam.evaluation.journal import Row
from gradcam.evaluation.running import Batch, require_boxes
from gradcam.methods import Method
from gradcam.pictures import Frame, region
from slim_models.mistakes import UnknownName

if TYPE_CHECKING:
    from gradcam.explainer import Explainer

RESIZINGS = ("picture", "network")
WHOLE, CENTRED_BOX = "whole picture", "centred box, half the area"


@dataclasses.dataclass(frozen=True)
class BoxProtocol:
    """How a map becomes a box.

    Attributes:
        threshold: share of the maximum; the paper's is 0.15.
        segment: as of `boxes.box_of`; the paper's is the largest.
        resize: at which size the map is cut: the `picture`'s own, or the `network`'s.
    """

    threshold: float = 0.15
    segment: str = "largest"
    resize: str = "picture"

    def __post_init__(self) -> None:
        if self.resize not in RESIZINGS:
            raise UnknownName(f"no size {self.resize!r} to cut maps at; the choices are {', '.join(RESIZINGS)}")
        boxes.box_of(np.ones((1, 1)), self.threshold, self.segment)  # complains before hours of work

    def __str__(self) -> str:
        return (
            f"boxes round the {self.segment} segment above {100 * self.threshold:g} % of the maximum, "
            f"of maps at the {self.resize}'s size"
        )

    def box(self, frame: Frame, cam: np.ndarray, network_size: tuple[int, int]) -> Box:
        """The box of a map in pixels of the photograph.

        Args:
            frame: of the photograph, as it was fitted to the network.
            cam: `[h, w]`, >= 0, of the network's whole input.
            network_size: (height, width) of the network's input.
        """
        if self.resize == "picture":
            return boxes.box_of(frame.heatmap(cam), self.threshold, self.segment)
        found = boxes.box_of(maps.heatmap(cam[None], network_size)[0], self.threshold, self.segment)
        rows, columns = region(frame.size, frame.fit)
        x0, y0, x1, y1 = boxes.scaled(found, network_size, (rows.stop - rows.start, columns.stop - columns.start))
        return (x0 + columns.start, y0 + rows.start, x1 + columns.start, y1 + rows.start)


class Localization:
    """What is measured of each picture: the rank of its class, and the IoU of each method's box.

    A picture is explained for its own class alone. Of the classes predicted no other can count in ILSVRC's
    rule (right class and IoU >= 0.5), so that this says all about the boxes of the five most probable ones.
    """

    needs_boxes, unit, digits = True, "%", 2

    def __init__(self, methods: Mapping[str, Method], boxes: BoxProtocol | None = None, classification: bool = True):
        """Says what is compared.

        Args:
            methods: whose maps become boxes.
            boxes: how; None is as in the paper.
            classification: whether there is a table of the classification error too.
        """
        self.methods, self.boxes, self.classification = methods, boxes or BoxProtocol(), classification

    def protocol(self) -> dict[str, Any]:
        """How maps become boxes."""
        return {"boxes": dataclasses.asdict(self.boxes)}

    def remark(self) -> str:
        """The protocol in words."""
        return f"protocol: {self.boxes}"

    def rows(self, explainer: Explainer, batch: Batch) -> list[Row]:
        """The rows of a batch: `rank`, 0 where the class is the most probable, and `iou` by method.

        Raises:
            ValueError: a picture has no true box.
        """
        require_boxes(batch.examples)
        explanation = explainer.explain(batch.images, batch.targets)
        ranks = rank(explanation.logits, batch.targets)
        made = {name: method.make(explanation) for name, method in self.methods.items()}
        rows: list[Row] = []
        for i, (example, frame) in enumerate(zip(batch.examples, batch.frames)):
            found = {n: self.boxes.box(frame, cams[i], explainer.network.image_size) for n, cams in made.items()}
            found |= {WHOLE: boxes.whole(frame.size), CENTRED_BOX: boxes.centred(frame.size)}
            overlaps = {name: boxes.best_iou(box, example.boxes) for name, box in found.items()}
            rows.append({"rank": int(ranks[i]), "iou": overlaps})
        return rows

    def tables(self, rows: Sequence[Row], network: str) -> dict[str, Table]:
        """The classification error of the network, and the localisation error of methods and baselines."""
        classification = {"classification error": {network: classification_errors(rows)}} if self.classification else {}
        return {**classification, "localisation error": localization_errors(rows, self.methods)}


def rank(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """How many classes are more probable than each image's own: `[N, C]`, `[N]` -> `[N]`."""
    own = np.take_along_axis(logits, np.asarray(targets)[:, None], axis=1)
    return (logits > own).sum(axis=1)


def classification_errors(rows: Sequence[Row]) -> dict[str, Estimate]:
    """Per cent of pictures whose class is not the most probable, not among the five most probable."""
    ranks = np.array([row["rank"] for row in rows])
    return {f"top-{k}": estimate(ranks >= k, 100) for k in (1, 5)}


def localization_errors(rows: Sequence[Row], methods: Mapping[str, Method]) -> dict[str, dict[str, Estimate]]:
    """Per cent of pictures without a right class and a box of IoU >= 0.5.

    Args:
        rows: of `Localization`.
        methods: as measured; they give the rows' titles.

    Returns:
        Title of the method or baseline -> `top-1`, `top-5` and `class given`, in which the class is always right.
    """
    ranks = np.array([row["rank"] for row in rows])
    titles = {**{name: method.title for name, method in methods.items()}, WHOLE: WHOLE, CENTRED_BOX: CENTRED_BOX}
    table = {}
    for name, title in titles.items():
        apart = np.array([row["iou"][name] < 0.5 for row in rows])
        errors = {f"top-{k}": estimate((ranks >= k) | apart, 100) for k in (1, 5)}
        table[title] = {**errors, "class given": estimate(apart, 100)}
    return table
