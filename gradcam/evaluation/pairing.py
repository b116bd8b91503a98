"""Differences of two methods by the rows of a journal: of the same pictures they are surer than two means look."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradcam.evaluation import max_box
from gradcam.evaluation.estimates import Estimate, estimate
from gradcam.evaluation.journal import Row
from slim_models.mistakes import check_name

_ROUNDING = 1e-12  # a smaller share of the mean is no spread


def by_method(rows: Sequence[Row], metric: str) -> dict[str, np.ndarray]:
    """What a metric says of each picture: method -> `[M]`, NaN where it says nothing, as of a map that is blank.

    Of boxes (`iou`) it is 1 where the IoU is at least 0.5, of MaxBoxAcc where it is so at the threshold that is best
    for the method, and of MaxBoxAccV2 the mean of that over its three IoUs.

    Raises:
        KeyError: the rows have no such metric.
    """
    check_name("metric", metric, metrics_of(rows))
    names = dict.fromkeys(name for row in rows for name in row[metric])
    return {name: _numbers(metric, [row[metric].get(name) for row in rows]) for name in names}


def metrics_of(rows: Sequence[Row]) -> list[str]:
    """The metrics that the rows have, by which methods can be compared."""
    return [key for key, value in rows[0].items() if isinstance(value, Mapping) and not _listed(value)]


def difference(first: np.ndarray, second: np.ndarray) -> tuple[Estimate, float]:
    """The mean of the differences of two methods, picture by picture, of those that both say something of.

    Args:
        first: `[M]`, of `by_method`.
        second: `[M]`, of the other method.

    Returns:
        The mean with Student's interval, and how many of its standard errors it is; NaN of fewer than two pictures, and
        where all differences are the same but for rounding, as of two baselines that do not look at the picture.
    """
    values = first - second
    values = values[np.isfinite(values)]
    error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    found = estimate(values, bounds=(-math.inf, math.inf))
    differ = error > _ROUNDING * abs(found.value)
    return found, found.value / error if differ else math.nan


def _numbers(metric: str, values: Sequence[Any]) -> np.ndarray:
    said = np.array([value is not None for value in values])
    some = [value for value in values if value is not None]
    numbers = np.full(len(values), np.nan)
    if metric == "iou":
        numbers[said] = np.array(some) >= 0.5
    elif metric in max_box.FOUND:
        numbers[said] = max_box.FOUND[metric](some)
    else:
        numbers[said] = some
    return numbers


def _listed(values: Mapping[str, Any]) -> bool:
    return any(isinstance(value, list) for value in values.values())
