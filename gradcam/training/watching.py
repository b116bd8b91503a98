"""Fixed pictures that are explained again and again while a network learns."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradcam.events import Events
from gradcam.explainer import Explainer, Targets
from gradcam.explanation import Explanation
from gradcam.maps import LOOK, Look
from gradcam.methods import methods_named, needs, why_blank
from gradcam.panels import Overlay
from gradcam.pictures import Photograph, check_source, read_photograph
from gradcam.targets import Asked, asked, subject, title
from slim_models.labels import one_each
from slim_models.mistakes import BadValue
from slim_models.network import Network

Images = Sequence["str | Photograph"]
PREDICTED = "predicted"  # in the place of a class, which may be another at every step


class Watch:
    """Explains the same pictures whenever it is asked, and writes what TensorBoard shows of them.

    That is, under `PICTURE/CLASS`, the overlay, what the network says of the class as a curve, and a line with the
    class, the same number and, of a blank map, why it is.

    Attributes:
        last: the step that was written last; None at the beginning.
    """

    def __init__(
        self,
        images: Images,
        targets: Targets | None = None,
        *,
        method: str = "grad_cam",
        layer: str | None = None,
        fit: str = "stretch",
        look: Look = LOOK,
    ):
        """Says what is explained; no picture is read before `open`.

        Args:
            images: files, samples (`sample:chelsea`) or photographs.
            targets: as of `Explainer.explain`; None is the class that is predicted, at each step anew.
            method: a key of `methods.REGISTRY`.
            layer: of the maps; None is the network's default one.
            fit: `"stretch"` or `"crop"`, of files and samples.
            look: of the overlays.

        Raises:
            FileNotFoundError: there is no such file.
            KeyError: no such sample or method.
            ValueError: images are no list, or empty.
        """
        if isinstance(images, (str, os.PathLike)) or not len(images):
            raise BadValue(f"images must be a list of files, samples or photographs, not {images!r}")
        for image in images:
            if not isinstance(image, Photograph):
                check_source(os.fspath(image))
        self._images, self._targets, self._layer, self._fit, self._look = images, targets, layer, fit, look
        self._methods = methods_named([method])
        self.last: int | None = None

    def open(self, network: Network, events: Events) -> None:
        """Reads the pictures, and adds what explains them to the network's graph.

        Raises:
            KeyError, ValueError: a class, a layer or a picture is not what it should be.
        """
        layers = [self._layer] if self._layer else None
        self._explainer, self._events = Explainer(network, layers=layers, **needs(self._methods)), events
        self._photographs = [self._photograph(image) for image in self._images]
        names = [photograph.name for photograph in self._photographs]
        again = next((name for number, name in enumerate(names) if name in names[:number]), None)
        if again is not None:
            raise BadValue(f"two pictures are called {again}: give one of them as a Photograph of another name")
        self._fitted = np.stack([photograph.fitted(network.image_size) for photograph in self._photographs])
        given: Sequence[Any] = one_each(self._targets, len(names))
        self._asked = [None if target is None else asked(target, self._explainer.index) for target in given]

    def write(self, step: int) -> None:
        """Explains the pictures and writes what TensorBoard shows; a second time for one step does nothing.

        A network that has diverged is a warning: it does not end the training.
        """
        if step == self.last:
            return
        self.last = step
        targets = self._asked if any(target is not None for target in self._asked) else None
        network = self._explainer.network
        try:
            network.values.fill(self._explainer.session, network)  # as they are now
            explanation = self._explainer.explain(self._fitted, targets)
        except BadValue as error:
            warnings.warn(f"nothing is explained at step {step}: {error}", RuntimeWarning, stacklevel=2)
            return
        for number, (photograph, target) in enumerate(zip(self._photographs, self._asked)):
            self._write(photograph, explanation[number], target, step)
        self._events.flush()

    def close(self) -> None:
        """Ends the session, unless it is the user's own, and the event file."""
        self._explainer.close()
        self._events.close()

    def _write(self, photograph: Photograph, explanation: Explanation, target: Asked | None, step: int) -> None:
        ((word, method),) = self._methods.items()
        layer, labels = self._layer or explanation.default_layer, self._explainer.labels
        index = int(explanation.targets[0]) if target is None else subject(target)
        name = title(index if target is None else target, labels)
        tag = f"{photograph.name}/{PREDICTED if target is None else name}"
        shown = method.shown(explanation, layer)[0]
        overlay = Overlay(photograph, shown, signed=method.signed is not None)
        blank = "" if shown.any() else f"; the map is blank: {why_blank(explanation, method, layer)}"
        self._events.picture(tag, overlay.pixels(self._look), step)
        self._events.number(f"{tag}/output", float(explanation.said_there[0]), step)
        self._events.text(tag, f"{name}: {explanation.says(0)} ({word} of {layer}){blank}", step)

    def _photograph(self, image: str | Photograph) -> Photograph:
        if isinstance(image, Photograph):
            return image
        network = self._explainer.network
        return read_photograph(os.fspath(image), self._fit, channels=network.channels if network.takes_arrays else None)
