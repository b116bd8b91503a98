"""The pointing game: does a map's maximum lie on an object of the class, and is it silent about other classes?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcam.evaluation.estimates import Estimate, Table, estimate
from gradcam.evaluation.journal import Row
from gradcam.evaluation.localization import rank
from gradcam.evaluation.metrics import points_at
from gradcam.evaluation.running import Batch, require_boxes
from gradcam.methods import Method
from slim_models.mistakes import BadValue

if TYPE_CHECKING:
    from gradcam.explainer import Explainer

PICTURE_CENTRE = "centre"
SIDE = 224  # the tolerance is in pixels of a picture whose shorter side has that many


class Pointing:
    """What is measured of each picture: whether the maximum of each method's map points at its class.

    With `classes`, also what the recall of Selvaraju et al. 2017, sec. 4.1, needs: the peaks of the maps of the
    most probable classes, whether each class is the picture's own, and whether its map points at it.
    """

    needs_boxes, unit, digits = True, "%", 2

    def __init__(self, methods: Mapping[str, Method], tolerance: float = 15.0, classes: int = 0):
        if not 0 <= tolerance < np.inf or classes < 0:
            raise BadValue(f"tolerance and classes must be numbers of at least 0, not {tolerance} and {classes}")
        self.methods, self.tolerance, self.classes = methods, tolerance, classes

    def protocol(self) -> dict[str, Any]:
        """The tolerance, and of how many classes the recall is."""
        return {"tolerance": self.tolerance, "classes": self.classes}

    def remark(self) -> str:
        """The protocol in words."""
        return f"protocol: tolerance {self.tolerance:g} of {SIDE} pixels; rejection threshold chosen on the other half"

    def rows(self, explainer: Explainer, batch: Batch) -> list[Row]:
        """The rows of a batch: `hit` by method and, by method, a list `predicted` of peak, own class and hit.

        Raises:
            ValueError: a picture has no true box.
        """
        require_boxes(batch.examples)
        explanation = explainer.explain(batch.images, batch.targets)
        rows: list[Row] = [{"rank": int(r), "hit": {}} for r in rank(explanation.logits, batch.targets)]
        for name, method in self.methods.items():
            for i, cam in enumerate(method.make(explanation)):
                rows[i]["hit"][name] = self._points(batch, i, cam)
        for i, row in enumerate(rows):
            row["hit"][PICTURE_CENTRE] = self._points(batch, i, np.ones((1, 1)))
        if self.classes:
            self._add_predicted(explainer, batch, explanation.logits, rows)
        return rows

    def tables(self, rows: Sequence[Row], network: str) -> dict[str, Table]:
        """How many maps point at their class; with `classes`, also the recall."""
        recall = {"pointing game with recall": recalls(rows, self.methods)} if self.classes else {}
        return {"pointing game": accuracies(rows, self.methods), **recall}

    def _add_predicted(self, explainer: Explainer, batch: Batch, logits: np.ndarray, rows: list[Row]) -> None:
        for row in rows:
            row["predicted"] = {name: [] for name in self.methods}
        most_probable = np.argsort(-logits, axis=1, kind="stable")[:, : self.classes]
        for targets in most_probable.T:
            explanation = explainer.explain(batch.images, targets)
            own = (targets == batch.targets).tolist()
            for name, method in self.methods.items():
                for i, cam in enumerate(method.make(explanation)):
                    points = own[i] and self._points(batch, i, cam)
                    rows[i]["predicted"][name].append([float(cam.max()), own[i], points])

    def _points(self, batch: Batch, i: int, cam: np.ndarray) -> bool:
        frame = batch.frames[i]
        tolerance = self.tolerance * min(frame.size) / SIDE
        return points_at(frame.heatmap(cam), batch.examples[i].boxes, tolerance)


def accuracies(rows: Sequence[Row], methods: Mapping[str, Method]) -> dict[str, dict[str, Estimate]]:
    """Per cent of pictures whose map points at their class, by the method's title and for the picture's centre."""
    titles = {**{name: method.title for name, method in methods.items()}, PICTURE_CENTRE: PICTURE_CENTRE}
    return {
        title: {"points at the class": estimate([row["hit"][name] for row in rows], 100)}
        for name, title in titles.items()
    }


def recalls(rows: Sequence[Row], methods: Mapping[str, Method]) -> dict[str, dict[str, Estimate]]:
    """Per cent of the predicted classes' maps that are right: on the object, or rejected where there is none.

    A map is rejected where its peak is below a threshold, for which the paper names no value. Here it is the one
    that is best for every other picture, applied to the rest, and the other way round: no picture judges by a
    threshold that it helped to choose.

    Args:
        rows: of `Pointing` with classes.
        methods: as measured.
    """
    table = {}
    for name, method in methods.items():
        peaks, own, points = np.moveaxis(np.array([row["predicted"][name] for row in rows], np.float64), 2, 0)
        halves = np.arange(len(peaks)) % 2
        right = np.zeros(len(peaks))
        for half in (0, 1):
            judged, chosen = halves == half, halves != half
            threshold = best_threshold(peaks[chosen], own[chosen] > 0, points[chosen] > 0)
            kept = peaks[judged] >= threshold
            right[judged] = np.where(kept, points[judged], own[judged] == 0).mean(axis=1)
        table[method.title] = {"with recall": estimate(right, 100)}
    absent = 1 - own.mean(axis=1)
    return {**table, "every map rejected": {"with recall": estimate(absent, 100)}}


def best_threshold(peaks: np.ndarray, own: np.ndarray, points: np.ndarray) -> float:
    """The threshold at which most maps are right: those below it count as rejected.

    Args:
        peaks: of any shape, >= 0.
        own: whether the class is the picture's, of that shape.
        points: whether the map points at it.
    """
    heights, group = np.unique(peaks, return_inverse=True)  # equal peaks are kept or rejected together
    gain = np.where(own, 0, 1) - np.where(points, 1, 0)  # of rejecting a map
    total = np.cumsum(np.bincount(group.ravel(), gain.ravel()))
    return float([*heights, np.inf][np.argmax([0, *total])])
