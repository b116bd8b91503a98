"""Comparing our numbers with another program's: `gradcam compare`."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import slim_models
from gradcam.comparison import causes
from gradcam.comparison.agreement import Agreement, Comparison, Search
from gradcam.comparison.decisions import ROUNDING, Tie
from gradcam.comparison.differences import RowsDifference
from gradcam.comparison.influence import Influence
from gradcam.comparison.preparation import Prepared, prepared
from gradcam.comparison.references import Quantity, Reference, ordered, quantities, read_reference, scales_of_stats
from gradcam.comparison.ties import Ties
from gradcam.comparison.variants import of_another
from gradcam.explainer import Explainer
from gradcam.explanation import Explanation
from slim_models.mistakes import BadValue

_LESS_MEAN = ("subtract_mean", "caffe_bgr")
_MOST_OF_SOFTMAX = 0.5  # the tolerance of a softmax, however large its logits
Say = Callable[[str], object]


def compare(
    reference: str | os.PathLike | Mapping[str, np.ndarray],
    network: str,
    weights: str | os.PathLike | Mapping[str, np.ndarray] | None = None,
    *,
    layer: str | None = None,
    layout: str = "tensorflow",
    tolerance: float = 1e-4,
    say: Say | None = None,
    **options: Any,
) -> Comparison:
    """Runs a network on a reference's pictures and compares every array of the reference.

    Args:
        reference: an npz file, or its arrays by name: `images`, `classes` and any of `input` (which tells with what
            mean and scale the pictures were prepared), `logits`, `softmax`, `relu5_3` or another layer, `grad_` and a
            layer, `alpha`, `cam_raw`, `cam`, `grad_input`, `guided_input`, `deconv_input`; gradients in the network's
            own order of channels.
        network: a key of `slim_models.NETWORKS`, whose size is the pictures', its classes and width the weights'; or
            the path of any other.
        weights: a file, arrays by variable name, or None for the network's own file.
        layer: which one `cam` is of, and an array that is named as no layer; None where that is clear.
        layout: `"tensorflow"` (channels last), or `"caffe"` for blobs as pycaffe gives them.
        tolerance: greatest relative L2 difference. Gradients above it pass only if turning decisions within
            rounding of a tie (see `gradcam.comparison.ties`) brings them below it. Of a softmax it is at least what
            rounding makes of its logits.
        say: is told in lines what takes long, and what was guessed of a network at a path; None is silent.
        options: of `slim_models.load`, for a network at a path.

    Returns:
        A row for each array, picture and class, and why the first that fails does.

    Raises:
        FileNotFoundError, KeyError, ValueError: a file that is missing or not what it should be, a name
            that means nothing, arrays of other shapes than the network's.
    """
    say = say or (lambda line: None)
    _check_less_mean(network)
    read = read_reference(reference, layout, "RGB")
    built = slim_models.open_network(network, weights, image_size=read.images.shape[1], say=say, **options)
    pictures = prepared(dict(read.arrays), built.check_photographs().input_order, built.preprocessing in _LESS_MEAN)
    if pictures.said:
        say(f"the reference's input is {pictures.said}; it is compared on this input")
    if (arrays := built.values.arrays()) is not None:
        slim_models.check_weights(built, arrays)  # before anything that a wrong network would be blamed for
    if layer is not None:
        built.check_layer(layer)
    if not tolerance > 0:
        raise BadValue(f"the tolerance must be above 0, not {tolerance}")
    parts = _parts(read, built, layer)
    layers = sorted({part.key for part in parts if part.key in built.endpoints})
    rules = sorted({part.key for part in parts if part.kind == "saliency"})
    rows: list[Agreement] = []
    ties: dict[int, Search] = {}
    with Explainer(built, layers=layers, rules=rules) as explainer:
        comparer = _Comparer(explainer, read, pictures, parts, tolerance, say)
        for picture in range(len(read.images)):
            if len(read.images) > 1:
                say(f"picture {picture + 1} of {len(read.images)}")
            found, search = comparer.compared(picture)
            rows += found
            if search:
                ties[picture] = search
        if not rows:
            raise BadValue(f"the reference has nothing to compare, but {', '.join(read.arrays)} alone")
        why = comparer.cause(rows, functools.partial(of_another, built, arrays, read, tolerance))
    rows.sort(key=lambda row: list(read.arrays).index(row.array))
    return Comparison(rows, ties, _left_out(rows, parts, read.classes), why)


def _parts(read: Reference, built: slim_models.Network, layer: str | None) -> list[Quantity]:
    """What the reference's arrays are."""
    parts = quantities(list(read.arrays), list(built.endpoints), built.default_layer, layer)
    if any(part.per_class for part in parts) and not read.classes.shape[1]:
        raise BadValue("the reference has gradients or maps of classes, but no array 'classes'")
    return parts


def _left_out(rows: Sequence[Agreement], parts: Sequence[Quantity], classes: np.ndarray) -> list[str]:
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
        raise BadValue(f"{network} cannot be compared: its input is not pictures less ImageNet's mean, as Caffe's is")


class _Comparer:
    """Compares the arrays of a reference, picture by picture."""

    def __init__(
        self,
        explainer: Explainer,
        reference: Reference,
        pictures: Prepared,
        parts: Sequence[Quantity],
        tolerance: float,
        say: Say,
    ):
        self._explainer, self._reference, self._pictures = explainer, reference, pictures
        self._tolerance, self._say = tolerance, say
        self._parts = {part.name: part for part in parts}
        self._order = explainer.network.input_order

    def compared(self, picture: int) -> tuple[list[Agreement], Search | None]:
        """A row for each array and class, and the search for ties, if there was one."""
        classes = [int(index) for index in self._reference.classes[picture]]
        images = np.repeat(self._pictures.images[picture][None], max(1, len(classes)), axis=0)
        fed = {self._explainer.network.images: images}  # whatever its range
        explanation = self._explainer.explain(np.zeros_like(images), classes or None, overrides=fed)
        rows = self._rows(picture, explanation)
        # Maps alone are evidence: a few sums could be explained by anything.
        suspects = [row for row in rows if row.may_be_by_ties and row.theirs.ndim > 1]
        if not suspects or causes.fails_before_classes(rows, self._parts):
            return rows, None
        self._say(f"picture {picture + 1}: gradients differ; looking for decisions within rounding of a tie")
        ties = Ties(self._explainer, self._pictures.images[picture], influence=self._influence, say=self._say)
        turned = self._turned(ties, suspects, explanation)
        search = Search(len(ties.found), turned, ties.runs, ties.spent)
        if turned:
            rows = self._rows(picture, explanation, ties.explain(classes, [turned] * len(classes)))
        return rows, search

    def _turned(self, ties: Ties, suspects: Sequence[Agreement], explanation: Explanation) -> list[Tie]:
        """The ties that explain the differences of the rows.

        Decisions are taken before any class is chosen: what explains one class's differences has to hold for
        the others too, of which only what is then left is searched.
        """
        turned: list[Tie] = []
        activations = {layer: array[:1] for layer, array in explanation.activations.items()}
        for target in dict.fromkeys(row.target for row in suspects):
            assert target is not None  # see Agreement.may_be_by_ties
            rows = [row for row in suspects if row.target == target]
            difference = RowsDifference(self._explainer, rows, self._parts, activations)
            turned = ties.that_make(difference, target, self._tolerance, turned)
        return turned

    @functools.cached_property
    def _influence(self) -> Influence | None:
        """None where TensorFlow cannot differentiate the gradients of some operation of a user's network."""
        try:
            return Influence(self._explainer)
        except (LookupError, TypeError, ValueError, NotImplementedError):
            return None

    def _rows(self, picture: int, explanation: Explanation, turned: Explanation | None = None) -> list[Agreement]:
        """A row for each array and class, with what turning the ties makes of those that jump."""
        result = []
        for part in self._parts.values():
            for number in range(len(self._reference.classes[picture])) if part.per_class else [0]:
                theirs = self._reference.of(part, picture, number)
                if theirs is None:  # left out for this picture or class
                    continue
                ours = self._ours(part, picture, explanation, number)
                self._check_shape(part, theirs, ours)
                target = int(self._reference.classes[picture][number]) if part.per_class else None
                again = part.of(turned, number, self._order) if turned and part.per_class else None
                if part.reduction == "_stats":
                    scales = scales_of_stats(theirs)
                    theirs, ours, again = theirs / scales, ours / scales, None if again is None else again / scales
                tolerance = self._tolerance_of(part, explanation)
                result.append(Agreement(part.name, picture, target, theirs, ours, tolerance, again))
        return result

    def _ours(self, part: Quantity, picture: int, explanation: Explanation, number: int) -> np.ndarray:
        if part.kind == "input":
            return self._pictures.inputs[picture]
        return part.of(explanation, number, self._order)

    def _tolerance_of(self, part: Quantity, explanation: Explanation) -> float:
        """A softmax changes by up to twice what its logits do, which float32 rounds the more the larger they are."""
        if part.kind != "softmax":
            return self._tolerance
        by_rounding = 2 * ROUNDING * float(np.abs(explanation.logits[0]).max())
        return max(self._tolerance, min(by_rounding, _MOST_OF_SOFTMAX))

    def _check_shape(self, part: Quantity, theirs: np.ndarray, ours: np.ndarray) -> None:
        if ours.shape == theirs.shape:
            return
        hint = "; blobs as pycaffe gives them need the layout 'caffe'"
        raise BadValue(
            f"the reference's {part.name!r} is {list(theirs.shape)} for a picture"
            f"{' and class' if part.per_class else ''}, but the network's is {list(ours.shape)}"
            f"{hint if sorted(theirs.shape) == sorted(ours.shape) else ''}"
        )

    def cause(self, rows: Sequence[Agreement], other_network: Callable[[], str | None]) -> str:
        """Why the first array that fails does; empty if none does."""
        row = causes.first_that_fails(rows, self._parts)
        if row is None:
            return ""
        part = self._parts[row.array]
        rules: dict[str, np.ndarray] = {}
        if part.kind == "saliency" and not part.reduction:
            images = self._pictures.images[row.picture][None]
            fed = {self._explainer.network.images: images}
            explanation = self._explainer.explain(np.zeros_like(images), row.target, overrides=fed)
            rules = {rule: ordered(array[0], self._order) for rule, array in explanation.saliency.items()}
        return causes.cause(row, part, rules, other_network)
