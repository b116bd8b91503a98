"""Why an array of a reference is not ours, where a simple relation between the two tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from gradcam.comparison.agreement import Agreement, relative_l2
from gradcam.comparison.references import Quantity

# In the order in which a net computes them: the first that fails tells why those after it do.
_ORDER = ("input", "activations", "pool5", "logits", "softmax", "gradients", "alpha", "cam_raw", "cam", "saliency")
_BEFORE_CLASSES = ("activations", "pool5", "logits", "softmax")
_BY_RULE = {"backprop": "the gradient", "guided": "guided backprop", "deconvnet": "the deconvnet's"}


def first_that_fails(rows: Sequence[Agreement], parts: Mapping[str, Quantity]) -> Agreement | None:
    """The row that fails of the array that is computed before all others that fail."""
    failed = [row for row in rows if not row.passed]
    return min(failed, key=lambda row: _ORDER.index(parts[row.array].kind)) if failed else None


def fails_before_classes(rows: Sequence[Agreement], parts: Mapping[str, Quantity]) -> bool:
    """Whether the forward pass differs already, which no decision within rounding explains."""
    return any(not row.passed and parts[row.array].kind in ("input", *_BEFORE_CLASSES[:3]) for row in rows)


def cause(
    row: Agreement,
    part: Quantity,
    rules: Mapping[str, np.ndarray],
    other_network: Callable[[], str | None] = lambda: None,
) -> str:
    """Why the first array that fails does, in a sentence.

    Args:
        row: of that array.
        part: what it is.
        rules: for a saliency: ReLU rule -> ours under it, of the same shape.
        other_network: the name of a network of the same weights whose reference it is; None if it is no known one's.
    """
    found = next(_relations(row, part, rules), None)
    if found is None and part.kind in _BEFORE_CLASSES:
        other = other_network()
        found = (
            f"it is the reference of {other}, a network of the same weights with other strides: --network {other}"
            if other
            else "another network (strides, padding, the epsilon of batch norm) or other weights"
        )
    if found is None and part.kind == "input":
        found = "the mean, the scale, or the pictures themselves"
    already = " already" * (part.kind != "saliency")
    where = f"picture {row.picture}" + ("" if row.target is None else f", class {row.target}")
    return f"{row.array} differs{already} ({where}): {found or 'no simple relation between the two'}"


def _relations(row: Agreement, part: Quantity, rules: Mapping[str, np.ndarray]) -> Iterator[str]:
    """What would make theirs of ours, the likeliest first."""
    theirs, ours = row.theirs.astype(np.float64), row.ours.astype(np.float64)
    # Whoever is wrong by ties besides is not to be told that the relation is none of these.
    near = max(row.tolerance, 1e-3)

    def alike(made: np.ndarray) -> bool:
        return made.shape == theirs.shape and relative_l2(made, theirs) <= near

    if not theirs.any():
        yield "the reference is all zero" + ": a net without its weights" * (part.kind in _BEFORE_CLASSES)
    if part.kind == "logits" and theirs.size > 1 and np.ptp(theirs) == 0:
        yield "the reference's logits are all the same: a net without its weights"
    if part.kind in ("input", "saliency") and theirs.ndim == 3 and alike(ours[..., ::-1]):
        yield "the order of channels: RGB in place of BGR, or the other way round"
    for rule, saliency in rules.items():
        if rule != part.key and alike(saliency):
            yield f"it is {_BY_RULE[rule]}, not {_BY_RULE[part.key]}"
    if part.kind in ("logits", "softmax"):
        for shift in (1, -1):
            some = slice(max(shift, 0), theirs.size + min(shift, 0))
            same = slice(max(-shift, 0), theirs.size + min(-shift, 0))
            if theirs.size > 2 and relative_l2(ours[same], theirs[some]) <= near:
                yield f"classes shifted by one: class {some.start} there is class {same.start} here"
    if theirs.ndim > 1 and theirs.shape[0] == theirs.shape[1] and alike(np.swapaxes(ours, 0, 1)):
        yield "heights and widths are exchanged"
    if theirs.ndim > 1 and alike(ours[:, ::-1]):
        yield "left and right are exchanged"
    yield from _factors(theirs, ours, near)


def _factors(theirs: np.ndarray, ours: np.ndarray, near: float) -> Iterator[str]:
    size = np.square(ours).sum()
    factor = float((ours * theirs).sum() / size) if size else 0.0
    if factor and relative_l2(factor * ours, theirs) <= near:
        yield "another sign" if abs(factor + 1) <= near else f"a factor of {factor:.6g}"
    offset = float((theirs - ours).mean())
    if relative_l2(ours + offset, theirs) <= near:
        yield f"{abs(offset):.6g} {'more' if offset > 0 else 'less'} everywhere"
