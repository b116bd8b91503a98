"""Numbers that judge a map by what a network scores: one formula, one function; NumPy."""

from __future__ import annotations

import numpy as np

from slim_models.mistakes import BadValue


def average_drop(own: float, seen: float) -> float:
    """What the class loses where the picture is seen through its map: max(0, y - o) / y.

    Chattopadhay et al. 2018 (Grad-CAM++, arXiv 1710.11063), where it is in per cent. Lower is better.

    Args:
        own: y, the class's probability of the picture; NaN comes of 0.
        seen: o, that of the picture times its map.

    Returns:
        A share from 0 to 1.
    """
    return max(0.0, own - seen) / own if own > 0 else float("nan")


def increase(own: float, seen: float) -> float:
    """Whether the class gains where the picture is seen through its map: 1 if o > y, else 0.

    Chattopadhay et al. 2018 (Grad-CAM++, arXiv 1710.11063), "increase in confidence". Higher is better.

    Args:
        own: y, the class's probability of the picture.
        seen: o, that of the picture times its map.
    """
    return float(seen > own)


def average_gain(own: float, seen: float) -> float:
    """What the class gains where the picture is seen through its map: max(0, o - y) / (1 - y).

    Zhang et al. 2024 (Opti-CAM, arXiv 2301.07002), "average gain", the counterpart of `average_drop`. Higher is better.

    Args:
        own: y, the class's probability of the picture; NaN comes of 1.
        seen: o, that of the picture times its map.

    Returns:
        A share from 0 to 1.
    """
    return max(0.0, seen - own) / (1 - own) if own < 1 else float("nan")


def faithfulness_correlation(sums: np.ndarray, drops: np.ndarray) -> float:
    """Pearson's correlation of what a map gives sets of pixels, and what the class loses without them.

    Bhatt et al. 2020 (arXiv 2005.00631), "faithfulness": corr_S(sum_{i in S} g_i, f(x) - f(x with S at a baseline)).
    Higher is better.

    Args:
        sums: `[n]`, of the map over the n sets.
        drops: `[n]`, of the class's score.

    Returns:
        From -1 to 1; NaN where either is the same for all sets.
    """
    sums, drops = _pair(sums, drops)
    return float(np.corrcoef(sums, drops)[0, 1]) if min(np.ptp(sums), np.ptp(drops)) > 0 else float("nan")


def infidelity(products: np.ndarray, drops: np.ndarray, *, scaled: bool = False) -> float:
    """How far what a map says of changes is from what they do: the mean of (I . g - (f(x) - f(x - I)))^2.

    Yeh et al. 2019 (arXiv 1901.09392), over n drawn perturbations I. Lower is better.

    Args:
        products: `[n]`, the perturbations times the map: I . g.
        drops: `[n]`, of the class's score: f(x) - f(x - I).
        scaled: whether the map is multiplied first by the number that is best for it, as a map needs whose unit is not
            the score's; a heat map's is its own maximum.

    Returns:
        A number >= 0, in the score's unit squared.
    """
    products, drops = _pair(products, drops)
    power = float(products @ products)
    factor = (float(products @ drops) / power if power else 0.0) if scaled else 1.0
    return float(np.mean((factor * products - drops) ** 2))


def unexplained(products: np.ndarray, drops: np.ndarray) -> float:
    """The scaled `infidelity` as a share of what a map of zeros has, the mean of the squared drops.

    So that pictures whose scores change much count as others do. Lower is better.

    Args:
        products: as of `infidelity`.
        drops: as of `infidelity`.

    Returns:
        A share from 0 to 1; NaN where no perturbation changes the score.
    """
    power = float(np.mean(np.square(drops, dtype=np.float64)))
    return infidelity(products, drops, scaled=True) / power if power else float("nan")


def max_sensitivity(heatmap: np.ndarray, others: np.ndarray) -> float:
    """The largest change of a map under small changes of the picture: max_y |g(y) - g(x)| / |g(x)|.

    Yeh et al. 2019 (arXiv 1901.09392), over n drawn pictures y near x, and here over the map's own length, so that maps
    of any unit can be compared. Lower is better; what never looks at the picture has 0.

    Args:
        heatmap: g(x), of any shape.
        others: `[n, ...]`, g(y).

    Returns:
        A number >= 0; NaN of a map that is zero everywhere.
    """
    own = np.asarray(heatmap, np.float64).ravel()
    others = np.asarray(others, np.float64).reshape(len(others), -1)
    if others.shape[1] != own.size or not len(others):
        raise BadValue(f"maps of {own.size} numbers are to be compared, not of {list(others.shape)}")
    length = np.linalg.norm(own)
    return float(np.linalg.norm(others - own, axis=1).max() / length) if length else float("nan")


def sparseness(heatmap: np.ndarray) -> float:
    """The Gini index of a map: 0 where it is the same everywhere, near 1 where few places have all of it.

    Chalasani et al. 2020 (arXiv 1810.06583), after Hurley & Rickard 2009 (arXiv 0811.4706): of the n values in
    ascending order v_(k), 1 - 2 sum_k v_(k) / |v|_1 (n - k + 1/2) / n.

    Args:
        heatmap: of any shape, >= 0.

    Returns:
        From 0 to 1 - 1 / n; NaN of a map that is zero everywhere.
    """
    values = np.sort(np.asarray(heatmap, np.float64).ravel())
    ranks = np.arange(1, values.size + 1)
    total = values.sum() * values.size
    return float(1 - 2 * (values * (values.size - ranks + 0.5)).sum() / total) if total else float("nan")


def complexity(heatmap: np.ndarray) -> float:
    """The entropy of a map's shares, in nats: 0 where one place has all of it, ln n where it is the same everywhere.

    Bhatt et al. 2020 (arXiv 2005.00631), "complexity": -sum_i p_i ln p_i, p_i = v_i / |v|_1.

    Args:
        heatmap: of any shape, >= 0.

    Returns:
        From 0 to ln n; NaN of a map that is zero everywhere.
    """
    values = np.asarray(heatmap, np.float64).ravel()
    shares = values[values > 0] / values.sum() if values.any() else np.array([np.nan])
    return abs(float(-(shares * np.log(shares)).sum()))  # not -0.0


def _pair(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first, second = (np.asarray(array, np.float64) for array in (first, second))
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise BadValue(f"as many sums as drops are needed, [n] each, not {list(first.shape)} and {list(second.shape)}")
    return first, second
