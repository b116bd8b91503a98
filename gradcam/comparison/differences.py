"""The difference between a reference's arrays and ours, as the search for ties takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gradcam.comparison.agreement import Agreement
from gradcam.comparison.references import Quantity, ordered
from gradcam.explainer import Explainer
from gradcam.explanation import Explanation

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf


class RowsDifference:
    """What is left of the differences of some rows of one class, each over the size of theirs."""

    def __init__(
        self, explainer: Explainer, rows: Sequence[Agreement], parts: Mapping[str, Quantity], activations: Mapping
    ):
        """Of these rows.

        Args:
            explainer: whose arrays are compared.
            rows: of one picture and class.
            parts: what their arrays are, by name.
            activations: layer -> `[1, h, w, K]`, of the picture.
        """
        self._explainer, self._activations = explainer, activations
        self._order = explainer.network.input_order
        self._rows = [(row, parts[row.array], float(np.linalg.norm(row.theirs))) for row in rows]

    def __call__(self, explanation: Explanation, entry: int) -> np.ndarray:
        """`[D]`, theirs less ours in an entry of an explanation."""
        left = [(row.theirs - part.of(explanation, entry, self._order)) / size for row, part, size in self._rows]
        return np.concatenate([array.ravel() for array in left]).astype(np.float32)

    def pulled_back(self, vectors: np.ndarray) -> dict[tf.Tensor, np.ndarray]:
        """`[N, D]` -> `[N, ...]` for the saliency and gradients that the rows are made of: the rows' linear maps,
        transposed. Sums over a whole map, which are not linear, are left out."""
        found: dict[tf.Tensor, np.ndarray] = {}
        start = 0
        for row, part, size in self._rows:
            some = vectors[:, start : start + row.theirs.size].reshape(-1, *row.theirs.shape) / np.float32(size)
            start += row.theirs.size
            if part.reduction == "_stats":
                continue
            kind = "saliency" if part.kind == "saliency" else "gradients"
            tensor = self._explainer.tensors[kind][part.key]
            array = self._at_input(some, part) if kind == "saliency" else self._at_layer(some, part)
            found[tensor] = found.get(tensor, 0) + array.astype(np.float32)
        return found

    def _at_input(self, vectors: np.ndarray, part: Quantity) -> np.ndarray:
        if part.reduction == "_stride4":
            height, width = self._explainer.network.image_size
            whole = np.zeros((len(vectors), height, width, vectors.shape[-1]), vectors.dtype)
            whole[:, 1::4, 2::4] = vectors
            vectors = whole
        return ordered(vectors, self._order)

    def _at_layer(self, vectors: np.ndarray, part: Quantity) -> np.ndarray:
        """Of the gradient `[N, h, w, K]` itself, or of its means over places, which the maps are made of."""
        if part.kind == "gradients":
            return vectors
        activations = self._activations[part.key][0]
        if part.kind != "alpha":
            vectors = np.einsum("nhw,hwk->nk", vectors, activations)
        height, width, _ = activations.shape
        return np.broadcast_to(vectors[:, None, None] / (height * width), (len(vectors), *activations.shape))
