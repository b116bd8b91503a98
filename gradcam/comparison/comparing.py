"""Comparing our numbers with another program's: `gradcam compare`."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import slim_models
from gradcam.comparison.references import Quantity, Reference, pictures_of, quantities, read_reference, scales_of_stats
from gradcam.comparison.ties import Tie, Ties
from gradcam.explainer import Explainer
from gradcam.explanation import Explanation
from slim_models.mistakes import BadValue

# Steps of turned ties are explained one by one, but more than this is no rounding any more.
MOST_BY_TIES = 0.05
HEADER = "array                  picture  class   rel. L2   of peak  correlation tolerance"


def compare(
    reference: str | os.PathLike | Mapping[str, np.ndarray],
    network: str,
    weights: str | os.PathLike | Mapping[str, np.ndarray] | None = None,
    *,
    layer: str | None = None,
    layout: str = "tensorflow",
    tolerance: float = 1e-4,
    say: Callable[[str], object] | None = None,
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
        say: is told in lines what takes long, and what was guessed of a network at a path; None is silent.
        options: of `slim_models.load`, for a network at a path.

    Returns:
        A row for each array, picture and class.

    Raises:
        FileNotFoundError, KeyError, ValueError: a file that is missing or not what it should be, a name
            that means nothing, arrays of other shapes than the network's.
    """
    _check_less_mean(network)
    read = read_reference(reference, layout, "RGB")
    built = slim_models.open_network(network, weights, image_size=read.images.shape[1], say=say, **options)
    read = dataclasses.replace(read, images=pictures_of(read.arrays, built.check_photographs().input_order))
    if (arrays := built.values.arrays()) is not None:
        slim_models.check_weights(built, arrays)  # before anything that a wrong network would be blamed for
    if layer is not None:
        built.check_layer(layer)
    if not tolerance > 0:
        raise BadValue(f"the tolerance must be above 0, not {tolerance}")
    parts = quantities(list(read.arrays), list(built.endpoints), built.default_layer, layer)
    if any(part.per_class for part in parts) and not read.classes.shape[1]:
        raise BadValue("the reference has gradients or maps of classes, but no array 'classes'")
    layers = sorted({part.key for part in parts if part.key in built.endpoints})
    rules = sorted({part.key for part in parts if part.kind == "saliency"})
    with Explainer(built, layers=layers, rules=rules) as explainer:
        rows: list[Agreement] = []
        ties: dict[int, tuple[list[Tie], list[Tie]]] = {}
        for picture in range(len(read.images)):
            comparer = _Comparer(explainer, read, parts, picture, tolerance, progress=say is not None)
            found = comparer.rows()
            # Maps alone are evidence: a few sums could be explained by anything.
            if suspects := [row for row in found if row.may_be_by_ties and row.theirs.ndim > 1]:
                if say:
                    say(f"picture {picture}: gradients differ; looking for decisions within rounding of a tie")
                ties[picture] = comparer.ties_that_make(suspects)
                found = comparer.rows(turned=ties[picture][1])
            rows += found
    if not rows:
        raise BadValue(f"the reference has nothing to compare, but {', '.join(read.arrays)} alone")
    rows.sort(key=lambda row: list(read.arrays).index(row.array))
    return Comparison(rows, ties, _left_out(rows, parts, read.classes))


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
    """Compares the arrays of one picture, whose explanation it holds."""

    def __init__(
        self,
        explainer: Explainer,
        reference: Reference,
        parts: Sequence[Quantity],
        picture: int,
        tolerance: float,
        progress: bool,
    ):
        self._explainer, self._reference, self._picture = explainer, reference, picture
        self._tolerance, self._progress = tolerance, progress
        self._parts = {part.name: part for part in parts}
        self._order = explainer.network.input_order
        self._image, self._classes = reference.images[picture], [int(index) for index in reference.classes[picture]]
        images = np.repeat(self._image[None], max(1, len(self._classes)), axis=0)
        self._explanation = explainer.explain(images, self._classes or None)
        self._ties: Ties | None = None

    def rows(self, turned: Sequence[Tie] = ()) -> list[Agreement]:
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
                    raise BadValue(
                        f"the reference's {part.name!r} is {list(theirs.shape)} for a picture"
                        f"{' and class' if part.per_class else ''}, but the network's is {list(ours.shape)}"
                        f"{hint if sorted(theirs.shape) == sorted(ours.shape) else ''}"
                    )
                target = self._classes[number] if part.per_class else None
                again = part.of(after, number, self._order) if after and part.per_class else None
                if part.reduction == "_stats":
                    scales = scales_of_stats(theirs)
                    theirs, ours, again = theirs / scales, ours / scales, None if again is None else again / scales
                result.append(Agreement(part.name, self._picture, target, theirs, ours, self._tolerance, again))
        return result

    def ties_that_make(self, suspects: Sequence[Agreement]) -> tuple[list[Tie], list[Tie]]:
        """The picture's ties, and those that explain the differences of the rows.

        Decisions are taken before any class is chosen: what explains one class's differences has to hold for
        the others too, of which only what is then left is searched.
        """
        self._ties = Ties(self._explainer, self._image, progress=self._progress)
        turned: list[Tie] = []
        for target in dict.fromkeys(row.target for row in suspects):
            assert target is not None  # see Agreement.may_be_by_ties
            difference = functools.partial(self._difference, [row for row in suspects if row.target == target])
            turned += self._ties.that_make(difference, target, self._tolerance, turned)
        return self._ties.found, turned

    def _difference(self, rows: Sequence[Agreement], explanation: Explanation, entry: int) -> np.ndarray:
        """What another explanation leaves of the rows' differences, each over the size of theirs."""
        left = [
            (row.theirs - self._parts[row.array].of(explanation, entry, self._order)) / np.linalg.norm(row.theirs)
            for row in rows
        ]
        return np.concatenate([array.ravel() for array in left]).astype(np.float32)


@dataclasses.dataclass(frozen=True, eq=False)
class Agreement:
    """One array, of one picture and class, theirs and ours.

    Attributes:
        array: its name in the reference.
        picture: number of the picture.
        target: the class, or None where the array has none.
        theirs: the reference, in our layout.
        ours: of the same shape.
        tolerance: greatest relative L2 difference that passes.
        turned: ours with the ties turned that explain the difference; None where nothing was to explain.
    """

    array: str
    picture: int
    target: int | None
    theirs: np.ndarray
    ours: np.ndarray
    tolerance: float
    turned: np.ndarray | None = None

    @property
    def relative_l2(self) -> float:
        """|ours - theirs| / |theirs|, Euclidean norms; infinite where theirs is zero and ours is not."""
        return _relative_l2(self.ours, self.theirs)

    @property
    def peak_difference(self) -> float:
        """Largest difference, over the largest absolute value of theirs."""
        return _over(np.abs(_wide(self.ours) - self.theirs).max(), np.abs(self.theirs).max())

    @property
    def correlation(self) -> float:
        """Pearson's; NaN where either is constant."""
        return correlation(self.ours, self.theirs)

    @property
    def may_be_by_ties(self) -> bool:
        """Whether it is of a class, so that decisions matter, and its difference not too large for a few."""
        return self.target is not None and self.tolerance < self.relative_l2 <= MOST_BY_TIES

    @property
    def left(self) -> float:
        """The relative L2 difference that is left with the ties turned; NaN where none were."""
        return np.nan if self.turned is None else _relative_l2(self.turned, self.theirs)

    @property
    def by_ties(self) -> bool:
        """Whether the difference is above the tolerance, and gone once the ties are turned."""
        return self.may_be_by_ties and self.left <= self.tolerance

    @property
    def passed(self) -> bool:
        """Whether ours is theirs but for rounding, and for what rounding decides."""
        return self.relative_l2 <= self.tolerance or self.by_ties

    def __str__(self) -> str:
        target = "-" if self.target is None else self.target
        result = "pass" if self.passed else "FAIL"
        return (
            f"{self.array:22s} {self.picture:7d} {target:>6} {self.relative_l2:9.1e} {self.peak_difference:9.1e} "
            f"{self.correlation:12.8f} {self.tolerance:9.0e}  {result}{' (ties)' * self.by_ties}"
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare` found.

    Attributes:
        rows: array by array, as in the reference.
        ties: picture -> (ties within rounding, those that fall the other way in the reference), for
            pictures whose gradients differ.
        left_out: arrays that the reference has of some pictures or classes only, and how many.
    """

    rows: list[Agreement]
    ties: Mapping[int, tuple[list[Tie], list[Tie]]]
    left_out: Sequence[str] = ()

    @property
    def passed(self) -> bool:
        """Whether every row passed."""
        return all(row.passed for row in self.rows)

    def __str__(self) -> str:
        """The table, and what was found of ties."""
        lines = [HEADER, *map(str, self.rows)]
        for picture, (found, turned) in self.ties.items():
            left = [row.left for row in self.rows if row.picture == picture and row.by_ties]
            lines.append(f"picture {picture}: {len(found)} of its decisions are within rounding of a tie; ")
            if not left:
                lines[-1] += "turning them does not take the differences away"
                continue
            lines[-1] += (
                f"{len(turned)} fall the other way in the reference: turned, they bring the differences marked (ties) "
                f"down to {max(left):.1e} and less"
            )
            lines += [f"    {tie.operation} at {tie.place}: {tie.margin:.1e} from the tie" for tie in turned]
        if self.left_out:
            lines.append(f"the reference leaves out some pictures or classes of {', '.join(self.left_out)}")
        return "\n".join(lines)


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's correlation of all values; NaN where either array is constant."""
    one, other = (_wide(array).ravel() - array.mean(dtype=np.float64) for array in (first, second))
    norm = np.linalg.norm(one) * np.linalg.norm(other)
    return float(one @ other / norm) if norm else float("nan")


def _relative_l2(ours: np.ndarray, theirs: np.ndarray) -> float:
    return _over(float(np.linalg.norm(_wide(ours) - theirs)), float(np.linalg.norm(_wide(theirs))))


def _over(difference: float, scale: float) -> float:
    """A difference over its scale; two zeros do not differ."""
    if scale:
        return difference / scale
    return float("inf") if difference else 0.0


def _wide(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64)
