"""A picture that maps are judged by: what the network says of it changed, which no map has a part in."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from gradcam.evaluation.removal import blurred, grey
from gradcam.perturbation import in_portions, masked, mean_colour, occlusion_map
from slim_models.heads import said_of

if TYPE_CHECKING:
    from gradcam.explanation import Explanation

SUBSETS, SHARE = 100, 0.05  # how many sets of pixels, and how much of the picture each is
SQUARES, SIDES = 100, (0.1, 0.5)  # how many patches, and their sides as shares of the picture's
COPIES, RADIUS = 10, 0.02  # how many noisy pictures, and the noise's bound as a share of the picture's range


class Subject:
    """One picture and its class; what it says of changed pictures is kept for all maps.

    Attributes:
        one: the explanation of the picture.
        image: `[H, W, K]`.
        patch: of the occlusion map, as of `occlusion_map`.
        stride: of the occlusion map, as of `occlusion_map`.
    """

    def __init__(self, one: Explanation, patch: int | None = None, stride: int | None = None):
        self.one, self.image, self.patch, self.stride = one, one.images[0], patch, stride
        self._target = int(one.targets[0])
        self._seen: dict[bytes, float] = {}

    def score(self, images: np.ndarray) -> np.ndarray:
        """The class's logit of pictures: `[n, H, W, K]` -> `[n]`."""
        return self.one.more_runs().predict(images)[:, self._target]

    def probability(self, images: np.ndarray) -> np.ndarray:
        """The class's probability of pictures: `[n, H, W, K]` -> `[n]`."""
        logits = self.one.more_runs().predict(images)
        return said_of(logits, self.one.head, self.one.one_output)[:, self._target]

    def first(self, images: np.ndarray) -> np.ndarray:
        """Whether the class is the most probable one of pictures: `[n, H, W, K]` -> `[n]`, 0 or 1."""
        return (self.one.more_runs().predict(images).argmax(axis=1) == self._target).astype(np.float64)

    @property
    def own(self) -> float:
        """The class's probability of the picture as it is."""
        return float(self.one.said[0, self._target])

    @functools.cached_property
    def grey(self) -> np.ndarray:
        """The picture of one colour."""
        return grey(self.image)

    @functools.cached_property
    def blurred(self) -> np.ndarray:
        """The picture without its detail."""
        return blurred(self.image)

    def seen_through(self, heatmap: np.ndarray) -> float:
        """The class's probability of the picture times a map `[H, W]` in [0, 1]; where that is 0 it is grey."""
        key = heatmap.tobytes()  # several metrics ask for the same
        if key not in self._seen:
            images = masked(self.image, heatmap[None], mean_colour(self.image))
            self._seen[key] = float(self.probability(images)[0])
        return self._seen[key]

    @functools.cached_property
    def occlusion(self) -> np.ndarray:
        """`occlusion_map` of the class's logit: `[h, w]`."""
        return occlusion_map(
            lambda images: self.score(images)[:, None], self.image, 0, patch=self.patch, stride=self.stride
        )

    @functools.cached_property
    def subsets(self) -> tuple[np.ndarray, np.ndarray]:
        """Drawn sets of pixels, `[n, m]` flat places, and what the logit loses with each grey, `[n]`."""
        rng, size = np.random.default_rng(0), self.image[..., 0].size
        places = np.stack([rng.choice(size, max(1, round(SHARE * size)), replace=False) for _ in range(SUBSETS)])
        hidden = np.zeros((SUBSETS, size), bool)
        np.put_along_axis(hidden, places, True, axis=1)
        return places, self._drops(hidden.reshape(SUBSETS, *self.image.shape[:2]))

    @functools.cached_property
    def squares(self) -> tuple[np.ndarray, np.ndarray]:
        """Drawn patches, bool `[n, H, W]`, and what the logit loses with each grey, `[n]`."""
        rng, (height, width) = np.random.default_rng(0), self.image.shape[:2]
        hidden = np.zeros((SQUARES, height, width), bool)
        for square in hidden:
            rows, columns = (max(1, round(rng.uniform(*SIDES) * side)) for side in (height, width))
            top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
            square[top : top + rows, left : left + columns] = True
        return hidden, self._drops(hidden)

    @functools.cached_property
    def noisy(self) -> Explanation:
        """The same explanation of copies with uniform noise."""
        bound = RADIUS * float(np.ptp(self.image))
        noise = np.random.default_rng(0).uniform(-bound, bound, (COPIES, *self.image.shape))
        images = (self.image + noise).astype(np.float32)
        ways = np.repeat(self.one.ways, COPIES, axis=0)
        targets = np.repeat(self.one.targets, COPIES)
        return self.one.again(images=images, directions=ways, targets=targets)

    def _drops(self, hidden: np.ndarray) -> np.ndarray:
        """What the logit loses with places `[n, H, W]` of the picture grey."""
        colour = mean_colour(self.image)

        def scored(part: slice) -> np.ndarray:
            return self.score(masked(self.image, ~hidden[part], colour))

        return self.score(self.image[None])[0] - in_portions(len(hidden), scored, batch=32, unit="picture")
