"""Faithfulness (Selvaraju et al. 2017, sec. 5.2): do maps rank the picture's places as occluding them does?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from gradcam import maps
from gradcam.evaluation.estimates import Estimate, Table, estimate
from gradcam.evaluation.journal import Row
from gradcam.evaluation.localization import rank
from gradcam.evaluation.metrics import rank_correlation
from gradcam.evaluation.running import Batch
from gradcam.methods import Method
from gradcam.perturbation import occlusion_map
from slim_models.mistakes import BadValue

if TYPE_CHECKING:
    from gradcam.explainer import Explainer

NEARNESS = "nearness to the centre"


class Faithfulness:
    """What is measured of each picture: the rank correlation of each method's map with the occlusion map."""

    needs_boxes, unit, digits = False, "mean", 3

    def __init__(self, methods: Mapping[str, Method], patch: int | None = None, stride: int | None = None):
        """Says what is compared.

        Args:
            methods: title and way of each map.
            patch: of the occlusion map in pixels of the network's input, as for `occlusion_map`.
            stride: as for `occlusion_map`.
        """
        for name, value in (("patch", patch), ("stride", stride)):
            if value is not None and value < 1:
                raise BadValue(f"{name} must be at least 1 pixel, not {value}")
        self.methods, self.patch, self.stride = methods, patch, stride

    def protocol(self) -> dict[str, Any]:
        """Patch and stride of the occlusion maps."""
        return {"patch": self.patch, "stride": self.stride}

    def remark(self) -> str:
        """The protocol in words."""
        patch = "height / 5" if self.patch is None else self.patch
        stride = "height / 14" if self.stride is None else self.stride
        return f"protocol: logits; patch {patch}, stride {stride}, grey; class: the picture's own"

    def tables(self, rows: Sequence[Row], network: str) -> dict[str, Table]:
        """The rank correlation of methods and baseline with the occlusion maps."""
        return {"rank correlation with occlusion": correlations(rows, self.methods)}

    def rows(self, explainer: Explainer, batch: Batch) -> list[Row]:
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
            found[NEARNESS] = near
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


def correlations(rows: Sequence[Row], methods: Mapping[str, Method]) -> dict[str, dict[str, Estimate]]:
    """The mean rank correlation by the method's title, of all pictures and of those whose class was predicted."""
    titles = {**{name: method.title for name, method in methods.items()}, NEARNESS: NEARNESS}
    right = [row for row in rows if row["rank"] == 0]
    return {
        title: {
            column: estimate([np.nan if (c := row["correlation"][name]) is None else c for row in of], bounds=(-1, 1))
            for column, of in (("all pictures", rows), ("class predicted", right))
        }
        for name, title in titles.items()
    }
