"""What is no network that can be explained, told by what it is and what works in its place."""

from __future__ import annotations

import re
from collections.abc import Sequence

import tensorflow.compat.v1 as tf
from google.protobuf import message

from slim_models import files
from slim_models.mistakes import BadValue

# What only detectors are asked for (MTCNN), what they end in, and what their outputs are called.
_ASKED = ("min_size", "factor", "thresholds", "score_threshold", "iou_threshold")
_SUPPRESSING = re.compile(r"(Combined)?NonMaxSuppression.*|TFLite_Detection_PostProcess")
_FOUND = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
_ONNX = re.compile(rb"\x08[\x01-\x20]\x12([\x01-\x7f])")  # ir_version, then producer_name and its length


def other_format(content: bytes) -> str | None:
    """What a file of another framework is and what works in its place, in words that follow its path; None otherwise.

    Args:
        content: the whole file, or its beginning.
    """
    if content[4:8] == b"TFL3":
        return (
            "is a TensorFlow Lite model, which has no gradients: give the SavedModel, the frozen graph or the Keras "
            "file that it was converted from"
        )
    onnx = _ONNX.match(content)
    if onnx and (name := content[onnx.end() : onnx.end() + onnx[1][0]]).isascii() and name.decode().isprintable():
        return (
            f"is an ONNX model, written by {name.decode()}: give the network as TensorFlow or Keras has it, or convert "
            "it to a SavedModel first (onnx2tf does)"
        )
    if content.startswith(b"PK\x03\x04") and b"/data.pkl" in content[:200]:
        return "is a PyTorch file: give a network of TensorFlow's or Keras', or export it to ONNX and then a SavedModel"
    if content[:64].lstrip().startswith(b"{") and b'"modelTopology"' in content:
        return (
            "is a TensorFlow.js model: give the SavedModel or the Keras file that it was converted from, or convert it "
            "back (tensorflowjs_converter does)"
        )
    packed = files.archive(content)
    if packed and b".npy" not in content[:200]:  # NumPy's arrays, which are weights, are in a zip archive too
        return f"is {packed}: unpack it, and give the folder or the file in it"
    return None


def is_saved_model(content: bytes) -> bool:
    """Whether a file that is no frozen graph is a SavedModel under another name."""
    from tensorflow.core.protobuf import saved_model_pb2

    try:
        return any(graph.graph_def.node for graph in saved_model_pb2.SavedModel.FromString(content).meta_graphs)
    except message.DecodeError:
        return False


def check_no_detector(name: str, graph_def: tf.GraphDef) -> None:
    """Nothing may say that a graph finds boxes.

    Args:
        name: of the network.
        graph_def: with or without functions.

    Raises:
        ValueError: something does.
    """
    nodes = [*graph_def.node, *(node for function in graph_def.library.function for node in function.node_def)]
    evidence = _of_detector(nodes)
    if evidence:
        raise BadValue(
            f"{name} is a detector ({evidence}): it gives boxes, and what is explained is the class of a whole "
            "picture; give a classifier, or name images and logits of a part that classifies"
        )


def _of_detector(nodes: Sequence[tf.NodeDef]) -> str | None:
    suppressing = next((node for node in nodes if _SUPPRESSING.fullmatch(node.op)), None)
    if suppressing is not None:
        return f"{suppressing.name} is a {suppressing.op}"
    asked = [node.name for node in nodes if node.op.startswith("Placeholder") and node.name.split("/")[-1] in _ASKED]
    found = [node.name for node in nodes if node.name.split("/")[-1] in _FOUND]
    if len(asked) > 1:
        return f"it asks for {', '.join(asked)}"
    return f"it gives {', '.join(found)}" if len(found) > 1 else None
