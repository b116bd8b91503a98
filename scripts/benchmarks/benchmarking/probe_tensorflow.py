"""TensorFlow's part of `benchmarking.probe`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gradcam.terminal import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow.compat.v1 as tf

_Run = Callable[[], object]


def convolution(batch: int, height: int, width: int, kernel: Sequence[int], precision: str) -> _Run:
    """One convolution, which pads, with weights that TensorFlow may reorder once for all runs."""

    def build() -> tf.Tensor:
        images = _variable([batch, height, width, kernel[2]], precision)
        weights = tf.constant(0.01, precision, list(kernel))
        return tf.nn.conv2d(images, weights, strides=1, padding="SAME")

    return _run(build)


def product(rows: int, inner: int, columns: int, precision: str) -> _Run:
    """One product of matrices, `[rows, inner]` by `[inner, columns]`."""
    return _run(lambda: tf.matmul(_variable([rows, inner], precision), _variable([inner, columns], precision)))


def total(rows: int, columns: int, precision: str) -> _Run:
    """The sum of a matrix."""
    return _run(lambda: tf.reduce_sum(_variable([rows, columns], precision)))


def _variable(shape: list[int], precision: str) -> tf.Variable:
    return tf.get_variable(f"v{len(tf.global_variables())}", initializer=tf.fill(shape, tf.constant(0.5, precision)))


def _run(build: Callable[[], tf.Tensor]) -> _Run:
    with tf.Graph().as_default() as graph:
        result = build().op  # the operation: nothing is fetched
        session = tf.Session(graph=graph)
        session.run(tf.global_variables_initializer())
    return lambda: session.run(result)
