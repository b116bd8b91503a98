"""Faithfulness (Selvaraju et al. 2017, sec. 5.2): do maps rank the picture's places as occluding them does?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from gradcam import maps
from gradcam.evaluation.estimates import Estimate, estimate
from gradcam.evaluation.localization import rank
from gradcam.evaluation.metrics import rank_correlation
from gradcam.evaluation.run import Batch, Row
from gradcam.explainer import Explainer
from gradcam.methods import MapMethod
from gradcam.perturbation import occlusion_map

CENTRE = "nearness to the centre"


class Faithfulness:
    """What is measured of each picture: the rank correlation of each method's map with the occlusion map."""

    def __init__(self, methods: Mapping[str, MapMethod], patch: int | None = None, stride: int | None = None):
        """Says what is compared.

        Args:
            methods: title and way of each map.
            patch: of the occlusion map in pixels of the network's input, as for `occlusion_map`.
            stride: as for `occlusion_map`.
        """
        self.methods, self.patch, self.stride = methods, patch, stride

    def __call__(self, explainer: Explainer, batch: Batch) -> list[Row]:
        """The rows of a batch: `correlation` by method, null where a map is constant."""
        explanation = explainer.explain(batch.images, batch.targets)
        made = {name: method.make(explanation) for name, method in self.methods.items()}
        size = explainer.network.image_size
        near = nearness_to_centre(size)
        rows: list[Row] = []
        for i, own_rank in enumerate(rank(explanation.logits, batch.targets)):
            target = int(batch.targets[i])
            drops = occlusion_map(explainer.predict, batch.images[i], target, patch=self.patch, stride=self.stride)
            found = {name: maps.heatmap(cams[i][None], size)[0] for name, cams in made.items()}
            found[CENTRE] = near
            correlations = {name: rank_correlation(on_grid(m, drops.shape), drops) for name, m in found.items()}
            rows.append(
                {"rank": int(own_rank), "correlation": {n: c if c == c else None for n, c in correlations.items()}}
            )
        return rows


def on_grid(heatmap: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """A map averaged over the cells of the occlusion map: `[H, W]` -> `[h, w]`."""
    return cv2.resize(heatmap, size[::-1], interpolation=cv2.INTER_AREA)


def nearness_to_centre(size: tuple[int, int]) -> np.ndarray:
    """A map that falls off from the centre whatever the picture: the baseline that needs no network."""
    y, x = (np.abs(np.arange(side) + 0.5 - side / 2) / side for side in size)
    return (1 - np.hypot(y[:, None], x[None])).astype(np.float32)


def correlations(rows: Sequence[Row], methods: Mapping[str, MapMethod]) -> dict[str, dict[str, Estimate]]:
    """The mean rank correlation by the method's title, of all pictures and of those whose class was predicted."""
    titles = {**{name: method.title for name, method in methods.items()}, CENTRE: CENTRE}
    right = [row for row in rows if row["rank"] == 0]
    return {
        title: {
            column: estimate([np.nan if (c := row["correlation"][name]) is None else c for row in of])
            for column, of in (("all pictures", rows), ("class predicted", right))
        }
        for name, title in titles.items()
    }
