"""A callback of Keras' `fit` that explains pictures as the model learns."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import tensorflow

import slim_models
from gradcam.events import Events
from gradcam.explainer import Targets
from gradcam.training.watching import Images, Watch
from slim_models.mistakes import BadValue


class ExplainCallback(tensorflow.keras.callbacks.Callback):
    """Writes overlays of fixed pictures for TensorBoard, by the weights that a Keras model has at the time.

        callback = ExplainCallback(["cat.jpg", "sample:coffee"], logdir="logs/maps", preprocessing="zero_to_one")
        model.fit(data, epochs=10, callbacks=[callback])

    What explains is a copy of the model in a graph of its own, run as in inference, which gets the weights each time;
    the training is not touched. It writes before the first step, after every epoch or so many steps, and at the end.
    """

    def __init__(
        self,
        images: Images,
        *,
        logdir: str | os.PathLike,
        every_steps: int | None = None,
        targets: Targets | None = None,
        method: str = "grad_cam",
        layer: str | None = None,
        fit: str = "stretch",
        **found: Any,
    ):
        """Says what is explained; the model is looked at when `fit` begins.

        Args:
            images: files, samples (`sample:chelsea`) or photographs.
            logdir: TensorBoard's, or better a folder of this callback's own below it, such as `logs/maps`.
            every_steps: steps from one explanation to the next; None is an epoch.
            targets: as of `Explainer.explain`; None is the class that is predicted, at each step anew.
            method: a key of `methods.REGISTRY`.
            layer: of the maps; None is the last with a spatial extent.
            fit: `"stretch"` or `"crop"`.
            found: what else `slim_models.load` can be told of a model: `preprocessing`, `logits`, `image_size`, ...

        Raises:
            FileNotFoundError, KeyError, ValueError: a picture, a method or a number is not what it should be.
        """
        super().__init__()
        if every_steps is not None and every_steps < 1:
            raise BadValue(f"every_steps must be at least 1, not {every_steps}")
        self._watch = Watch(images, targets, method=method, layer=layer, fit=fit)
        self._logdir, self._every, self._found = os.fspath(logdir), every_steps, {"layer": layer, **found}

    def on_train_begin(self, logs: Any = None) -> None:
        """Explains what the model begins with; errors as of `slim_models.load`."""
        self._watch.open(slim_models.open_network(self.model, **self._found), Events(self._logdir))
        self._watch.write(self._step)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Explains, if it is time."""
        if self._every is not None:
            step = self._step
            if step // self._every > (self._watch.last or 0) // self._every:  # Keras may take several steps at once
                self._watch.write(step)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Explains, if it is time."""
        if self._every is None:
            self._watch.write(self._step)

    def on_train_end(self, logs: Any = None) -> None:
        """Explains what the model has become."""
        self._watch.write(self._step)
        self._watch.close()

    @property
    def _step(self) -> int:
        """How often the weights were changed, in this `fit` and those before it."""
        return int(np.asarray(self.model.optimizer.iterations))
