"""Comparing our numbers with another program's: `gradcam compare`."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import slim_models
from gradcam.differences import Comparison, Row
from gradcam.explainer import Explainer
from gradcam.explanation import Explanation
from gradcam.quantities import Quantity, quantities, scales_of_stats
from gradcam.references import Reference, pictures_of, read_reference
from gradcam.ties import Ties
from slim_models.decisions import Tie


def compare(
    reference: str | os.PathLike | Mapping[str, np.ndarray],
    network: str,
    weights: str | os.PathLike | Mapping[str, np.ndarray] | None = None,
    *,
    layer: str | None = None,
    layout: str = "tensorflow",
    tolerance: float = 1e-4,
    say: Callable[[str], Any] = lambda line: None,
    **options: Any,
) -> Comparison:
    """Runs a network on a reference's pictures and compares every array of the reference.

    Args:
        reference: an npz file, or its arrays by name: `images`, `classes` and any of `input`, `logits`,
            `softmax`, `relu5_3` or another layer, `grad_` and a layer, `alpha`, `cam_raw`, `cam`,
            `grad_input`, `guided_input`, `deconv_input`; gradients in the network's own order of channels.
        network: a key of `slim_models.NETWORKS`, whose size is the pictures', its classes and width the weights'; or
            the path of any other.
        weights: a file, arrays by variable name, or None for the network's own file.
        layer: which one `cam` is of, and an array that is named as no layer; None where that is clear.
        layout: `"tensorflow"` (channels last), or `"caffe"` for blobs as pycaffe gives them.
        tolerance: greatest relative L2 difference. Gradients above it pass only if turning decisions within
            rounding of a tie (see `gradcam.ties`) brings them below it.
        say: called with a line before what takes long, and with what was guessed of a network at a path.
        options: of `slim_models.load`, for a network at a path.

    Returns:
        A row for each array, picture and class.

    Raises:
        FileNotFoundError, KeyError, ValueError: a file that is missing or not what it should be, a name
            that means nothing, arrays of other shapes than the network's.
    """
    _check_less_mean(network)
    read = read_reference(reference, layout, "RGB")
    built, weights = slim_models.network_named(network, weights, read.images.shape[1], say=say, **options)
    read = dataclasses.replace(read, images=pictures_of(read.arrays, built.input_order))
    if weights is not None:
        slim_models.check_weights(built, weights)  # before anything that a wrong network would be blamed for
    if layer is not None and layer not in built.endpoints:
        raise KeyError(f"{network} has no layer {layer!r}; its layers are {', '.join(built.endpoints)}")
    if not tolerance > 0:
        raise ValueError(f"the tolerance must be above 0, not {tolerance}")
    parts = quantities(list(read.arrays), list(built.endpoints), built.default_layer, layer)
    if any(part.per_class for part in parts) and not read.classes.shape[1]:
        raise ValueError("the reference has gradients or maps of classes, but no array 'classes'")
    layers = sorted({part.key for part in parts if part.key in built.endpoints})
    rules = sorted({part.key for part in parts if part.kind == "saliency"})
    with Explainer(built, weights, layers=layers, rules=rules) as explainer:
        rows: list[Row] = []
        ties: dict[int, tuple[list[Tie], list[Tie]]] = {}
        for picture in range(len(read.images)):
            comparer = _Comparer(explainer, read, parts, picture, tolerance)
            found = comparer.rows()
            # Maps alone are evidence: a few sums could be explained by anything.
            if suspects := [row for row in found if row.may_be_by_ties and row.theirs.ndim > 1]:
                say(f"picture {picture}: gradients differ; looking for decisions within rounding of a tie")
                ties[picture] = comparer.ties_that_make(suspects)
                found = comparer.rows(turned=ties[picture][1])
            rows += found
    if not rows:
        raise ValueError(f"the reference has nothing to compare, but {', '.join(read.arrays)} alone")
    rows.sort(key=lambda row: list(read.arrays).index(row.array))
    return Comparison(rows, ties, _left_out(rows, parts, read.classes))


def _left_out(rows: Sequence[Row], parts: Sequence[Quantity], classes: np.ndarray) -> list[str]:
    """What the reference has not of every picture and class: 'block4: 1 of 2'."""
    result = []
    for part in parts:
        count = sum(row.array == part.name for row in rows)
        most = classes.size if part.per_class else len(classes)
        if count < most:
            result.append(f"{part.name}: {count} of {most}")
    return result


def _check_less_mean(network: str) -> None:
    entry = slim_models.NETWORKS.get(network)
    if entry is not None and not entry.less_mean:
        raise ValueError(f"{network} cannot be compared: its input is not pictures less ImageNet's mean, as Caffe's is")


class _Comparer:
    """Compares the arrays of one picture, whose explanation it holds."""

    def __init__(
        self, explainer: Explainer, reference: Reference, parts: Sequence[Quantity], picture: int, tolerance: float
    ):
        self._explainer, self._reference, self._picture, self._tolerance = explainer, reference, picture, tolerance
        self._parts = {part.name: part for part in parts}
        self._order = explainer.network.input_order
        self._image, self._classes = reference.images[picture], [int(index) for index in reference.classes[picture]]
        images = np.repeat(self._image[None], max(1, len(self._classes)), axis=0)
        self._explanation = explainer.explain(images, self._classes or None)
        self._ties: Ties | None = None

    def rows(self, turned: Sequence[Tie] = ()) -> list[Row]:
        """A row for each array and class, with what turning the ties makes of those that jump."""
        after = self._ties.explain(self._classes, [turned] * len(self._classes)) if self._ties and turned else None
        result = []
        for part in self._parts.values():
            for number in range(len(self._classes)) if part.per_class else [0]:
                theirs = self._reference.of(part, self._picture, number)
                if theirs is None:  # left out for this picture or class
                    continue
                ours = part.of(self._explanation, number, self._order)
                if ours.shape != theirs.shape:
                    hint = "; blobs as pycaffe gives them need the layout 'caffe'"
                    raise ValueError(
                        f"the reference's {part.name!r} is {list(theirs.shape)} for a picture"
                        f"{' and class' if part.per_class else ''}, but the network's is {list(ours.shape)}"
                        f"{hint if sorted(theirs.shape) == sorted(ours.shape) else ''}"
                    )
                target = self._classes[number] if part.per_class else None
                again = part.of(after, number, self._order) if after and part.per_class else None
                if part.reduction == "_stats":
                    scales = scales_of_stats(theirs)
                    theirs, ours, again = theirs / scales, ours / scales, None if again is None else again / scales
                result.append(Row(part.name, self._picture, target, theirs, ours, self._tolerance, again))
        return result

    def ties_that_make(self, suspects: Sequence[Row]) -> tuple[list[Tie], list[Tie]]:
        """The picture's ties, and those that explain the differences of the rows.

        Decisions are taken before any class is chosen: what explains one class's differences has to hold for
        the others too, of which only what is then left is searched.
        """
        self._ties = Ties(self._explainer, self._image)
        turned: list[Tie] = []
        for target in dict.fromkeys(row.target for row in suspects):
            assert target is not None  # see Row.may_be_by_ties
            difference = functools.partial(self._difference, [row for row in suspects if row.target == target])
            turned += self._ties.that_make(difference, target, self._tolerance, turned)
        return self._ties.found, turned

    def _difference(self, rows: Sequence[Row], explanation: Explanation, entry: int) -> np.ndarray:
        """What another explanation leaves of the rows' differences, each over the size of theirs."""
        left = [
            (row.theirs - self._parts[row.array].of(explanation, entry, self._order)) / np.linalg.norm(row.theirs)
            for row in rows
        ]
        return np.concatenate([array.ravel() for array in left]).astype(np.float32)
