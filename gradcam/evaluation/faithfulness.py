"""Faithfulness: does a map say what the network goes by? Its metrics by name, and their measure over a data set."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from gradcam import maps
from gradcam.evaluation import criteria, removal
from gradcam.evaluation.estimates import Estimate, Table, estimate
from gradcam.evaluation.journal import Row
from gradcam.evaluation.localization import rank
from gradcam.evaluation.metrics import rank_correlation
from gradcam.evaluation.naming import chosen
from gradcam.evaluation.running import Batch
from gradcam.evaluation.subject import Subject
from gradcam.methods import BASELINES, Method, methods_named
from slim_models.mistakes import BadValue

if TYPE_CHECKING:
    from gradcam.explainer import Explainer

Of = Callable[[Subject, np.ndarray, Method], float]  # a picture, a map [H, W] in [0, 1] and how it was made -> number


@dataclasses.dataclass(frozen=True)
class Metric:
    """A number that judges a map of a picture.

    Attributes:
        title: what papers call it.
        of: a picture, a map and its method -> the number; NaN where it has none.
        better: `"higher"` or `"lower"`; empty of what is neither.
        bounds: the least and the largest value that it can have.
        probabilities: whether it needs them, which a linear head does not give.
    """

    title: str
    of: Of
    better: str
    bounds: tuple[float, float] = (0.0, 1.0)
    probabilities: bool = True


def _occlusion(subject: Subject, heatmap: np.ndarray, method: Method) -> float:
    return rank_correlation(on_grid(heatmap, subject.occlusion.shape), subject.occlusion)


def on_grid(heatmap: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """A map averaged over the cells of the occlusion map: `[H, W]` -> `[h, w]`."""
    return cv2.resize(heatmap, size[::-1], interpolation=cv2.INTER_AREA)


def _area(function: Callable[..., float], other: str) -> Of:
    return lambda subject, heatmap, _: function(subject.probability, subject.image, heatmap, getattr(subject, other))


def _seen(function: Callable[[float, float], float]) -> Of:
    return lambda subject, heatmap, _: function(subject.own, subject.seen_through(heatmap))


def _road(least: bool) -> Of:
    return lambda subject, heatmap, _: float(removal.road(subject.first, subject.image, heatmap, least=least).mean())


def _pixel_flipping(subject: Subject, heatmap: np.ndarray, method: Method) -> float:
    return removal.pixel_flipping(subject.probability, subject.image, heatmap)


def _correlation(subject: Subject, heatmap: np.ndarray, method: Method) -> float:
    places, drops = subject.subsets
    return criteria.faithfulness_correlation(heatmap.ravel()[places].sum(axis=1, dtype=np.float64), drops)


def _infidelity(subject: Subject, heatmap: np.ndarray, method: Method) -> float:
    hidden, drops = subject.squares
    return criteria.unexplained(hidden.reshape(len(hidden), -1) @ np.asarray(heatmap.ravel(), np.float64), drops)


def _max_sensitivity(subject: Subject, heatmap: np.ndarray, method: Method) -> float:
    return criteria.max_sensitivity(heatmap, maps.heatmap(method.make(subject.noisy), heatmap.shape))


METRICS: dict[str, Metric] = {
    "occlusion": Metric("rank correlation with occlusion", _occlusion, "higher", (-1, 1), probabilities=False),
    "deletion": Metric("deletion, to grey", _area(removal.deletion, "grey"), "lower"),
    "deletion_blur": Metric("deletion, to blur", _area(removal.deletion, "blurred"), "lower"),
    "insertion": Metric("insertion, from blur", _area(removal.insertion, "blurred"), "higher"),
    "insertion_grey": Metric("insertion, from grey", _area(removal.insertion, "grey"), "higher"),
    "average_drop": Metric("average drop", _seen(criteria.average_drop), "lower"),
    "increase": Metric("increase in confidence", _seen(criteria.increase), "higher"),
    "average_gain": Metric("average gain", _seen(criteria.average_gain), "higher"),
    "road_morf": Metric("ROAD, most relevant first", _road(False), "lower", probabilities=False),
    "road_lerf": Metric("ROAD, least relevant first", _road(True), "higher", probabilities=False),
    "pixel_flipping": Metric("pixel flipping (AOPC)", _pixel_flipping, "higher", (-1, 1)),
    "faithfulness_correlation": Metric("faithfulness correlation", _correlation, "higher", (-1, 1), False),
    "infidelity": Metric("infidelity, as a share", _infidelity, "lower", probabilities=False),
    "max_sensitivity": Metric("max-sensitivity", _max_sensitivity, "lower", (0, math.inf), False),
    "sparseness": Metric("sparseness (Gini)", lambda s, heatmap, _: criteria.sparseness(heatmap), "", (0, 1), False),
    "complexity": Metric(
        "complexity (entropy, nats)", lambda s, heatmap, _: criteria.complexity(heatmap), "", (0, math.inf), False
    ),
}


class Faithfulness:
    """What is measured of each picture: the numbers that metrics give each method's map, and the baselines'."""

    needs_boxes, unit, digits = False, "mean", 3

    def __init__(
        self,
        methods: Mapping[str, Method],
        metrics: Sequence[str] = ("occlusion",),
        patch: int | None = None,
        stride: int | None = None,
    ):
        """Says what is compared.

        Args:
            methods: name and way of each map; those of `methods.BASELINES` come with them.
            metrics: keys of `METRICS`.
            patch: of the occlusion map in pixels of the network's input, as for `occlusion_map`.
            stride: as for `occlusion_map`.
        """
        for name, value in (("patch", patch), ("stride", stride)):
            if value is not None and value < 1:
                raise BadValue(f"{name} must be at least 1 pixel, not {value}")
        self.metrics, self.patch, self.stride = chosen(metrics, METRICS), patch, stride
        baselines = methods_named(name for name in BASELINES if name not in methods)
        self.methods: Mapping[str, Method] = {**methods, **baselines}

    @property
    def one_scale(self) -> bool:
        """Whether the tables' numbers are of one kind."""
        return len(self.metrics) == 1

    def protocol(self) -> dict[str, Any]:
        """The metrics; patch and stride of the occlusion maps."""
        return {"metrics": list(self.metrics), "patch": self.patch, "stride": self.stride}

    def remark(self) -> str:
        """The protocol in words."""
        patch = "height / 5" if self.patch is None else self.patch
        stride = "height / 14" if self.stride is None else self.stride
        occlusion = f"; occlusion by a grey patch of {patch}, stride {stride}" if "occlusion" in self.metrics else ""
        return f"protocol: the picture's own class; maps at the network's size, blank ones left out{occlusion}"

    def tables(self, rows: Sequence[Row], network: str) -> dict[str, Table]:
        """A table for each metric: methods and baselines, over all pictures and those whose class was predicted."""
        return {titled(METRICS[name]): self._table(rows, name) for name in self.metrics}

    def rows(self, explainer: Explainer, batch: Batch) -> list[Row]:
        """The rows of a batch: a number by metric and method, null where there is none, as of a constant map.

        Raises:
            ValueError: a metric is of probabilities, and the network gives none.
        """
        needing = [name for name in self.metrics if METRICS[name].probabilities]
        if needing and explainer.network.head == "linear":
            raise BadValue(f"{needing[0]} is of probabilities, and the head of {explainer.network.name} is linear")
        explanation = explainer.explain(batch.images, batch.targets)
        size = explainer.network.image_size
        found = {name: maps.heatmap(method.make(explanation), size) for name, method in self.methods.items()}
        rows: list[Row] = []
        for i, own_rank in enumerate(rank(explanation.logits, batch.targets)):
            subject = Subject(explanation[i], self.patch, self.stride)
            numbers = {metric: self._numbers(subject, metric, found, i) for metric in self.metrics}
            rows.append({"rank": int(own_rank), **numbers})
        return rows

    def _numbers(self, subject: Subject, metric: str, found: Mapping[str, np.ndarray], i: int) -> Row:
        """A metric of one picture's maps, by method."""
        result: Row = {}
        for name, method in self.methods.items():
            value = METRICS[metric].of(subject, found[name][i], method) if np.ptp(found[name][i]) > 0 else math.nan
            result[name] = None if math.isnan(value) else value
        return result

    def _table(self, rows: Sequence[Row], metric: str) -> dict[str, dict[str, Estimate]]:
        """The mean of a metric by the method's title."""
        columns = {"all pictures": rows, "class predicted": [row for row in rows if row["rank"] == 0]}
        return {
            method.title: {
                column: estimate(
                    [np.nan if (value := row[metric][name]) is None else value for row in of],
                    bounds=METRICS[metric].bounds,
                )
                for column, of in columns.items()
            }
            for name, method in self.methods.items()
        }


def titled(metric: Metric) -> str:
    """A metric's title, and what is better, if anything is."""
    return f"{metric.title} ({metric.better} is better)" if metric.better else metric.title
