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

    def that_make(self, difference: Difference, target: int, tolerance: float, turned: Sequence[Tie] = ()) -> list[Tie]:
        """The ties that, turned, take a difference away.

        The difference is a sum of the ties' own steps, each 0 or 1 times: a least-squares problem, solved
        for more and more ties, nearest first, until nothing is left.

        Args:
            difference: of a scale at which `tolerance` is small.
            target: the class that it is of.
            tolerance: norm of a difference that is no more than rounding.
            turned: ties that are turned already.

        Returns:
            Further ties; as many as explain something, also where something is left.
        """
        start = difference(self.explain([target], [turned]), 0)
        if np.linalg.norm(start) < tolerance:
            return []
        steps: list[np.ndarray] = []
        taken: list[Tie] = []
        chosen = np.zeros(0, bool)
        products, gram = np.zeros(0), np.zeros((0, 0))  # of the steps with the difference, and with each other
        for tie, step in self._steps(difference, target, start, turned):
            if np.linalg.norm(step) < tolerance / 10:  # rounding of its own
                continue
            steps.append(step)
            taken.append(tie)
            products, gram = np.append(products, step @ start), np.pad(gram, (0, 1))
            gram[-1] = gram[:, -1] = [step @ other for other in steps]
            chosen = np.linalg.lstsq(gram, products, rcond=None)[0] > 0.5
            left = start - sum(step for step, is_chosen in zip(steps, chosen) if is_chosen)
            if np.linalg.norm(left) < tolerance:
                break
        return [tie for tie, is_chosen in zip(taken, chosen) if is_chosen]

    def _steps(
        self, difference: Difference, target: int, start: np.ndarray, turned: Sequence[Tie]
    ) -> Iterator[tuple[Tie, np.ndarray]]:
        """What each tie, turned alone, takes from the difference; four to a run, for the memory's sake."""
        left = [tie for tie in self.found if tie not in turned]
        for first in tqdm(range(0, len(left), 4), unit_scale=4, unit="tie", disable=None, leave=False):
            ties = left[first : first + 4]
            explanation = self.explain([target] * len(ties), [[*turned, tie] for tie in ties])
            for entry, tie in enumerate(ties):
                yield tie, start - difference(explanation, entry)
