"""What TensorBoard reads of event files."""

import contextlib

import cv2
import numpy as np
import pytest


def events(folder):
    """What TensorBoard itself reads: kind -> tag -> [(step, value)]."""
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with contextlib.redirect_stderr(None):
        read = accumulators.EventAccumulator(str(folder), size_guidance={"images": 0, "tensors": 0}).Reload()
    tags = read.Tags()
    pictures = {
        tag: [
            (e.step, cv2.imdecode(np.frombuffer(e.encoded_image_string, np.uint8), 1)[..., ::-1])
            for e in read.Images(tag)
        ]
        for tag in tags["images"]
    }
    numbers = {tag: [(e.step, e.value) for e in read.Scalars(tag)] for tag in tags["scalars"]}
    texts = {
        tag: [(e.step, e.tensor_proto.string_val[0].decode()) for e in read.Tensors(tag)] for tag in tags["tensors"]
    }
    return pictures, numbers, texts
