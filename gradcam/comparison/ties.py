"""Why gradients of two correct programs differ: decisions within rounding of a tie.

Of the millions of ReLU inputs and maxima of a network a few lie so close to zero, or to their runner-up, that rounding
decides them; in a picture with a flat area, where neighbours are equal, hundreds of thousands. Each that falls the
other way in another program changes the gradients by a step. Here such decisions are found, and those are turned whose
steps add up to the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from gradcam.comparison.decisions import ROUNDING, Tie, deciding_operations, find_ties
from gradcam.comparison.influence import Influence
from gradcam.explainer import Explainer
from gradcam.explanation import Explanation

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

_AT_ONCE = 4  # entries of a run, for the memory's sake
_TRIED, _MOST_TRIED = 12, 48  # decisions that are turned one by one in the first round, and in any
MOST_RUNS = 80  # a picture
_FRUITLESS = 2  # rounds in which nothing helps, before it is given up
_ALL = 0.75  # of a step that has to be in what is to be explained, where it is not hidden by others
_SMALL = 1e-6  # of the difference's square, what a tie that is tried could take away
_LESS = 0.9  # what a round has to leave of the difference, at most


class Difference(Protocol):
    """What is to be explained, as one array `[D]`, of a scale at which the tolerance is small."""

    def __call__(self, explanation: Explanation, entry: int) -> np.ndarray:
        """What is left of the difference in an entry of an explanation."""

    def pulled_back(self, vectors: np.ndarray) -> Mapping[tf.Tensor, np.ndarray]:
        """`[N, D]` -> what they are products with, among `Explainer.tensors`: an array `[N, ...]` for each tensor."""


class Ties:
    """The decisions of one picture that rounding may turn, and what turning them does.

    Attributes:
        found: the ties.
        runs: how many session runs were spent.
    """

    def __init__(
        self,
        explainer: Explainer,
        image: np.ndarray,
        rounding: float = ROUNDING,
        *,
        influence: Influence | None = None,
        say: Callable[[str], object] | None = None,
        most_runs: int = MOST_RUNS,
    ):
        """Runs the picture once.

        Args:
            explainer: of the network.
            image: `[H, W, 3]`, as the placeholder of the network's images is fed.
            rounding: as of `find_ties`.
            influence: of the explainer; None tries the ties in the order of their margins.
            say: is told how far the search is.
            most_runs: when that many session runs are spent, the search ends.
        """
        self._explainer, self._image = explainer, np.asarray(image, np.float32)
        self._influence, self._say, self._most_runs = influence, say or (lambda line: None), most_runs
        self.runs = 2
        feed = {explainer.network.images: self._images(explainer.network.batch_size or 1)}
        operations = deciding_operations(explainer.network)
        inputs = explainer.session.run([operation.inputs[0] for operation in operations], feed)
        self.found = find_ties(dict(zip(operations, inputs)), rounding)
        # Every tensor that holds a tie is fed from now on, so that no run decides it anew.
        tensors = list({group.tensor.name: group.tensor for group in self.found.groups}.values())
        values = explainer.session.run(tensors, feed) if tensors else []
        self._values = {tensor.name: (tensor, value[:1]) for tensor, value in zip(tensors, values)}

    @property
    def spent(self) -> bool:
        """Whether all runs are spent that a search may take."""
        return self.runs >= self._most_runs

    def explain(self, targets: Sequence[int], turned: Sequence[Collection[Tie]]) -> Explanation:
        """Explains the picture with decisions turned.

        Args:
            targets: a class for each entry.
            turned: the ties that are turned, for each entry.
        """
        self.runs += 1
        overrides = self._decided(turned)
        overrides[self._explainer.network.images] = self._images(len(targets))
        return self._explainer.explain(np.zeros_like(self._images(len(targets))), targets, overrides=overrides)

    def that_make(
        self, difference: Difference, target: int, tolerance: float, turned: Collection[Tie] = ()
    ) -> list[Tie]:
        """The ties that, turned, take a difference away.

        Round by round those are turned one by one that could take most of it, by their influence, and of these the
        ones are kept whose steps together leave least.

        Args:
            difference: what is to be explained.
            target: the class that it is of.
            tolerance: norm of a difference that is no more than rounding.
            turned: ties that are turned already.

        Returns:
            All ties that are turned then: as many as explain something, also where something is left.
        """
        now = list(turned)
        left = difference(self.explain([target], [now]), 0)
        tried: set[Tie] = set()
        fruitless, most = 0, _TRIED
        while np.linalg.norm(left) >= tolerance and not self.spent and fruitless < _FRUITLESS:
            ties = self._likeliest(difference, target, now, left, tried)[:most]
            if not ties:
                break
            tried |= set(ties)
            again, rest = self._round(difference, target, now, left, [*ties, *now[-_TRIED:]], tolerance)
            if np.linalg.norm(rest) <= _LESS * np.linalg.norm(left):
                now, left, fruitless = again, rest, 0
                tried, most = set(now), min(2 * most, _MOST_TRIED)
            else:
                fruitless += 1
            self._say(f"{len(now)} decisions turned, {np.linalg.norm(left):.1e} left after {self.runs} runs")
        return now

    def _round(
        self,
        difference: Difference,
        target: int,
        now: list[Tie],
        left: np.ndarray,
        ties: Sequence[Tie],
        tolerance: float,
    ) -> tuple[list[Tie], np.ndarray]:
        """Turns one tie after the other alone, then those that are kept, and gives what is turned then and is left.

        The likeliest come first; once some add up to all that is to be explained, the others are not tried.
        """
        steps = np.zeros((0, left.size), np.float32)
        kept = np.zeros(0, bool)
        for first in range(0, len(ties), _AT_ONCE):
            some = ties[first : first + _AT_ONCE]
            explanation = self.explain([target] * len(some), [_with(now, [tie]) for tie in some])
            steps = np.stack([*steps, *(left - difference(explanation, entry) for entry in range(len(some)))])
            kept = adding_up(steps, left)
            if self.spent or np.linalg.norm(left - kept @ steps) < tolerance / 2:
                break
        again = _with(now, [tie for tie, is_kept in zip(ties, kept) if is_kept])
        return again, difference(self.explain([target], [again]), 0)

    def _likeliest(
        self, difference: Difference, target: int, now: Sequence[Tie], left: np.ndarray, tried: Collection[Tie]
    ) -> list[Tie]:
        """Those that could take most of the difference away, by what they do to first order."""
        if self._influence is None:
            order = self.found.nearest()
        else:
            gains = self._gains(self._influence, difference, target, now, left)
            order = np.argsort(-gains, kind="stable")
            order = np.concatenate([order[gains[order] > _SMALL * (left @ left)], self.found.hidden()])
        ties = (self.found[int(number)] for number in order)
        return [tie for _, tie in zip(range(_MOST_TRIED), (tie for tie in ties if tie not in tried and tie not in now))]

    def _gains(
        self, influence: Influence, difference: Difference, target: int, now: Sequence[Tie], left: np.ndarray
    ) -> np.ndarray:
        """How much of the difference's square each tie could take away at most, `<d, s>^2 / |s|^2`; 0 if it adds to it.

        The size of a step is told from its products with random vectors, whose squares have |s|^2 as their mean.
        """
        entries = self._explainer.network.batch_size or _AT_ONCE
        rng = np.random.default_rng(0)
        vectors = rng.choice(np.array([-1, 1], np.float32), (max(entries, 2), left.size))
        vectors[0] = left
        feed = {**self._decided([now] * entries), self._explainer.network.images: self._images(entries)}
        feed[self._explainer.classes] = np.full(entries, target)
        self.runs += 1
        products = influence.products(self.found, feed, difference.pulled_back(vectors[:entries]))
        squares = np.square(products[1:]).mean(axis=0)
        gains = np.square(np.maximum(products[0], 0))
        return np.divide(gains, squares, out=np.zeros_like(gains), where=squares > 0)

    def _decided(self, turned: Sequence[Collection[Tie]]) -> dict[tf.Tensor, np.ndarray]:
        """The activations that hold ties, with some of these turned in each entry."""
        values = {name: np.repeat(value, len(turned), axis=0) for name, (_, value) in self._values.items()}
        for entry, ties in enumerate(turned):
            for tie in ties:
                values[tie.tensor.name][entry][tie.place] = tie.value
        return {self._values[name][0]: value for name, value in values.items()}

    def _images(self, count: int) -> np.ndarray:
        return np.repeat(self._image[None], count, axis=0)


def adding_up(steps: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Which of some steps add up to a whole, each taken once or not at all.

    Args:
        steps: `[n, D]`.
        whole: `[D]`.

    Returns:
        bool `[n]`: the least-squares solution, or what comes of taking the one that brings most again and again, if
        that leaves less. Those are taken first of which all is in the whole: a step that merely overlaps with one that
        is not among them brings something too.
    """
    wide = steps.astype(np.float64)
    gram, products = wide @ wide.T, wide @ whole
    sizes = np.diag(gram)
    choices = [np.linalg.lstsq(gram, products, rcond=None)[0] > 0.5]
    for share in (_ALL, 0.5):
        taken = np.zeros(len(steps), bool)
        while (open_ := ~taken & (products - gram @ taken > share * sizes)).any():
            gains = np.where(open_, 2 * (products - gram @ taken) - sizes, -np.inf)
            taken[gains.argmax()] = True
        choices.append(taken)
    left = [taken @ gram @ taken - 2 * products @ taken for taken in choices]
    return choices[1] if left[1] < 0.5 * min(left) else choices[int(np.argmin(left))]


def _with(turned: Sequence[Tie], ties: Sequence[Tie]) -> list[Tie]:
    """Those that are turned once some more are; what was turned is turned back."""
    return [tie for tie in turned if tie not in ties] + [tie for tie in ties if tie not in turned]
