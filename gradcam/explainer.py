"""`Explainer`: a network, its weights and the one session that explains images."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

import slim_models
from gradcam.again import Again
from gradcam.explanation import Explanation
from gradcam.pictures import checked_images
from gradcam.runs import Fetches, in_batches
from gradcam.sessions import filled_session, tensorflow_version, values_of, values_there
from gradcam.strangers import THRESHOLDS, Thresholds
from gradcam.targets import Asked, Target, asked, directions, subject
from slim_models.graphs import growing
from slim_models.labels import Labels, class_index, one_each
from slim_models.mistakes import BadValue
from slim_models.weights import Stored, fingerprint

Targets = Target | Sequence[Target | None] | np.ndarray


class Explainer:
    """Explains images by a network: probabilities, activations, gradients and saliency in one run.

        network = slim_models.open_network()
        with Explainer(network) as explainer:
            explanation = explainer.explain(images, "espresso")
        explanation.heatmap()

    Attributes:
        network: as given, or built again in the precision asked for; with the weights given.
    """

    def __init__(
        self,
        network: slim_models.Network,
        weights: str | os.PathLike | Mapping[str, np.ndarray] | None = None,
        *,
        layers: Sequence[str] | None = None,
        rules: Sequence[str] | None = None,
        layer_rules: Sequence[str] = (),
        precision: str | None = None,
        device: str | None = None,
        say: Callable[[str], None] | None = None,
    ):
        """Prepares the gradients and gives the network its weights.

        Args:
            network: from `slim_models.open_network`, `slim_models.build` or `slim_models.load`.
            weights: a file that `slim_models.read_weights` reads, or arrays by variable name, in place of the
                network's own values; None leaves it its own.
            layers: endpoints whose activations and gradients are wanted; None is the default layer.
            rules: ReLU rules under which saliency is wanted, of `slim_models.RULES`; may be empty. None is
                `guided`, or nothing if that is not defined for the network's activations.
            layer_rules: ReLU rules under which the layers' `signals` are wanted, beside the true gradient.
            precision: `"float32"` or `"bfloat16"`, with a warning where that is slow; None is the network's own.
            device: `"cpu"`, `"gpu"` or `"gpu:1"`; None leaves it to TensorFlow.
            say: is told what methods of many runs have to say of their maps, and lets them show a bar on a terminal;
                None is silence.

        Raises:
            KeyError: an unknown layer or rule.
            FileNotFoundError: there is no file of weights.
            ValueError: the weights do not fit, a rule is not defined for the network's activations, or the device
                or the precision cannot be had.
        """
        if precision is not None:
            network = network.in_precision(precision)
        if weights is not None:
            network = dataclasses.replace(network, values=Stored(weights, network.values.session))
        self.network = network
        for name, value in (("layers", layers), ("rules", rules), ("layer_rules", layer_rules)):
            if isinstance(value, str):
                raise BadValue(f"{name} must be a list of names, not {value!r}")
        layers = [network.default_layer] if layers is None else list(dict.fromkeys(layers))
        for layer in layers:
            network.check_layer(layer)
        if network.graph.finalized:
            raise BadValue(f"the graph of {network.name} was finalized after it was loaded: load it again")
        self._default_layer = network.default_layer if network.default_layer in layers else (layers or [""])[-1]
        with growing(network.graph):  # several explainers of a network can be made at once
            if rules is None:
                rules = [] if slim_models.refusal(network.logits, [network.images]) else ["guided"]
            self._fetches = Fetches(network, layers, rules, layer_rules)
            self._session = filled_session(network, device)
        self._closed = False
        self._again = Again(network, self._fetches, self._session, say)

    def __repr__(self) -> str:
        layers = ", ".join(self._fetches.tensors["activations"]) or "none"
        rules = ", ".join(self._fetches.tensors["saliency"]) or "none"
        return f"Explainer of {self.network!r}\n  explains layers: {layers}; saliency under rules: {rules}"

    def __enter__(self) -> Explainer:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Ends the session and gives its memory back; a session of the user's own stays open.

        What is closed explains nothing more.
        """
        self._closed = True
        if self._session is not self.network.values.session:
            self._session.close()

    @property
    def labels(self) -> Labels | None:
        """The names of the network's classes, or None if they are not known."""
        return self.network.labels

    @property
    def session(self) -> tf.Session:
        """The open session, for what an `Explanation` does not hold; a ValueError once the explainer is closed."""
        self._check_open()
        return self._session

    @property
    def tensors(self) -> Mapping[str, Any]:
        """What a run fetches, by the names of `Explanation`'s attributes, for what is derived from it in the graph."""
        return self._fetches.tensors

    @property
    def directions(self) -> tf.Tensor:
        """The placeholder of what is explained, of the shape of the logits, whose default is the prediction."""
        return self._fetches.directions

    def _check_open(self) -> None:
        if self._closed:
            raise BadValue(f"this Explainer of {self.network.name} is closed: explain before, or make another")

    def explain(
        self,
        images: np.ndarray,
        targets: Targets | None = None,
        *,
        overrides: Mapping[tf.Tensor, np.ndarray] | None = None,
    ) -> Explanation:
        """Explains every image for one class, in ONE session run (a network of a fixed batch size: as few as can be).

        Args:
            images: `[N, H, W, 3]`, RGB in [0, 255], of any numeric type; of a network that `takes_arrays`
                `[N, H, W, K]`, any finite numbers.
            targets: None for each image's predicted class, one target for all, or one an image, None among them for
                that image's predicted class (which takes a second run). A target is a class, by index, WordNet id or
                name (with a minus before it, its opposite), or one of `gradcam.targets`: an `Opposite`, a
                `Difference`, a `Region` of an output that is a map, a `Direction`.
            overrides: tensors of the graph and the values, N first, that are put in their place.

        Returns:
            The explanation, as NumPy arrays.

        Raises:
            KeyError: a name of no class or of several.
            ValueError: images of the wrong shape, range or not finite; targets out of range or of
                another number than the images; the explainer is closed, TensorFlow cannot run the network, or its
                logits are no numbers.
        """
        images = self._checked(images)
        feed = {self.network.images: images, **(overrides or {})}
        found = wanted = None
        if targets is not None:
            found = self._asked(self._predicted(images, targets, feed), len(images))
            wanted = feed[self._fetches.directions] = self._directions(found)
        with values_there(self.network):
            return self._explanation(images, found, wanted, self._fetches.run(self._session, feed))

    def _predicted(self, images: np.ndarray, targets: Targets, feed: Mapping[tf.Tensor, np.ndarray]) -> Targets:
        """The targets, with the predicted class in place of each None among them."""
        several = (isinstance(targets, np.ndarray) and targets.ndim) or isinstance(targets, (list, tuple))
        given: list[Any] = list(targets) if several else []  # type: ignore[arg-type]
        if not any(target is None for target in given) or len(given) != len(images):
            return targets
        with values_there(self.network):
            logits = in_batches(self._session, self.network.logits, feed, self.network.batch_size)
        return [_class_of(logits[n]) if target is None else target for n, target in enumerate(given)]

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The logits alone, `[N, C]`, of images as `explain` takes them; errors as its."""
        feed = {self.network.images: self._checked(images)}
        with values_there(self.network):
            return self._numbers(in_batches(self._session, self.network.logits, feed, self.network.batch_size))

    def explain_classes(self, image: np.ndarray, targets: Sequence[Target] | np.ndarray) -> Explanation:
        """Explains several targets of one picture; the forward pass, which they share, is run once.

        So are the predictions of changed pictures, which methods such as RISE and occlusion ask for anew for each
        target.

        Args:
            image: `[H, W, 3]`, RGB in [0, 255], or `[H, W, K]`, as of `explain`.
            targets: K classes, or other targets as `explain` takes them.

        Returns:
            An explanation whose batch axis is that of the classes: `[K, ...]`.

        Raises:
            KeyError, ValueError: as `explain`.
        """
        image = np.asarray(image)
        if image.ndim != 3:
            raise BadValue(f"one image must be [H, W, {self.network.channels}], not {list(image.shape)}")
        if np.asarray(targets, object).ndim != 1 or not len(targets):
            raise BadValue(f"targets must be a list of classes, not {targets!r}")
        images = self._checked(image[None])
        found = self._asked(targets, len(targets))
        wanted = self._directions(found)
        with values_there(self.network):
            arrays = self._fetches.run_classes(self._session, images, wanted)
        several = self._explanation(np.repeat(images, len(found), axis=0), found, wanted, arrays)
        return dataclasses.replace(several, runs=self._again.remembering())

    @functools.cached_property
    def fingerprint(self) -> str:
        """What tells the network's weights from others, `slim_models.fingerprint`: of those that it was given or, where
        they are not known by name, of the variables and constants that its logits are made of."""
        weights = self.network.values.arrays()
        if weights is not None:
            return fingerprint(weights)
        with values_there(self.network):
            return fingerprint(values_of(self.network, self.session))

    @functools.cached_property
    def _thresholds(self) -> Thresholds | None:
        """Those that are known of the very weights and size of picture."""
        known = THRESHOLDS.get(self.network.name)
        if known is None or self.network.image_size != (known.side, known.side) or self.fingerprint != known.weights:
            return None
        return known.thresholds

    def provenance(self) -> dict[str, Any]:
        """What its numbers come from, as JSON holds it and files of them say: network, weights, versions and so on."""
        network = self.network
        return {
            "network": network.name,
            "weights": self.fingerprint,
            **({"weights_from": network.values.origin} if network.values.origin else {}),
            "preprocessing": network.preprocessing,
            "precision": network.precision,
            "versions": {
                "gradcam": slim_models.__version__,
                "tensorflow": tensorflow_version(),
                "numpy": np.__version__,
            },
        }

    def _checked(self, images: np.ndarray) -> np.ndarray:
        self._check_open()
        network = self.network
        return checked_images(images, network.image_size, network.channels if network.takes_arrays else None)

    def _explanation(
        self,
        images: np.ndarray,
        found: Sequence[Asked] | None,
        wanted: np.ndarray | None,
        arrays: Mapping[str, Any],
    ) -> Explanation:
        """Of what a run gave for the targets and their directions; None for the predicted classes."""
        network, logits = self.network, self._numbers(arrays["logits"])
        if wanted is None:
            wanted = (logits.argmax(axis=-1)[..., None] == np.arange(network.num_classes)).astype(np.float32)
        return Explanation(
            images=images,
            targets=np.array([*(map(_class_of, logits) if found is None else map(subject, found))], np.int64),
            directions=wanted,
            runs=self._again,
            default_layer=self._default_layer,
            head=network.head,
            one_output=network.one_output,
            thresholds=self._thresholds,
            **arrays,
        )

    def _numbers(self, logits: np.ndarray) -> np.ndarray:
        """The logits, unless one of them can be none; minus infinity, of a class that is left out, can."""
        bad = np.isnan(logits) | np.isposinf(logits)
        if bad.any():
            n = int(np.argwhere(bad)[0, 0])
            raise BadValue(
                f"{self.network.name} gives image {n} a NaN or an infinity among its logits: its weights are damaged, "
                "or the pictures are not what it takes"
            )
        return logits

    def index(self, target: int | str) -> int:
        """The index of a class given by index, WordNet id or name.

        Raises:
            KeyError: a name of no class or of several.
            ValueError: an index out of range, or no index at all.
        """
        return class_index(target, self.network.num_classes, self.labels, self.network.name)

    def _asked(self, targets: Targets, count: int) -> list[Asked]:
        return [asked(target, self.index) for target in one_each(targets, count)]

    def _directions(self, found: Sequence[Asked]) -> np.ndarray:
        return directions(found, self.network.logits.shape.as_list()[1:])


def _class_of(logits: np.ndarray) -> int:
    """The predicted class of one image; of an output that is a map, that of most places."""
    return int(np.bincount(logits.argmax(axis=-1).ravel()).argmax())
