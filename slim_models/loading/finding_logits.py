"""Which tensor of somebody's graph is the logits, the y of the Grad-CAM paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import tensorflow.compat.v1 as tf

from slim_models.relu_gradients import operations_between
from slim_models.signal_path import depending
from slim_models.tensors import CONVOLUTIONS, Say, shape_of, tensor_named, text_of

# What reads logits, or what was made of them; its first input is a step back.
_PROBABILITIES = ("Softmax", "LogSoftmax", "Sigmoid", "ArgMax", "TopK", "TopKV2", "InTopK", "InTopKV2")
_LOSSES = ("SoftmaxCrossEntropyWithLogits", "SparseSoftmaxCrossEntropyWithLogits")
_PLUMBING = ("Identity", "Reshape", "Squeeze", "StopGradient", "PreventGradient", "Cast", "CheckNumerics")


def find_logits(graph: tf.Graph, images: tf.Tensor, name: str | None, said: Sequence[str], say: Say) -> tf.Tensor:
    """The tensor of the logits: `[N, C]`, `[N, 1, 1, C]`, or `[N, C, 1, 1]` where channels come first.

    Args:
        graph: a `skeleton`.
        images: the tensor of its pictures.
        name: the user's word for the logits or the probabilities; None looks for them.
        said: names that the file itself gives its outputs (a signature's); may be empty.
        say: is told what was guessed.

    Raises:
        KeyError: there is no tensor of that name.
        ValueError: nothing is a classifier's output, or several things that cannot be told apart.
    """
    after = depending([images])
    if name is not None:
        named = tensor_named(graph, name)
        logits = before_softmax(named)
        if logits is not named:
            say(f"logits: {text_of(logits)} (a step back from {named.name}, which was made of them)")
        return _checked(logits, after)
    signs = [tensor_named(graph, word) for word in said] or _signs(after)
    choices = _distinct(before_softmax(tensor) for tensor in signs)
    found = _last([tensor for tensor in choices if tensor.op in after and _classes(tensor)])
    if not found:
        outputs = ", ".join(map(text_of, choices)) or "none"
        raise ValueError(
            f"the graph is no classifier: no output that depends on {images.name} is [N, C]; outputs are {outputs}; "
            "give the name of the logits if there are some"
        )
    logits = found[0] if len(found) == 1 else _main(images, found)
    beside = f", of {len(found)}, the others being of auxiliary heads" if len(found) > 1 else ""
    say(f"logits: {text_of(logits)} (found: what the last softmax or output is made of{beside})")
    return logits


def before_softmax(tensor: tf.Tensor) -> tf.Tensor:
    """What probabilities, or what was made of them, were made of; the tensor itself if it is none of these.

    Raises:
        ValueError: they were made by a softmax of single operations that cannot be stepped over.
    """
    found = current = tensor
    while current.op.inputs:
        operation = current.op
        if operation.type in _PROBABILITIES:
            # InTopK(predictions, targets), ArgMax(input, dimension), TopK(input, k): always the first.
            found = current = operation.inputs[0]
        elif operation.type == "RealDiv" and operation.inputs[0].op.type == "Exp":
            found = current = _inside_exp(operation)
        elif operation.type in _PLUMBING:
            current = operation.inputs[0]
        elif operation.type == "IdentityN":
            current = operation.inputs[current.value_index]
        else:
            break
    return found


def _inside_exp(quotient: tf.Operation) -> tf.Tensor:
    """The logits of `exp(x - max(x)) / sum(exp(x - max(x)))`."""
    inside, total = quotient.inputs[0].op.inputs[0], quotient.inputs[1].op
    if total.type != "Sum":
        raise ValueError(f"{quotient.name} looks like a softmax made by hand; give the name of the logits before it")
    if inside.op.type == "Sub" and inside.op.inputs[1].op.type in ("Max", "StopGradient"):
        inside = inside.op.inputs[0]
    return inside


def _signs(after: set[tf.Operation]) -> list[tf.Tensor]:
    """What softmaxes, losses and the like read; where there are none, what nothing reads."""
    readers = [op for op in after if op.type in _PROBABILITIES + _LOSSES]
    read = [op.inputs[0] for op in readers if _classes(op.inputs[0])]
    ends = [t for op in after for t in op.outputs if not t.consumers() and t.dtype.base_dtype.is_floating]
    return read or ends


def _distinct(tensors: Iterable[tf.Tensor]) -> list[tf.Tensor]:
    return sorted({tensor.name: tensor for tensor in tensors}.values(), key=lambda tensor: tensor.name)


def _classes(tensor: tf.Tensor) -> int | None:
    """C of `[N, C]`, `[N, 1, 1, C]` and `[N, C, 1, 1]`; None for what is none of these."""
    shape = shape_of(tensor)
    if not tensor.dtype.base_dtype.is_floating or shape is None:
        return None
    if len(shape) == 4 and shape[1:3] == [1, 1]:
        shape = [shape[0], shape[3]]
    if len(shape) == 4 and shape[2:] == [1, 1]:
        shape = shape[:2]
    return shape[1] if len(shape) == 2 else None


def _last(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Those that no other is computed from; a softmax within the network reads nothing of the kind."""
    later = {tensor.name: depending([tensor]) for tensor in tensors}
    return [t for t in tensors if not any(other.op in later[t.name] for other in tensors if other is not t)]


def _main(images: tf.Tensor, tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """The one of several heads behind the whole network; the auxiliary ones branch off before."""
    trunks = {t.name: {op for op in operations_between(images, t) if op.type in CONVOLUTIONS} for t in tensors}
    for tensor in tensors:
        others = [trunks[other.name] for other in tensors if other is not tensor]
        # An auxiliary head has at most two convolutions of its own, and the trunk behind it has more.
        if all(len(other - trunks[tensor.name]) <= 2 < len(trunks[tensor.name] - other) for other in others):
            return tensor
    listed = ", ".join(map(text_of, tensors))
    raise ValueError(f"{len(tensors)} outputs could be the logits: {listed}; give one's name as logits")


def _checked(logits: tf.Tensor, after: set[tf.Operation]) -> tf.Tensor:
    if logits.op not in after:
        raise ValueError(f"{text_of(logits)} does not depend on the images")
    if not _classes(logits):
        raise ValueError(f"the logits must be [N, C] numbers, and {text_of(logits)} is not")
    return logits
