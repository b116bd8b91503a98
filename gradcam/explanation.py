"""`Explanation`: what one run of a network says, as NumPy arrays."""

from __future__ import annotations

import base64
import dataclasses
import html
from collections.abc import Mapping

import numpy as np

from gradcam import maps, strangers
from gradcam.cams import CamMethod, formula, grad_cam
from gradcam.strangers import Thresholds
from slim_models.heads import in_words, probabilities_of, said_of
from slim_models.mistakes import UnknownName


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """What one session run says about N images and a class for each; no TensorFlow in it.

    `explanation[n]` is that of one image.

    Attributes:
        images: `[N, H, W, 3]`, RGB in [0, 255], as fed; or arrays `[N, H, W, K]`, where the network takes these.
        logits: `[N, C]`, before the softmax.
        targets: `[N]`, the class that each image was explained for.
        activations: layer -> `[N, h, w, K]`, after the ReLU.
        gradients: layer -> `[N, h, w, K]`, the true gradient d logits[n, targets[n]] / d activations.
        signals: rule -> layer -> `[N, h, w, K]`, what reaches the layer under another rule (for ablations).
        saliency: rule -> `[N, H, W, 3]`, d logits[n, targets[n]] / d images under the rule; of their channels.
        default_layer: the layer that the methods take unless told otherwise.
        head: how logits become what the network says: `"softmax"`, `"sigmoid"` or `"linear"`.
        one_output: whether the logits are `[-z, z]` of a network's only output z.
        thresholds: below which none of the network's classes may fit; None if they are not known.
    """

    images: np.ndarray
    logits: np.ndarray
    targets: np.ndarray
    activations: Mapping[str, np.ndarray]
    gradients: Mapping[str, np.ndarray]
    signals: Mapping[str, Mapping[str, np.ndarray]]
    saliency: Mapping[str, np.ndarray]
    default_layer: str
    head: str = "softmax"
    one_output: bool = False
    thresholds: Thresholds | None = None

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.images.shape[1:]))
        layers = [f"{layer} {list(array.shape[1:])}" for layer, array in self.activations.items()]
        return (
            f"Explanation of {len(self)} images of {size}: {'; '.join(map(self._told, range(min(len(self), 5))))}"
            f"{'; ...' if len(self) > 5 else ''}\n"
            f"  layers: {', '.join(layers) or 'none'}; saliency under rules: {', '.join(self.saliency) or 'none'}"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows of it: Grad-CAM of the default layer over the first images."""
        if not self.activations:
            return f"<pre>{html.escape(repr(self))}</pre>"
        shown = [self._figure(number) for number in range(min(len(self), 5))]
        scale = f"Grad-CAM of {html.escape(self.default_layer)}, each map over its own maximum"
        return f"<div>{''.join(shown)}</div><div>{scale}</div><pre>{html.escape(repr(self))}</pre>"

    def _figure(self, number: int) -> str:
        one = self[number]
        pixels = maps.as_pixels(one.images[0])
        png = maps.as_png(maps.overlay(pixels, one.heatmap()[0]))
        picture = f'<img width="224" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
        caption = f"<figcaption>{html.escape(self._told(number))}</figcaption>"
        return f'<figure style="display: inline-block; margin: 4px">{picture}{caption}</figure>'

    def _told(self, number: int) -> str:
        """The class that an image was explained for, and what the network says of it."""
        doubt = self.none_fits is not None and self.none_fits[number]
        return f"class {int(self.targets[number])} ({self.says(number)}{'; no class may fit' if doubt else ''})"

    def says(self, number: int) -> str:
        """What the network says of the class that an image was explained for: `34.3%`, or of a linear head `12.3`."""
        return in_words(float(self.said[number, self.targets[number]]), self.head)

    @property
    def said(self) -> np.ndarray:
        """`[N, C]`, what the network says: probabilities, or where its head is linear, its outputs.

        Of one linear output that is its value, for what makes it lower as for what makes it higher.
        """
        return said_of(self.logits, self.head, self.one_output)

    @property
    def probabilities(self) -> np.ndarray:
        """`[N, C]`, the softmax of the logits, or the sigmoid where that is the network's head.

        Raises:
            ValueError: the network's head is linear: what it says are no probabilities.
        """
        return probabilities_of(self.logits, self.head)

    @property
    def none_fits(self) -> np.ndarray | None:
        """`[N]`, whether none of the network's classes may fit, as `strangers.none_fits` tells it; None where no
        thresholds are known, as of networks that are not this project's. That it is False does not say that one fits.
        """
        return None if self.thresholds is None else strangers.none_fits(self.logits, self.thresholds)

    def cam(self, method: CamMethod | str = grad_cam, layer: str | None = None, rule: str = "backprop") -> np.ndarray:
        """The map of a layer by any method of `gradcam.cams`; costs no further run.

        Args:
            method: by name, such as `"layer_cam"`, or a function `(activations, gradients) -> cam`.
            layer: one of those explained; None is `default_layer`.
            rule: `"backprop"`, the true gradient, or one of `signals` (paper, appendix: ablations).

        Returns:
            `[N, h, w]`, >= 0, not normalised.

        Raises:
            KeyError: no such method; or the layer or the rule was not asked for when the `Explainer` was made.
            ValueError: the method is not defined for the layer's activations.
        """
        layer = self.default_layer if layer is None else layer
        if layer not in self.activations:
            raise UnknownName(f"layer {layer!r} was not explained; explained were {list(self.activations)}")
        signals = {**self.signals, "backprop": self.gradients}
        if rule not in signals:
            raise UnknownName(f"no signals under the rule {rule!r} at the layers; there are {', '.join(signals)}")
        function = formula(method) if isinstance(method, str) else method
        return function(self.activations[layer], signals[rule][layer])

    def heatmap(self, method: CamMethod | str = grad_cam, layer: str | None = None) -> np.ndarray:
        """The `cam` at the images' size: `[N, H, W]` in [0, 1]."""
        return maps.heatmap(self.cam(method, layer), self.images.shape[1:3])

    def guided_grad_cam(self, layer: str | None = None, method: CamMethod | str = grad_cam) -> np.ndarray:
        """Guided backprop times the heat map: `[N, H, W, 3]`, or of K channels; signed (paper, sec. 3.2).

        Raises:
            KeyError: the `Explainer` was made without the rule `guided`.
        """
        if "guided" not in self.saliency:
            raise UnknownName(f"guided Grad-CAM needs the rule 'guided'; explained were {list(self.saliency)}")
        return maps.guided_grad_cam(self.saliency["guided"], self.heatmap(method, layer))

    def __len__(self) -> int:
        """N, the number of images."""
        return len(self.images)

    def __getitem__(self, number: int) -> Explanation:
        """The explanation of one image of the batch, as a batch of one; -1 is the last."""
        count = len(self)
        if not -count <= number < count:
            raise IndexError(f"no image {number} among {count}")
        one = slice(number % count, number % count + 1)

        def alone(mapping: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {key: array[one] for key, array in mapping.items()}

        return dataclasses.replace(
            self,
            images=self.images[one],
            logits=self.logits[one],
            targets=self.targets[one],
            activations=alone(self.activations),
            gradients=alone(self.gradients),
            signals={rule: alone(layers) for rule, layers in self.signals.items()},
            saliency=alone(self.saliency),
        )

    def arrays(self, method: CamMethod | str = grad_cam, layer: str | None = None) -> dict[str, np.ndarray]:
        """Everything by name, as it is: nothing scaled for display.

        Args:
            method: of the `cam` and of guided Grad-CAM.
            layer: one of those explained; None is `default_layer`.

        Returns:
            `images`, `logits`, `probabilities` (unless the head is linear), `targets`, `activations`, `gradients`,
            `cam`, an array a rule of the saliency and, with the rule `guided`, `guided_grad_cam`; N comes first in all.
        """
        layer = self.default_layer if layer is None else layer
        result = {
            "images": self.images,
            "logits": self.logits,
            **({} if self.head == "linear" else {"probabilities": self.probabilities}),
            "targets": self.targets,
            "cam": self.cam(method, layer),
            "activations": self.activations[layer],
            "gradients": self.gradients[layer],
            **self.saliency,
        }
        if "guided" in self.saliency:
            result["guided_grad_cam"] = self.guided_grad_cam(layer, method)
        return result
