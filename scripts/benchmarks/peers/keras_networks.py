"""VGG16 and slim's ResNet-v1-50 in Keras with our weights, and what the peers that explain Keras models share."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from tensorflow import keras

LAYERS = {"vgg16": "conv5_3", "resnet_v1_50": "block4.unit_3"}  # the layers that Grad-CAM explains

_RGB_MEAN = np.array([123.68, 116.779, 103.939], np.float32)
_EPSILON = 1.001e-5  # what TensorFlow's fused batch norm makes of slim's 1e-5
_PARTS = ("gamma", "beta", "moving_mean", "moving_variance")

layers = keras.layers


class KerasPeer:
    """A library that explains a Keras model; a subclass gives `cam` and, if it can, `guided`.

    Attributes:
        model: the network, from preprocessed images to logits.
        layer: name of the model's layer that Grad-CAM explains.
    """

    def __init__(self, network: str, weights: Mapping[str, np.ndarray], precision: str):
        with contextlib.suppress(RuntimeError):  # TensorFlow is already running, as in the tests
            tf.config.threading.set_intra_op_parallelism_threads(2)
        keras.mixed_precision.set_global_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
        self.model = build(network, weights)
        self.layer = LAYERS[network]
        self._order = -1 if network == "vgg16" else 1  # the VGG16 takes BGR
        self._logits = tf.function(self.model)

    def run(self, task: str, images: np.ndarray, targets: np.ndarray | None) -> dict[str, np.ndarray]:
        """The maps of a task: "cam", "guided", "both", or "classes", the CAMs of several classes of one picture."""
        inputs = self.prepared(images)
        if task == "classes":
            inputs = np.repeat(inputs.reshape(1, *inputs.shape[-3:]), len(targets), axis=0)
        if targets is None:
            targets = self.predicted(inputs)
        maps = {}
        if task != "guided":
            maps["cam"] = np.asarray(self.cam(inputs, targets), np.float32)
        if task in ("guided", "both"):
            maps["guided"] = np.asarray(self.guided(inputs, targets), np.float32)[..., :: self._order]
        return maps

    def prepared(self, images: np.ndarray) -> np.ndarray:
        """RGB in [0, 255] -> what the network was trained on."""
        return np.ascontiguousarray((images - _RGB_MEAN)[..., :: self._order])

    def predicted(self, inputs: np.ndarray) -> np.ndarray | None:
        """Each picture's class; None where the library can take the highest logit itself."""
        return np.argmax(self._logits(tf.constant(inputs)), axis=-1)

    def cam(self, inputs: np.ndarray, targets: np.ndarray | None) -> np.ndarray:
        """Grad-CAM `[N, h, w]`, >= 0."""
        raise NotImplementedError(f"{type(self).__module__} has no Grad-CAM")

    def guided(self, inputs: np.ndarray, targets: np.ndarray | None) -> np.ndarray:
        """Guided backprop `[N, H, W, 3]`, in the network's order of channels."""
        raise NotImplementedError(f"{type(self).__module__} has no guided backprop")


def build(network: str, weights: Mapping[str, np.ndarray]) -> keras.Model:
    """The network as wide as its weights: preprocessed images of any size -> logits, in float32 whatever the policy."""
    inputs = keras.Input((None, None, 3))
    logits = {"vgg16": _vgg16, "resnet_v1_50": _resnet}[network](inputs, weights)
    model = keras.Model(inputs, logits)
    for layer in model.layers:
        prefix = layer.name.replace(".", "/")
        parts = ("weights", "biases") if f"{prefix}/biases" in weights else ("weights",)
        parts = _PARTS if isinstance(layer, layers.BatchNormalization) else parts
        if layer.weights:  # Keras's dense layer of the ResNet's 1 x 1 convolution has other shapes
            arrays = zip(layer.weights, parts)
            layer.set_weights([np.reshape(weights[f"{prefix}/{part}"], variable.shape) for variable, part in arrays])
    return model


def _vgg16(net: tf.Tensor, weights: Mapping[str, np.ndarray]) -> tf.Tensor:
    for block, count in enumerate((2, 2, 3, 3, 3), start=1):
        for name in (f"conv{block}_{i}" for i in range(1, count + 1)):
            depth = weights[f"{name}/biases"].size
            net = layers.Conv2D(depth, 3, padding="same", activation="relu", name=name)(net)
        net = layers.MaxPooling2D(2, padding="same")(net)
    net = layers.Reshape(weights["fc6/weights"].shape[:1])(net)
    for name in ("fc6", "fc7"):
        net = layers.Dense(weights[f"{name}/biases"].size, activation="relu", name=name)(net)
    return layers.Dense(weights["fc8/biases"].size, dtype="float32", name="fc8")(net)


def _resnet(net: tf.Tensor, weights: Mapping[str, np.ndarray]) -> tf.Tensor:
    scope = "resnet_v1_50"
    net = _normalized(net, weights, f"{scope}/conv1", 7, 2)
    net = layers.MaxPooling2D(3, 2, padding="same")(layers.Activation("relu")(net))
    for block, count in enumerate((3, 4, 6, 3), start=1):
        for unit in range(1, count + 1):
            stride = 2 if unit == count and block < 4 else 1
            name = f"block{block}/unit_{unit}"
            net = layers.add(_branches(net, weights, f"{scope}/{name}/bottleneck_v1", stride))
            net = layers.Activation("relu", name=name.replace("/", "."))(net)
    net = layers.GlobalAveragePooling2D()(net)
    name = f"{scope}/logits"
    return layers.Dense(weights[f"{name}/biases"].size, dtype="float32", name=name.replace("/", "."))(net)


def _branches(net: tf.Tensor, weights: Mapping[str, np.ndarray], scope: str, stride: int) -> list[tf.Tensor]:
    """The shortcut and the three convolutions of a unit."""
    shortcut = net if stride == 1 else layers.MaxPooling2D(1, stride)(net)
    if f"{scope}/shortcut/weights" in weights:
        shortcut = _normalized(net, weights, f"{scope}/shortcut", 1, stride)
    for name, size, step in (("conv1", 1, 1), ("conv2", 3, stride)):
        net = layers.Activation("relu")(_normalized(net, weights, f"{scope}/{name}", size, step))
    return [shortcut, _normalized(net, weights, f"{scope}/conv3", 1, 1)]


def _normalized(net: tf.Tensor, weights: Mapping[str, np.ndarray], name: str, size: int, stride: int) -> tf.Tensor:
    """A convolution and its batch norm; with a stride, padded alike on every side."""
    padding = "same"
    if stride > 1 and size > 1:
        net, padding = layers.ZeroPadding2D((size - 1) // 2)(net), "valid"
    depth, layer = weights[f"{name}/weights"].shape[-1], name.replace("/", ".")
    net = layers.Conv2D(depth, size, stride, padding, use_bias=False, name=layer)(net)
    return layers.BatchNormalization(epsilon=_EPSILON, name=f"{layer}.BatchNorm")(net)
