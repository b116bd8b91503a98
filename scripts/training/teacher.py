"""What a larger network, trained on all of ImageNet, says of Tiny ImageNet's pictures."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import cv2
import numpy as np
import tensorflow.compat.v1 as tf

import slim_models
from slim_models.mistakes import BadValue
from training.trainer import configuration

BATCH = 50
FITTED_BATCH, FITTED_EPOCHS, FITTED_RATE, FITTED_DECAY = 500, 3, 3e-4, 1e-4


def teacher_logits(name: str, data, image_size: int, file: pathlib.Path, bfloat16: bool = False) -> np.ndarray:
    """The teacher's logits of the data set's own classes, for whole pictures; made once, then read from the file.

    Pictures of 64 pixels are blurred to a network that was trained on photographs. So its logits of all its classes
    are mapped to those of the data set by a matrix, which begins as the selection of the data set's and is fitted to
    the labels.

    Args:
        name: of the teacher, one of `slim_models.NETWORKS`.
        data: M pictures of C classes.
        image_size: height and width in pixels of the pictures that the teacher sees, enlarged bilinearly.
        file: an npy file for the result.
        bfloat16: whether to compute in mixed precision.

    Returns:
        float16 `[M, C]`.

    Raises:
        ValueError: the teacher does not know one of the classes, or the file is of other pictures.
    """
    if file.exists():
        logits = np.load(file)
        if logits.shape != (len(data.images), len(data.wnids)):
            shape = [len(data.images), len(data.wnids)]
            raise BadValue(f"{file} has logits {list(logits.shape)}, not {shape}: remove it")
        return logits
    found, own = _of_all_classes(name, data.images, data.wnids, image_size, configuration(bfloat16))
    logits = fitted(found, own, data.labels).astype(np.float16)
    partial = file.with_suffix(".partial.npy")
    np.save(partial, logits)
    partial.replace(file)
    return logits


def _of_all_classes(
    name: str, images: np.ndarray, wnids: Sequence[str], image_size: int, config: tf.ConfigProto
) -> tuple[np.ndarray, np.ndarray]:
    """Logits `[M, K]` of all K classes of a network, and which of them, `[C]`, are those of the WordNet ids."""
    network = slim_models.build(name, image_size=image_size)
    known = network.labels.wnids
    strange = [wnid for wnid in wnids if wnid not in known]
    if strange:
        raise BadValue(f"{name} does not know the classes {', '.join(strange)}")
    result = []
    with tf.Session(graph=network.graph, config=config) as session:
        network.values.fill(session, network)
        for first in range(0, len(images), BATCH):
            batch = np.stack([cv2.resize(x, (image_size, image_size)) for x in images[first : first + BATCH]])
            result.append(session.run(network.logits, {network.images: batch}))
    return np.concatenate(result), np.array([known.index(wnid) for wnid in wnids])


def fitted(logits: np.ndarray, own: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Logits of C classes, by a linear map of logits of K that predicts the labels best.

    Args:
        logits: float32 `[M, K]`.
        own: indices `[C]` of the C classes among the K, which the map begins with and is drawn back to.
        labels: int64 `[M]`, in `[0, C)`.

    Returns:
        float32 `[M, C]`.
    """
    selection = np.zeros((logits.shape[1], len(own)), np.float32)
    selection[own, np.arange(len(own))] = 1
    batch = min(FITTED_BATCH, len(labels))
    steps = FITTED_EPOCHS * (len(labels) // batch)
    with tf.Graph().as_default(), tf.Session() as session:
        given, classes = tf.placeholder(tf.float32, [None, logits.shape[1]]), tf.placeholder(tf.int64, [None])
        step = tf.train.get_or_create_global_step()
        kernel, biases = tf.Variable(selection), tf.Variable(np.zeros(len(own), np.float32))
        mapped = tf.matmul(given, kernel) + biases
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=classes, logits=mapped))
        loss += FITTED_DECAY * tf.nn.l2_loss(kernel - selection)
        rate = tf.train.cosine_decay(FITTED_RATE, step, steps)
        train = tf.train.AdamOptimizer(rate).minimize(loss, global_step=step)
        session.run(tf.global_variables_initializer())
        for epoch in range(FITTED_EPOCHS):
            order = np.random.default_rng(epoch).permutation(len(labels))
            for i in range(0, len(labels) - batch + 1, batch):
                rows = order[i : i + batch]
                session.run(train, {given: logits[rows], classes: labels[rows]})
        return session.run(mapped, {given: logits})
