"""More runs of an explained network, for the methods that need them: of changed pictures, or from a layer onwards."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcam.explanation import Slopes
from gradcam.fixations import traced
from gradcam.runs import Fetches, in_batches
from gradcam.sessions import values_there
from gradcam.tracing import steps_of, weights_after
from slim_models import fingerprint
from slim_models.mistakes import BadValue

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

    import slim_models

_MOST_REMEMBERED = 2**26  # bytes of logits: those of 4000 masks and 1000 classes take a fourth of it


class Again:
    """An `explanation.Runs`: what a session runs for a method, beside the one run of an explanation.

    Attributes:
        say: is told what there is to say; None is silence.
    """

    def __init__(
        self,
        network: slim_models.Network,
        fetches: Fetches,
        session: tf.Session,
        say: Callable[[str], None] | None = None,
    ):
        self.say = say
        self._network, self._fetches, self._session = network, fetches, session
        self._weights: Mapping[tf.Tensor, np.ndarray] = {}  # in the place of the network's own
        self._said: dict[str, np.ndarray] | None = None  # what was predicted, where that is remembered

    def remembering(self) -> Again:
        """The same runs, which predict nothing twice: the classes of a picture ask for the same changed pictures."""
        other = copy.copy(self)
        other._said = {}
        return other

    def predict(
        self, images: np.ndarray, layer: str | None = None, activations: np.ndarray | None = None
    ) -> np.ndarray:
        """The logits of pictures, or of a layer's activations: what comes before the layer is not run.

        Args:
            images: `[N, H, W, K]`, whatever their range.
            layer: an endpoint of the network whose activations are given.
            activations: `[N, h, w, K]`.

        Returns:
            `[N, C]`.
        """
        if self._said is None:
            return self._predicted(images, layer, activations)
        key = fingerprint({"images": images, **({} if activations is None else {f"at {layer}": activations})})
        if key in self._said:
            return self._said[key]
        logits = self._predicted(images, layer, activations)
        if sum(kept.nbytes for kept in list(self._said.values())) + logits.nbytes <= _MOST_REMEMBERED:
            self._said[key] = logits
        return logits

    def _predicted(self, images: np.ndarray, layer: str | None, activations: np.ndarray | None) -> np.ndarray:
        feed = {self._network.images: images}
        if layer is not None:
            tensor = self._network.endpoints[layer]
            feed[tensor] = np.asarray(activations, tensor.dtype.as_numpy_dtype)
        return self._run(self._network.logits, feed)

    def slopes(self, images: np.ndarray, directions: np.ndarray, layer: str | None = None) -> Slopes:
        """The gradient of each picture's output along its direction.

        Args:
            images: `[N, H, W, K]`, whatever their range.
            directions: `[N, C]`.
            layer: one of those explained; None is the pictures themselves.

        Returns:
            `[N, h, w, K]` of the layer, or of the pictures.

        Raises:
            ValueError: the explainer was made without the layer, or without the rule `backprop` for the pictures.
        """
        tensors = self._fetches.tensors
        there = tensors["saliency"] if layer is None else tensors["gradients"]
        name = "backprop" if layer is None else layer
        if name not in there:
            raise BadValue(f"no gradients of {name!r} were asked for when the Explainer was made, only {list(there)}")
        wanted = {"logits": tensors["logits"], "gradients": there[name]}
        if layer is not None:
            wanted["activations"] = tensors["activations"][layer]
        arrays = self._run(wanted, {self._network.images: images, self._fetches.directions: directions})
        return Slopes(**{"activations": images, **arrays})

    def arrays(self, images: np.ndarray, directions: np.ndarray) -> dict[str, Any]:
        """All that the explainer was made to say of pictures and directions, by names of `Explanation`'s attributes.

        Args:
            images: `[N, H, W, K]`, whatever their range.
            directions: `[N, C]`.

        Returns:
            `logits`, `activations`, `gradients`, `signals` and `saliency`; N comes first in all.
        """
        return self._run(self._fetches.tensors, {self._network.images: images, self._fetches.directions: directions})

    def fixations(self, image: np.ndarray, direction: np.ndarray) -> list[tuple[int, int]]:
        """Where a picture's output along a direction is traced back to, as `gradcam.fixations` has it.

        Args:
            image: `[1, H, W, K]`.
            direction: `[C]`: what is above 0 is traced for being high, what is below for being low.

        Returns:
            Rows and columns of the picture.

        Raises:
            ValueError: the network has operations that nothing is known of, or another output than a classifier's.
        """
        if direction.ndim != 1 or self._network.batch_size not in (None, 1):
            raise BadValue(f"CNN-Fixations are of a classifier that takes a picture alone, not of {self._network.name}")
        start = [((int(index),), int(np.sign(direction[index]))) for index in np.flatnonzero(direction)]
        with values_there(self._network):
            steps = steps_of(self._network, self._session, image)
            return traced(steps, self._network.logits.name, start, self._network.images.name)

    def weights_behind(self, layer: str) -> dict[str, np.ndarray]:
        """What the network has learnt between a layer and its logits, in the order in which it is used.

        Args:
            layer: an endpoint of the network.

        Returns:
            Name -> array, of whatever is a variable, a constant or computed of these: `OPERATION/weights` of what
            multiplies, `OPERATION/biases`, and of a batch norm `gamma`, `beta`, `moving_mean` and `moving_variance`.
        """
        return self._run_once(weights_after(self._network.endpoints[layer], self._network.logits))

    def with_weights(self, layer: str, weights: Mapping[str, np.ndarray]) -> Again:
        """These runs of the same network with other weights: the session's own stay as they are.

        Args:
            layer: that `weights_behind` was asked of.
            weights: by its names, of the same shapes.
        """
        other = copy.copy(self) if self._said is None else self.remembering()
        tensors = weights_after(self._network.endpoints[layer], self._network.logits)
        other._weights = {**self._weights, **{tensors[name]: array for name, array in weights.items()}}
        return other

    def _run_once(self, wanted: Mapping[str, tf.Tensor]) -> dict[str, np.ndarray]:
        """What depends on no picture."""
        with values_there(self._network):
            return self._session.run(dict(wanted), dict(self._weights))

    def _run(self, wanted: Any, feed: Mapping[tf.Tensor, np.ndarray]) -> Any:
        try:
            with values_there(self._network):
                return in_batches(self._session, wanted, feed, self._network.batch_size, self._weights)
        except RuntimeError as error:
            if "closed" not in str(error).lower():
                raise
            raise BadValue("this method runs the network again, and its Explainer is closed") from error
