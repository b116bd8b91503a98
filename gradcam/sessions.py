"""TensorFlow sessions on the device asked for."""

from __future__ import annotations

import tensorflow.compat.v1 as tf


def open_session(graph: tf.Graph, device: str | None = None) -> tf.Session:
    """A session that sees the device asked for, and no other accelerator.

    Args:
        graph: the session's.
        device: `"cpu"`, `"gpu"` or `"gpu:1"`; None leaves it to TensorFlow.

    Raises:
        ValueError: the name is none of these, or the device is not there.
    """
    config = tf.ConfigProto()
    if device is None:
        return tf.Session(graph=graph, config=config)
    kind, _, number = device.lower().partition(":")
    if kind not in ("cpu", "gpu") or not (number or "0").isdecimal():
        raise ValueError(f"no device {device!r}; give cpu, gpu or gpu:NUMBER")
    if kind == "cpu":
        config.device_count["GPU"] = 0
        return tf.Session(graph=graph, config=config)
    config.gpu_options.visible_device_list = number or "0"
    missing = f"no device {device!r}: TensorFlow sees no such GPU here"
    try:
        session = tf.Session(graph=graph, config=config)
    except tf.errors.OpError as error:  # with GPUs, but not that many
        raise ValueError(missing) from error
    if not any(found.device_type == "GPU" for found in session.list_devices()):
        session.close()
        raise ValueError(missing)
    return session
