"""Weakly supervised localisation: a box from each map, beside the true ones; and how much of a map lies in them."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcam import boxes, maps
from gradcam.boxes import Box
from gradcam.evaluation.estimates import Estimate, Table, estimate
from gradcam.evaluation.journal import Row
from gradcam.evaluation.max_box import max_box_acc, max_box_acc_v2, reached
from gradcam.evaluation.metrics import mask_of, mass_inside, rank_accuracy
from gradcam.evaluation.naming import chosen
from gradcam.evaluation.running import Batch, require_boxes
from gradcam.methods import BASELINES, Method, methods_named
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


@dataclasses.dataclass(frozen=True)
class PlaceMetric:
    """A number of a map, or a word of it for a journal, that true boxes judge.

    Attributes:
        title: what papers call it.
        of: a heat map `[H, W]` in [0, 1] of the picture's own size, and the true boxes -> the number or the word.
        mean: of all pictures' numbers or words, those of blank maps left out -> per cent.
    """

    title: str
    of: Callable[[np.ndarray, Sequence[Box]], float | str]
    mean: Callable[[Sequence[Any]], Estimate] = lambda values: estimate(values, 100)


def _energy(heatmap: np.ndarray, true: Sequence[Box]) -> float:
    """`mass_inside`, of pictures whose object is no larger than half of them, as Wang et al. 2020 choose them."""
    mask = mask_of(true, heatmap.shape)
    return mass_inside(heatmap, mask) if mask.mean() <= 0.5 else math.nan


PLACE_METRICS: dict[str, PlaceMetric | None] = {
    "boxes": None,  # the error of ILSVRC's rule, in which the rank of the class has a part
    "max_box_acc": PlaceMetric("MaxBoxAcc", functools.partial(reached, largest=True), max_box_acc),
    "max_box_acc_v2": PlaceMetric("MaxBoxAccV2", functools.partial(reached, largest=False), max_box_acc_v2),
    "energy": PlaceMetric("energy-based pointing game, objects up to half the picture", _energy),
    "relevance_mass": PlaceMetric("relevance mass accuracy", lambda h, true: mass_inside(h, mask_of(true, h.shape))),
    "relevance_rank": PlaceMetric("relevance rank accuracy", lambda h, true: rank_accuracy(h, mask_of(true, h.shape))),
}


class Localization:
    """What is measured of each picture: the rank of its class, and the IoU of each method's box.

    A picture is explained for its own class alone. Of the classes predicted no other can count in ILSVRC's
    rule (right class and IoU >= 0.5), so that this says all about the boxes of the five most probable ones.
    """

    needs_boxes, unit, digits, one_scale = True, "%", 2, True

    def __init__(
        self,
        methods: Mapping[str, Method],
        boxes: BoxProtocol | None = None,
        classification: bool = True,
        metrics: Sequence[str] = ("boxes",),
    ):
        """Says what is compared.

        Args:
            methods: whose maps become boxes; with other metrics than `boxes` also those of `methods.BASELINES`.
            boxes: how; None is as in the paper.
            classification: whether there is a table of the classification error too.
            metrics: keys of `PLACE_METRICS`.
        """
        self.metrics = chosen(metrics, PLACE_METRICS)
        self.boxes, self.classification = boxes or BoxProtocol(), classification and "boxes" in self.metrics
        self._others = {name: metric for name in self.metrics if (metric := PLACE_METRICS[name])}
        more = methods_named(name for name in BASELINES if name not in methods) if self._others else {}
        self.methods: Mapping[str, Method] = {**methods, **more}

    def protocol(self) -> dict[str, Any]:
        """The metrics, and how maps become boxes."""
        return {"metrics": list(self.metrics), "boxes": dataclasses.asdict(self.boxes)}

    def remark(self) -> str:
        """The protocol in words."""
        fixed = f"protocol: {self.boxes}" if "boxes" in self.metrics else "protocol: the class given"
        best = "MaxBoxAcc takes the threshold that is best for these very pictures, as its authors do"
        return f"{fixed}; {best}" if {"max_box_acc", "max_box_acc_v2"} & {*self.metrics} else fixed

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
            row: Row = {"rank": int(ranks[i])}
            if "boxes" in self.metrics:
                found = {n: self.boxes.box(frame, cams[i], explainer.network.image_size) for n, cams in made.items()}
                found |= {WHOLE: boxes.whole(frame.size), CENTRED_BOX: boxes.centred(frame.size)}
                row["iou"] = {name: boxes.best_iou(box, example.boxes) for name, box in found.items()}
            if self._others:
                heatmaps = {name: frame.heatmap(cams[i]) for name, cams in made.items()}
                row |= {name: _values(metric, heatmaps, example.boxes) for name, metric in self._others.items()}
            rows.append(row)
        return rows

    def tables(self, rows: Sequence[Row], network: str) -> dict[str, Table]:
        """The classification error of the network, and the localisation error of methods and baselines."""
        classification = {"classification error": {network: classification_errors(rows)}} if self.classification else {}
        errors = {"localisation error": localization_errors(rows, self.methods)} if "boxes" in self.metrics else {}
        others = {metric.title: self._table(rows, name, metric) for name, metric in self._others.items()}
        return {**classification, **errors, **others}

    def _table(self, rows: Sequence[Row], key: str, metric: PlaceMetric) -> dict[str, dict[str, Estimate]]:
        """What a metric comes to by the method's title."""
        table = {}
        for name, method in self.methods.items():
            known = [value for row in rows if (value := row[key][name]) is not None]
            table[method.title] = {"class given": metric.mean(known)}
        return table


def _values(metric: PlaceMetric, heatmaps: Mapping[str, np.ndarray], true: Sequence[Box]) -> Row:
    """A metric of one picture's maps by method, null where a map is the same everywhere or there is no number."""
    result: Row = {}
    for name, heatmap in heatmaps.items():
        value = metric.of(heatmap, true) if np.ptp(heatmap) > 0 else math.nan
        result[name] = None if isinstance(value, float) and math.isnan(value) else value
    return result


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
