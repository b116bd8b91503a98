"""`Explanation`: what one run of a network says, as NumPy arrays."""

from __future__ import annotations

import base64
import dataclasses
import html
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from gradcam import maps, strangers
from gradcam.cams import CamMethod, formula, grad_cam
from gradcam.strangers import Thresholds
from slim_models.heads import in_words, overall, probabilities_of, said_of
from slim_models.mistakes import BadValue, UnknownName


class Slopes(NamedTuple):
    """What a run says of N pictures and directions at one place of the network.

    Attributes:
        logits: `[N, C]`.
        activations: `[N, h, w, K]` of a layer; the pictures themselves, where no layer is.
        gradients: of the same shape.
    """

    logits: np.ndarray
    activations: np.ndarray
    gradients: np.ndarray


class Runs(Protocol):
    """More runs of a network, for methods that need them: with the numbers that it has when it is run.

    The pictures may leave [0, 255], as noise does; a few dozen go through the network at once, all that are given.
    """

    @property
    def say(self) -> Callable[[str], None] | None:
        """Is told what there is to say; None is silence, also of progress."""

    def predict(
        self, images: np.ndarray, layer: str | None = None, activations: np.ndarray | None = None
    ) -> np.ndarray:
        """The logits `[N, C]`, with these activations `[N, h, w, K]` in the place of a layer's, if they are given."""

    def slopes(self, images: np.ndarray, directions: np.ndarray, layer: str | None = None) -> Slopes:
        """At a layer that was explained; None is the pictures, if the rule `backprop` was."""

    def arrays(self, images: np.ndarray, directions: np.ndarray) -> dict[str, Any]:
        """All that was explained, by the names of `Explanation`'s attributes, of other pictures and directions."""

    def weights_behind(self, layer: str) -> dict[str, np.ndarray]:
        """What the network has learnt between a layer and its logits: name -> array."""

    def with_weights(self, layer: str, weights: Mapping[str, np.ndarray]) -> Runs:
        """The same runs with other weights in their place."""

    def fixations(self, image: np.ndarray, direction: np.ndarray) -> list[tuple[int, int]]:
        """Where the output of one picture `[1, H, W, K]` along a direction is traced back to: rows and columns."""


class BlankMapWarning(UserWarning):
    """A map is zero everywhere, which is a result, and looks like a mistake."""


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """What one session run says about N images and a class for each; no TensorFlow in it.

    `explanation[n]` is that of one image.

    Attributes:
        images: `[N, H, W, 3]`, RGB in [0, 255], as fed; or arrays `[N, H, W, K]`, where the network takes these.
        logits: `[N, C]`, before the softmax; `[N, h, w, C]` of an output that is a map.
        targets: `[N]`, the class that each image was explained for, or that its target is about.
        activations: layer -> `[N, h, w, K]`, after the ReLU.
        gradients: layer -> `[N, h, w, K]`, the true gradient d y[n] / d activations of what was explained,
            y[n] = sum(logits[n] * directions[n]): of a class its logit.
        signals: rule -> layer -> `[N, h, w, K]`, what reaches the layer under another rule (for ablations).
        saliency: rule -> `[N, H, W, 3]`, d y[n] / d images under the rule; of their channels.
        default_layer: the layer that the methods take unless told otherwise.
        head: how logits become what the network says: `"softmax"`, `"sigmoid"` or `"linear"`.
        one_output: whether the logits are `[-z, z]` of a network's only output z.
        thresholds: below which none of the network's classes may fit; None if they are not known.
        directions: `[N, C]`, what was explained, as of `gradcam.targets`; None is the classes.
        runs: of the network, for methods that need more than one; None if there can be none.
        made: what such methods made of it already, for who asks again.
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
    directions: np.ndarray | None = None
    runs: Runs | None = None
    made: dict[Any, np.ndarray] = dataclasses.field(default_factory=dict, init=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """The arrays, which can be kept and sent; a session cannot."""
        return {**self.__dict__, "runs": None, "made": {}}

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
        heatmap = one._heatmap()[0]
        png = maps.as_png(maps.overlay(pixels, heatmap))
        picture = f'<img width="224" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
        blank = "" if heatmap.any() else ", the map is blank"
        caption = f"<figcaption>{html.escape(self._told(number))}{blank}</figcaption>"
        return f'<figure style="display: inline-block; margin: 4px">{picture}{caption}</figure>'

    def _told(self, number: int) -> str:
        """The class that an image was explained for, and what the network says of it."""
        doubt = self.none_fits is not None and self.none_fits[number]
        return f"class {int(self.targets[number])} ({self.says(number)}{'; no class may fit' if doubt else ''})"

    def says(self, number: int) -> str:
        """What the network says of the class that an image was explained for: `34.3%`, or of a linear head `12.3`."""
        return in_words(float(self.said_there[number]), self.head)

    @property
    def said(self) -> np.ndarray:
        """`[N, C]`, what the network says: probabilities, or where its head is linear, its outputs.

        Of one linear output that is its value, for what makes it lower as for what makes it higher.
        """
        return said_of(self.logits, self.head, self.one_output)

    @property
    def overall(self) -> np.ndarray:
        """`[N, C]`: `said`, and of an output that is a map its mean over all places."""
        return overall(self.said)

    @property
    def said_there(self) -> np.ndarray:
        """`[N]`, what the network says of the class that each image was explained for: of an output that is a map its
        mean over the places that it was explained in, all or a region."""
        if self.logits.ndim == 2:
            return self.said[np.arange(len(self.targets)), self.targets]
        found = []
        for said, ways, target in zip(self.said, self.ways, self.targets):
            weights = ways[..., target]
            alone = weights.any() and weights.min() >= 0 and np.count_nonzero(ways) == np.count_nonzero(weights)
            found.append(np.average(said[..., target], weights=weights if alone else None))
        return np.array(found)

    @property
    def ways(self) -> np.ndarray:
        """`[N, C]`, the directions that were explained, those of the classes among them."""
        if self.directions is not None:
            return self.directions
        return np.float32(self.targets[:, None] == np.arange(self.logits.shape[-1]))

    def more_runs(self) -> Runs:
        """Of the network that was explained.

        Raises:
            ValueError: there can be none: the explanation was made of arrays.
        """
        if self.runs is None:
            raise BadValue("this needs more runs of the network, and the explanation is of arrays alone")
        return self.runs

    def again(self, **changed: Any) -> Explanation:
        """The same explained anew, of other pictures, along other directions or by other runs.

        Args:
            changed: `images`, `directions` and `targets`, N of each; `runs`.

        Raises:
            ValueError: as of `more_runs`.
        """
        other = dataclasses.replace(self, **changed)
        return dataclasses.replace(other, **other.more_runs().arrays(other.images, other.ways))

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
        """The `cam` at the images' size: `[N, H, W]` in [0, 1].

        Warns:
            BlankMapWarning: a map is zero everywhere, as nothing at the layer speaks for the class.
        """
        result = self._heatmap(method, layer)
        blank = [number for number, one in enumerate(result) if not one.any()]
        if blank:
            others = f" and {len(blank) - 1} more" if len(blank) > 1 else ""
            warnings.warn(
                f"the map of class {int(self.targets[blank[0]])} at {self.default_layer if layer is None else layer} "
                f"for image {blank[0]}{others} is blank: nothing there speaks for it by this method",
                BlankMapWarning,
                stacklevel=2,
            )
        return result

    def _heatmap(self, method: CamMethod | str = grad_cam, layer: str | None = None) -> np.ndarray:
        """As `heatmap`, for those who tell of blank maps themselves."""
        return maps.heatmap(self.cam(method, layer), self.images.shape[1:3])

    def guided_grad_cam(self, layer: str | None = None, method: CamMethod | str = grad_cam) -> np.ndarray:
        """Guided backprop times the heat map: `[N, H, W, 3]`, or of K channels; signed (paper, sec. 3.2).

        It is zero everywhere where the `heatmap` is, which alone warns of it.

        Raises:
            KeyError: the `Explainer` was made without the rule `guided`.
        """
        if "guided" not in self.saliency:
            raise UnknownName(f"guided Grad-CAM needs the rule 'guided'; explained were {list(self.saliency)}")
        return maps.guided_grad_cam(self.saliency["guided"], self._heatmap(method, layer))

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
            directions=self.ways[one],
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
