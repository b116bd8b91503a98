"""Pictures whose pixels are taken away, or put in, in the order of a map: curves, and the areas below them; NumPy.

A score is a function of pictures `[n, H, W, K]` that gives `[n]`, of the class's probability.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np

from gradcam.perturbation import Score, in_portions, mean_colour
from slim_models.mistakes import BadValue

STEPS = 50  # of deletion and insertion; the paper has one a row of the picture
CELLS, FLIPPED = 25, 100  # along a side of the grid, and how many of it are flipped: regions of 9 of 227 pixels
SHARES = tuple(share / 100 for share in range(10, 100, 10))  # of the pixels that ROAD takes away
BLUR = 5 / 224  # standard deviation as a share of the height, that of the code of RISE
_BATCH = 32  # pictures a run
_STRAIGHT, _ACROSS = 1 / 6, 1 / 12  # ROAD's weights of a pixel's eight neighbours
_NEIGHBOURS = {
    (dy, dx): _ACROSS if dy and dx else _STRAIGHT for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)
}


def hottest_first(heatmap: np.ndarray, seed: int = 0) -> np.ndarray:
    """The places of a map, flat, from the hottest to the coldest; those that are alike in a random order.

    Args:
        heatmap: `[H, W]`.
        seed: of that order: a map that is 0 in half of the picture would otherwise go through it row by row.

    Returns:
        `[H * W]`.
    """
    values = np.asarray(heatmap).ravel()
    return np.lexsort((np.random.default_rng(seed).permutation(values.size), -values))


def grey(image: np.ndarray) -> np.ndarray:
    """A picture `[H, W, K]` of one colour, ImageNet's mean, or of an array its own: what a network sees as nothing."""
    return np.broadcast_to(mean_colour(image), image.shape)


def blurred(image: np.ndarray) -> np.ndarray:
    """The picture `[H, W, K]` without its detail: Petsiuk et al. 2018 begin insertion with it."""
    channels = [cv2.GaussianBlur(np.float32(image[..., k]), (0, 0), BLUR * len(image)) for k in range(image.shape[2])]
    return np.stack(channels, axis=2)


def curve(score: Score, image: np.ndarray, other: np.ndarray, order: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """What the class scores with the first places of an order taken from another picture.

    Args:
        score: of pictures.
        image: `[H, W, K]`.
        other: `[H, W, K]`, what comes into its place.
        order: places, flat, as of `hottest_first`.
        counts: how many are taken, `[n]`, never fewer than before.

    Returns:
        float64 `[n]`.
    """
    return _scores(score, _mixed(image, other, order, counts), len(counts))


def deletion(score: Score, image: np.ndarray, heatmap: np.ndarray, other: np.ndarray, steps: int = STEPS) -> float:
    """The area below the class's probability while its hottest pixels go (Petsiuk et al. 2018, arXiv 1806.07421).

    Lower is better: what the map says matters is gone soon.

    Args:
        score: of pictures.
        image: `[H, W, K]`.
        heatmap: `[H, W]`.
        other: `[H, W, K]`, what is put in the place of pixels: `grey`, as in the paper, or `blurred`.
        steps: that the pixels go in, all but one the same number of them.

    Returns:
        From 0 to 1, by the trapezoidal rule, the width of the whole curve being 1.
    """
    counts = np.linspace(0, heatmap.size, steps + 1).round().astype(int)
    return area(curve(score, image, other, hottest_first(heatmap), counts), counts / heatmap.size)


def insertion(score: Score, image: np.ndarray, heatmap: np.ndarray, other: np.ndarray, steps: int = STEPS) -> float:
    """The area below the class's probability while its hottest pixels come (Petsiuk et al. 2018, arXiv 1806.07421).

    Higher is better. It is `deletion` from the other picture to this one, whose
    places go in the same order.

    Args:
        score: of pictures.
        image: `[H, W, K]`.
        heatmap: `[H, W]`.
        other: `[H, W, K]`, what pixels are put into: `blurred`, as in the paper, or `grey`.
        steps: that the pixels come in.
    """
    return deletion(score, other, heatmap, image, steps)


def area(values: np.ndarray, places: np.ndarray) -> float:
    """The area below a curve `[n]` at places `[n]` from 0 to 1, by the trapezoidal rule."""
    values = np.asarray(values, np.float64)
    return float(((values[1:] + values[:-1]) / 2 * np.diff(places)).sum())


def pixel_flipping(
    score: Score, image: np.ndarray, heatmap: np.ndarray, *, cells: int = CELLS, flipped: int = FLIPPED, seed: int = 0
) -> float:
    """The mean loss of the class while the hottest regions become noise, one after the other: AOPC.

    Bach et al. 2015 (PLOS ONE 10, e0130140), pixel-flipping, by regions as in Samek et al. 2017 (arXiv 1509.06321):
    1 / (L + 1) sum_{k=0..L} f(x_0) - f(x_k) with regions of 9 x 9 pixels of 227, L = 100, and uniform noise. Higher is
    better.

    Args:
        score: of pictures.
        image: `[H, W, K]`.
        heatmap: `[H, W]`, averaged over the regions.
        cells: along each side of the picture.
        flipped: L, of these.
        seed: of the noise, which lies between the picture's least and largest value.

    Returns:
        From -1 to 1.

    Raises:
        ValueError: more cells than pixels, or than there are.
    """
    height, width = heatmap.shape
    if not 1 <= cells <= min(height, width) or not 1 <= flipped <= cells**2:
        raise BadValue(f"{flipped} of {cells} x {cells} regions cannot be flipped in {height} x {width} pixels")
    rows, columns = (np.arange(side) * cells // side for side in (height, width))
    region = rows[:, None] * cells + columns  # of each pixel
    means = np.bincount(region.ravel(), heatmap.ravel()) / np.bincount(region.ravel())
    step = np.empty(cells**2, int)  # at which a region is flipped
    step[hottest_first(means, seed)] = np.arange(cells**2)
    order = np.argsort(step[region].ravel(), kind="stable")
    counts = [0, *(step[region] < np.arange(1, flipped + 1)[:, None, None]).sum(axis=(1, 2))]
    noise = np.random.default_rng(seed).uniform(image.min(), image.max(), image.shape)
    scores = curve(score, image, noise, order, counts)
    return float((scores[0] - scores).mean())


def road(score: Score, image: np.ndarray, heatmap: np.ndarray, *, least: bool = False, seed: int = 0) -> np.ndarray:
    """What the class scores with shares of the pixels imputed from their neighbours: remove and debias.

    Rong et al. 2022 (arXiv 2202.00449): by `imputed` pixels, which do not tell the network where they were, so that
    nothing has to be trained again. Most relevant first (MoRF), or least relevant first (LeRF).

    Args:
        score: of pictures: what is asked of them, the class's probability or whether it is the most probable.
        image: `[H, W, K]`.
        heatmap: `[H, W]`.
        least: whether the coldest pixels go first.
        seed: of the noise.

    Returns:
        float64 `[9]`, for each of `SHARES`; a high one is bad for MoRF, and good for LeRF.
    """
    order = hottest_first(heatmap)[:: -1 if least else 1]
    changed = (imputed(image, order[: int(share * order.size)], seed=seed) for share in SHARES)
    return _scores(score, changed, len(SHARES))


def imputed(image: np.ndarray, places: np.ndarray, *, noise: float = 0.01, seed: int = 0) -> np.ndarray:
    """A picture with pixels that are the weighted means of their neighbours, known or imputed, and a little noise.

    Rong et al. 2022 (arXiv 2202.00449), noisy linear imputation: neighbours at a side weigh 1/6, at a corner 1/12; at
    the picture's edge those that there are weigh more.

    Args:
        image: `[H, W, K]`.
        places: of the pixels to be imputed, flat; not all of them.
        noise: standard deviation of the Gaussian noise, as a share of the picture's range.
        seed: of the noise.

    Returns:
        float32 `[H, W, K]`.

    Raises:
        ValueError: no pixel is left to impute others from.
    """
    from scipy.linalg import solveh_banded  # half a second, which only evaluations need

    height, width, channels = image.shape
    count = len(places)
    if count >= height * width:
        raise BadValue("no pixel of the picture is left to impute the others from")
    pixels = np.array(image, np.float64).reshape(-1, channels)
    if not count:
        return np.float32(image)
    places = np.sort(places)  # a pixel's unknown neighbours are then near it: at most as far as a row is long
    number = np.full(height * width, -1)  # of the unknowns
    number[places] = np.arange(count)
    rows, columns = np.divmod(places, width)
    weights, known = np.zeros(count), np.zeros((count, channels))
    later = []  # of two unknown neighbours, the first, how far behind it the second is, and the weight
    for (dy, dx), weight in _NEIGHBOURS.items():
        inside = (rows + dy >= 0) & (rows + dy < height) & (columns + dx >= 0) & (columns + dx < width)
        at, there = np.flatnonzero(inside), places[inside] + dy * width + dx
        weights[at] += weight
        unknown = number[there] >= 0
        np.add.at(known, at[~unknown], weight * pixels[there[~unknown]])
        if (dy, dx) > (0, 0):
            later.append((at[unknown], number[there[unknown]] - at[unknown], weight))
    # The matrix is symmetric, and positive definite: no pixel's neighbours weigh more than it does, and some are known.
    bands = np.zeros((1 + max(distance.max(initial=0) for _, distance, _ in later), count))
    bands[0] = weights
    for first, distance, weight in later:
        bands[distance, first] = -weight
    solved = solveh_banded(bands, known, overwrite_ab=True, lower=True, check_finite=False)
    spread = noise * float(np.ptp(image)) * np.random.default_rng(seed).standard_normal((count, channels))
    pixels[places] = solved + spread
    return pixels.reshape(image.shape).astype(np.float32)


def _mixed(image: np.ndarray, other: np.ndarray, order: np.ndarray, counts: Sequence[int]) -> Iterator[np.ndarray]:
    """The picture with the first places of an order from the other, for each of rising counts: float32 `[H, W, K]`."""
    mixed = np.array(image, np.float32)
    into, source = (one.reshape(-1, image.shape[2]) for one in (mixed, other))
    for before, count in itertools.pairwise([0, *counts]):
        places = order[before:count]  # those that have come since the last picture
        into[places] = source[places]
        yield mixed.copy()


def _scores(score: Score, pictures: Iterable[np.ndarray], count: int) -> np.ndarray:
    """What pictures score, which are made some at a time."""
    left = iter(pictures)

    def scored(part: slice) -> np.ndarray:
        return score(np.stack([*itertools.islice(left, part.stop - part.start)]))

    return in_portions(count, scored, batch=_BATCH, unit="picture").astype(np.float64)
