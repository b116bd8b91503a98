"""Why gradients of two correct programs differ: decisions within rounding of a tie.

Of the millions of ReLU inputs and maxima of a network a few lie so close to zero, or to their runner-up,
that rounding decides them. Each that falls the other way in another program changes the gradients by a
step. Here such decisions are found, and turned one by one, until the steps add up to the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from tqdm import tqdm

from gradcam.explainer import Explainer
from gradcam.explanation import Explanation
from slim_models.decisions import Tie, deciding_operations, find_ties

# (explanation, entry) -> what is left of the difference there, as one array.
Difference = Callable[[Explanation, int], np.ndarray]


class Ties:
    """The decisions of one picture that rounding may turn, and what turning them does.

    Attributes:
        found: the ties, nearest first.
    """

    def __init__(self, explainer: Explainer, image: np.ndarray, rounding: float = 5e-6):
        """Runs the picture once.

        Args:
            explainer: of the network.
            image: `[H, W, 3]`, RGB in [0, 255].
            rounding: how far from a tie, over the root mean square of the layer, float32's rounding errors
                can be in two implementations: they grow to some 1e-6 in a deep network.
        """
        self._explainer, self._image = explainer, np.asarray(image, np.float32)
        network, feed = explainer.network, {explainer.network.images: self._image[None]}
        operations = deciding_operations(network)
        inputs = explainer.session.run([operation.inputs[0] for operation in operations], feed)
        self.found = find_ties(network, dict(zip(operations, inputs)), rounding)
        # Every tensor that holds a tie is fed from now on, so that no run decides it anew.
        tensors = list(dict.fromkeys(tie.tensor for tie in self.found))
        self._values = dict(zip(tensors, explainer.session.run(tensors, feed))) if tensors else {}

    def explain(self, targets: Sequence[int], turned: Sequence[Sequence[Tie]]) -> Explanation:
        """Explains the picture with decisions turned.

        Args:
            targets: a class for each entry.
            turned: the ties that are turned, for each entry.
        """
        overrides = {tensor: np.repeat(value, len(targets), axis=0) for tensor, value in self._values.items()}
        for entry, ties in enumerate(turned):
            for tie in ties:
                overrides[tie.tensor][entry][tie.place] = tie.value
        images = np.repeat(self._image[None], len(targets), axis=0)
        return self._explainer.explain(images, targets, overrides=overrides)

    def that_make(self, difference: Difference, target: int, tolerance: float) -> list[Tie]:
        """The ties that, turned, take a difference away.

        The difference is a sum of the ties' own steps, each 0 or 1 times: a least-squares problem, solved
        for more and more ties, nearest first, until nothing is left.

        Args:
            difference: of a scale at which `tolerance` is small.
            target: the class that it is of.
            tolerance: norm of a difference that is no more than rounding.

        Returns:
            The ties; as many as explain something, also where something is left.
        """
        start = difference(self.explain([target], [[]]), 0).astype(np.float64)
        steps: list[np.ndarray] = []
        taken: list[Tie] = []
        for tie, step in self._steps(difference, target, start):
            if np.linalg.norm(step) < tolerance / 10:  # rounding of its own
                continue
            steps.append(step)
            taken.append(tie)
            matrix = np.stack(steps, axis=1)
            shares = np.linalg.lstsq(matrix.T @ matrix, matrix.T @ start, rcond=None)[0]
            chosen = shares > 0.5
            if np.linalg.norm(start - matrix @ chosen) < tolerance:
                break
        return [tie for tie, is_chosen in zip(taken, chosen) if is_chosen] if taken else []

    def _steps(self, difference: Difference, target: int, start: np.ndarray) -> Iterator[tuple[Tie, np.ndarray]]:
        """What each tie, turned alone, takes from the difference; four to a run, for the memory's sake."""
        for first in tqdm(range(0, len(self.found), 4), unit_scale=4, unit="tie", disable=None, leave=False):
            ties = self.found[first : first + 4]
            explanation = self.explain([target] * len(ties), [[tie] for tie in ties])
            for entry, tie in enumerate(ties):
                yield tie, start - difference(explanation, entry)
