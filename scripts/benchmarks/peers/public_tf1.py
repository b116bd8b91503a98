"""What public TF1 scripts do: weights baked into the graph, one run for the class and a second for the gradients.

After insikk/Grad-CAM-tensorflow, with the network there twice, over the same constants: those scripts have
one network whose ReLUs are all guided, and so are the gradients behind their CAM.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow.compat.v1 as tf

_RGB_MEAN = (123.68, 116.779, 103.939)


@tf.RegisterGradient("PublicGuidedRelu")
def _guided_relu(op: tf.Operation, signal: tf.Tensor) -> tf.Tensor:
    return tf.where(signal > 0, tf.raw_ops.ReluGrad(gradients=signal, features=op.outputs[0]), tf.zeros_like(signal))


class Peer:
    """The graph of both copies and its session."""

    def __init__(self, network: str, weights: Mapping[str, np.ndarray], precision: str):
        builder = {"vgg16": _vgg16, "resnet_v1_50": _resnet}[network]
        with tf.Graph().as_default() as graph:
            constants = {name: tf.constant(array) for name, array in weights.items()}
            self._images = tf.placeholder(tf.float32, [None, None, None, 3])
            centred = self._images - _RGB_MEAN
            self._logits, self._layer = builder(centred, constants)
            with graph.gradient_override_map({"Relu": "PublicGuidedRelu"}):
                guided_logits, _ = builder(centred, constants)
            self._one_hot = tf.placeholder(tf.float32, [None, self._logits.shape[-1]])
            self._gradient = tf.gradients(self._logits * self._one_hot, self._layer)[0]
            self._saliency = tf.gradients(guided_logits * self._one_hot, self._images)[0]
        self._session = tf.Session(graph=graph, config=_config(precision))

    def run(self, task: str, images: np.ndarray, targets: np.ndarray | None) -> dict[str, np.ndarray]:
        """The maps of a task: "cam", "guided", "both", or "classes", the CAMs of several classes of one picture."""
        if task == "classes":
            images = np.repeat(images.reshape(1, *images.shape[-3:]), len(targets), axis=0)
        if targets is None:
            targets = self._session.run(self._logits, {self._images: images}).argmax(axis=-1)
        fetches = {}
        if task != "guided":
            fetches.update(layer=self._layer, gradient=self._gradient)
        if task in ("guided", "both"):
            fetches.update(guided=self._saliency)
        one_hot = np.eye(self._one_hot.shape[-1], dtype=np.float32)[targets]
        maps = self._session.run(fetches, {self._images: images, self._one_hot: one_hot})
        if task != "guided":
            weights = maps.pop("gradient").mean(axis=(1, 2))
            maps["cam"] = np.maximum(np.einsum("nhwk,nk->nhw", maps.pop("layer"), weights), 0)
        return maps


def _config(precision: str) -> tf.ConfigProto:
    config = tf.ConfigProto(intra_op_parallelism_threads=2, inter_op_parallelism_threads=2)
    if precision == "bfloat16":
        rewrites = config.graph_options.rewrite_options
        rewrites.auto_mixed_precision_onednn_bfloat16 = type(rewrites).ON
    return config


def _vgg16(net: tf.Tensor, weights: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    net = layer = tf.reverse(net, [-1])  # BGR
    for block, count in enumerate((2, 2, 3, 3, 3), start=1):
        for name in (f"conv{block}_{i}" for i in range(1, count + 1)):
            net = tf.nn.conv2d(net, weights[f"{name}/weights"], 1, "SAME")
            net = layer = tf.nn.relu(tf.nn.bias_add(net, weights[f"{name}/biases"]))
        net = tf.nn.max_pool2d(net, 2, 2, "SAME")
    net = tf.reshape(net, [-1, weights["fc6/weights"].shape[0]])
    for name in ("fc6", "fc7"):
        net = tf.nn.relu(tf.matmul(net, weights[f"{name}/weights"]) + weights[f"{name}/biases"])
    return tf.matmul(net, weights["fc8/weights"]) + weights["fc8/biases"], layer


def _resnet(net: tf.Tensor, weights: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    scope = "resnet_v1_50"
    net = tf.nn.max_pool2d(tf.nn.relu(_normalized(net, weights, f"{scope}/conv1", 2)), 3, 2, "SAME")
    for block, count in enumerate((3, 4, 6, 3), start=1):
        for unit in range(1, count + 1):
            name = f"{scope}/block{block}/unit_{unit}/bottleneck_v1"
            stride = 2 if unit == count and block < 4 else 1
            shortcut = net if stride == 1 else tf.nn.max_pool2d(net, 1, stride, "SAME")
            if f"{name}/shortcut/weights" in weights:
                shortcut = _normalized(net, weights, f"{name}/shortcut", stride)
            for conv, step in (("conv1", 1), ("conv2", stride)):
                net = tf.nn.relu(_normalized(net, weights, f"{name}/{conv}", step))
            net = tf.nn.relu(shortcut + _normalized(net, weights, f"{name}/conv3", 1))
    mean = tf.reduce_mean(net, [1, 2], keepdims=True)
    logits = tf.nn.conv2d(mean, weights[f"{scope}/logits/weights"], 1, "VALID")
    return tf.squeeze(logits, [1, 2]) + weights[f"{scope}/logits/biases"], net


def _normalized(net: tf.Tensor, weights: Mapping[str, tf.Tensor], name: str, stride: int) -> tf.Tensor:
    """A convolution, padded alike on every side, and its batch norm."""
    before = (weights[f"{name}/weights"].shape[0] - 1) // 2
    net = tf.pad(net, [[0, 0], [before, before], [before, before], [0, 0]]) if before and stride > 1 else net
    net = tf.nn.conv2d(net, weights[f"{name}/weights"], stride, "VALID" if stride > 1 else "SAME")
    parts = (weights[f"{name}/BatchNorm/{part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance"))
    return tf.nn.fused_batch_norm(net, *parts, epsilon=1e-5, is_training=False)[0]
