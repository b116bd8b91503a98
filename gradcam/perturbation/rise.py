"""RISE: what the class scores of the picture through random masks, and where they were open; NumPy."""

from __future__ import annotations

import cv2
import numpy as np

from gradcam.perturbation.scoring import Score, masked, mean_colour, portions
from slim_models.mistakes import BadValue


def rise_map(
    score: Score,
    image: np.ndarray,
    *,
    masks: int = 4000,
    cells: int = 7,
    share: float = 0.5,
    seed: int = 0,
    batch: int = 32,
    progress: bool = False,
) -> np.ndarray:
    """The mean score over random masks that are open at a place (Petsiuk et al. 2018, arXiv 1806.07421).

    S = 1 / (N p) sum_i f(I * M_i) M_i, of masks as the paper draws them: a grid of cells, each open with probability p,
    is enlarged bilinearly to more than the picture's size, and cut out of it at a random place. What a mask hides is
    of the mean colour, which a network whose preprocessing subtracts it sees as 0.

    Args:
        score: pictures `[n, H, W, K]` -> `[n]`; of the paper the class's probability.
        image: `[H, W, K]`.
        masks: N; of the paper 4000 for VGG16 and 8000 for ResNet50.
        cells: s of the grid along each side.
        share: p, within (0, 1).
        seed: of the masks.
        batch: pictures a run; memory is bounded by it.
        progress: whether a bar is shown, if on a terminal.

    Returns:
        `[H, W]`; of scores >= 0 not negative.

    Raises:
        ValueError: numbers that are not in these ranges.
    """
    if masks < 1 or cells < 1 or not 0 < share < 1:
        raise BadValue(f"RISE needs masks and cells, and a share within (0, 1), not {masks}, {cells} and {share}")
    rng = np.random.default_rng(seed)
    colour, size = mean_colour(image), image.shape[:2]
    total = np.zeros(size)
    for part in portions(masks, batch=batch, unit="mask", progress=progress):
        drawn = np.stack([random_mask(rng, size, cells, share) for _ in range(part.start, part.stop)])
        total += np.tensordot(np.asarray(score(masked(image, drawn, colour)), np.float64), drawn, axes=1)
    return total / (masks * share)


def random_mask(rng: np.random.Generator, size: tuple[int, int], cells: int, share: float) -> np.ndarray:
    """One mask, `[H, W]` in [0, 1]: cells of which a share is open, enlarged and cut out at a random place."""
    height, width = (-(-side // cells) for side in size)  # of a cell
    grid = (rng.random((cells, cells)) < share).astype(np.float32)
    large = cv2.resize(grid, ((cells + 1) * width, (cells + 1) * height), interpolation=cv2.INTER_LINEAR)
    top, left = rng.integers(0, height), rng.integers(0, width)
    return large[top : top + size[0], left : left + size[1]]
