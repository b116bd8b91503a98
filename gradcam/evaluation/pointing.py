"""The pointing game: does a map's maximum lie on an object of the class, and is it silent about other classes?"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcam.boxes import Box
from gradcam.evaluation.datasets import Example
from gradcam.evaluation.estimates import Estimate, Table, estimate, estimate_of_classes
from gradcam.evaluation.journal import Row
from gradcam.evaluation.localization import rank
from gradcam.evaluation.metrics import mask_of, pixel_points_at, points_at
from gradcam.evaluation.running import Batch, require_boxes
from gradcam.methods import Method
from slim_models.mistakes import BadValue, UnknownName, check_name

if TYPE_CHECKING:
    from gradcam.explainer import Explainer

PROTOCOLS = ("paper", "torchray")
PICTURE_CENTRE = "centre"
SIDE = 224  # the tolerance is in pixels of a picture whose shorter side has that many


class Pointing:
    """What is measured of each picture: whether the maximum of each method's map points at its class.

    With `classes`, also what the recall of Selvaraju et al. 2017, sec. 4.1, needs: the peaks of the maps of the
    most probable classes, whether each class is the picture's own, and whether its map points at it.
    """

    needs_boxes, unit, digits, one_scale = True, "%", 2, True

    def __init__(
        self, methods: Mapping[str, Method], tolerance: float = 15.0, classes: int = 0, protocol: str = "paper"
    ):
        """Says what is compared.

        Args:
            methods: whose maps point.
            tolerance: in pixels, by the paper's protocol of a picture whose shorter side has `SIDE`, by TorchRay's of
                the picture as it is.
            classes: of how many of the most probable ones the recall is; 0 leaves it out.
            protocol: `"paper"`, in which a map points at the boxes of its class, as `points_at` has it, and pictures
                count alike; or `"torchray"`, at its pixels, where the data set has them, as `pixel_points_at` has it,
                and classes count alike (Fong et al. 2019, arXiv 1910.08485).

        Raises:
            KeyError: no such protocol.
            ValueError: a tolerance or a number of classes below 0.
        """
        check_name("protocol", protocol, PROTOCOLS)
        if not 0 <= tolerance < np.inf or classes < 0:
            raise BadValue(f"tolerance and classes must be numbers of at least 0, not {tolerance} and {classes}")
        self.methods, self.tolerance, self.classes, self._protocol = methods, tolerance, classes, protocol

    def protocol(self) -> dict[str, Any]:
        """The tolerance, of how many classes the recall is, and whose protocol it is."""
        return {"tolerance": self.tolerance, "classes": self.classes, "protocol": self._protocol}

    def remark(self) -> str:
        """The protocol in words."""
        if self._protocol == "torchray":
            said = f"TorchRay's: tolerance {self.tolerance:g} pixels of the picture, mean over classes"
        else:
            said = f"tolerance {self.tolerance:g} of {SIDE} pixels"
        return f"protocol: {said}; rejection threshold chosen on the other half"

    def rows(self, explainer: Explainer, batch: Batch) -> list[Row]:
        """The rows of a batch: `class`, `difficult`, `hit` by method; by method also a list `predicted` of peak, own
        class and hit, which only the first example of a picture has.

        Raises:
            ValueError: a picture has no true box.
        """
        require_boxes(batch.examples)
        explanation = explainer.explain(batch.images, batch.targets)
        rows: list[Row] = [
            {"rank": int(r), "class": str(example.target), "difficult": example.difficult, "hit": {}}
            for r, example in zip(rank(explanation.logits, batch.targets), batch.examples)
        ]
        judges = [self._judge(batch, i) for i in range(len(rows))]
        for name, method in self.methods.items():
            for row, frame, judge, cam in zip(rows, batch.frames, judges, method.make(explanation)):
                row["hit"][name] = judge(frame.heatmap(cam))
        for row, frame, judge in zip(rows, batch.frames, judges):
            row["hit"][PICTURE_CENTRE] = judge(_centre(frame.size))
        if self.classes:
            self._add_predicted(explainer, batch, explanation.logits, rows)
        return rows

    def tables(self, rows: Sequence[Row], network: str) -> dict[str, Table]:
        """How many maps point at their class; with `classes`, also the recall."""
        recall = {"pointing game with recall": recalls(rows, self.methods)} if self.classes else {}
        by_class = self._protocol == "torchray"
        return {"pointing game": accuracies(rows, self.methods, by_class=by_class), **recall}

    def _add_predicted(self, explainer: Explainer, batch: Batch, logits: np.ndarray, rows: list[Row]) -> None:
        for row in rows:
            row["predicted"] = {name: [] for name in self.methods}
        first = [i for i, example in enumerate(batch.examples) if example.is_first]
        there = {i: _classes(explainer, batch.examples[i], int(batch.targets[i])) for i in first}
        most_probable = np.argsort(-logits, axis=1, kind="stable")[:, : self.classes]
        for targets in most_probable[first].T if first else ():
            explanation = explainer.explain(batch.images[first], targets)
            for name, method in self.methods.items():
                for i, target, cam in zip(first, targets, method.make(explanation)):
                    boxes = there[i].get(int(target))
                    points = boxes is not None and self._points_at(batch, i, batch.frames[i].heatmap(cam), boxes)
                    rows[i]["predicted"][name].append([float(cam.max()), boxes is not None, points])

    def _judge(self, batch: Batch, i: int) -> Callable[[np.ndarray], bool]:
        """Whether a heat map of a picture points at its class."""
        example, frame = batch.examples[i], batch.frames[i]
        if self._protocol == "paper":
            return lambda heatmap: self._points_at(batch, i, heatmap, example.boxes)
        mask = mask_of(example.boxes, frame.size) if example.mask is None else example.mask()
        return lambda heatmap: pixel_points_at(heatmap, mask, self.tolerance)

    def _points_at(self, batch: Batch, i: int, heatmap: np.ndarray, boxes: Sequence[Box]) -> bool:
        return points_at(heatmap, boxes, self.tolerance * min(batch.frames[i].size) / SIDE)


def _centre(size: tuple[int, int]) -> np.ndarray:
    """A map that is hot in the middle alone: `[H, W]`, of one pixel or, where a side is even, of two or four."""
    result = np.zeros(size, np.float32)
    rows, columns = (slice((side - 1) // 2, side // 2 + 1) for side in size)
    result[rows, columns] = 1
    return result


def _classes(explainer: Explainer, example: Example, target: int) -> dict[int, Sequence[Box]]:
    """The classes of a picture that the network has, and their boxes."""
    result: dict[int, Sequence[Box]] = {target: example.boxes}
    for other, boxes in example.others.items():
        with contextlib.suppress(UnknownName):  # it cannot be predicted
            result[explainer.index(other)] = boxes
    return result


def accuracies(
    rows: Sequence[Row], methods: Mapping[str, Method], *, by_class: bool = False
) -> dict[str, dict[str, Estimate]]:
    """Per cent of pictures whose map points at their class, by the method's title and for the picture's centre.

    Args:
        rows: of `Pointing`.
        methods: as measured.
        by_class: whether it is the mean of the classes' shares.

    Returns:
        Of all, and of the difficult ones where it is known which these are.
    """
    titles = {**{name: method.title for name, method in methods.items()}, PICTURE_CENTRE: PICTURE_CENTRE}
    columns = {"points at the class": rows}
    if any(row["difficult"] is not None for row in rows):
        columns["difficult ones"] = [row for row in rows if row["difficult"]]

    def share(of: Sequence[Row], name: str) -> Estimate:
        hits = np.array([row["hit"][name] for row in of], bool)
        return estimate_of_classes(hits, [row["class"] for row in of], 100) if by_class else estimate(hits, 100)

    return {title: {column: share(of, name) for column, of in columns.items()} for name, title in titles.items()}


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
        found = [row["predicted"][name] for row in rows if row["predicted"][name]]
        peaks, own, points = np.moveaxis(np.array(found, np.float64), 2, 0)
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
