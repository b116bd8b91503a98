"""What a graph does not say of itself: which tensor takes the pictures, and which is the logits."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

import tensorflow.compat.v1 as tf

from slim_models.backward import depending, operations_between, reached, readers, source
from slim_models.loading.inputs import candidates, has_layers, labels_beside, outputs
from slim_models.loading.passes import PLACEHOLDERS, Say
from slim_models.loading.tensors import CONVOLUTIONS, has_tensor, shape_of, tensor_named, text_of
from slim_models.mistakes import BadValue

# What reads logits, or what was made of them; its first input is a step back.
_PROBABILITIES = ("Softmax", "LogSoftmax", "Sigmoid", "ArgMax", "TopK", "TopKV2", "InTopK", "InTopKV2", "Round")
_LOSSES = ("SoftmaxCrossEntropyWithLogits", "SparseSoftmaxCrossEntropyWithLogits")
_PLUMBING = ("Identity", "Reshape", "Squeeze", "StopGradient", "PreventGradient", "Cast", "CheckNumerics")
# Optimisers' updates and assignments, whose output is a variable.
_WRITING = re.compile(r"Assign|Apply|Resource|Sparse(Apply|Assign)|Scatter(Add|Sub|Update|Nd(Add|Sub|Update))")


def find_images(
    graph: tf.Graph,
    name: str | None,
    said: Sequence[str],
    say: Say,
    called: Mapping[str, str] | None = None,
    others: Collection[str] = (),
) -> tf.Tensor:
    """The tensor that takes the pictures.

    Args:
        graph: of `Graph.inferred`.
        name: the user's word for it, which is final, but for the step to what flat pixels are reshaped to; None looks
            for it.
        said: names that the file itself gives its inputs (a signature's); where empty, all placeholders.
        say: is told what was guessed.
        called: name of a tensor -> what the file itself calls it.
        others: names of tensors that the user gives values to.

    Raises:
        KeyError: there is no tensor of that name.
        ValueError: no tensor could be pictures, or several could.
    """
    names = called or {}
    # An input of the file's own that its outputs do not depend on may be gone.
    asked = [name] if name is not None else [word for word in said if has_tensor(graph, word)]
    given = [tensor_named(graph, word, names) for word in asked]
    if name is not None and given[0].shape.ndims in (4, None):
        return given[0]
    choices = candidates(graph, given, others)
    if name is not None:
        choices = [(tensor, how) for tensor, how in choices if how] or [(given[0], "")]
    if not choices:
        tensors = given or outputs(graph, PLACEHOLDERS)
        listed = f"its inputs are {_listed(tensors, names)}" if tensors else "it has no placeholder"
        without = "" if outputs(graph, CONVOLUTIONS) else ", and it has no convolutions that Grad-CAM could explain"
        raise BadValue(f"no input of the graph could be pictures: {listed}{without}; give the tensor's name as images")
    if len(choices) > 1:
        listed = _listed([tensor for tensor, _ in choices], names)
        raise BadValue(
            f"{len(choices)} inputs could be the pictures: {listed}; give one's name as images (and values for others "
            "that are needed as feed)"
        )
    ((tensor, how),) = choices
    if name is None or how:
        say(f"images: {text_of(tensor)} (found: {how or 'the only input that could be pictures'})")
    return tensor


def _listed(tensors: Sequence[tf.Tensor], called: Mapping[str, str]) -> str:
    """Tensors in words, with what the network itself calls them first."""
    return ", ".join(f"{called[t.name]} ({text_of(t)})" if t.name in called else text_of(t) for t in tensors)


def find_logits(
    graph: tf.Graph,
    images: tf.Tensor,
    name: str | None,
    said: Sequence[str],
    say: Say,
    called: Mapping[str, str] | None = None,
) -> tf.Tensor:
    """The tensor of the logits: `[N, C]`, `[N, 1, 1, C]`, or `[N, C, 1, 1]` where channels come first; and, if it is
    named, a map `[N, h, w, C]`.

    Args:
        graph: of `Graph.inferred`.
        images: the tensor of its pictures.
        name: the user's word for the logits or the probabilities; None looks for them.
        said: names that the file itself gives its outputs (a signature's); may be empty.
        say: is told what was guessed.
        called: name of a tensor -> what the file itself calls it.

    Raises:
        KeyError: there is no tensor of that name.
        ValueError: nothing is a classifier's output, or several things that cannot be told apart.
    """
    after = depending([images])
    if name is not None:
        named = tensor_named(graph, name, called)
        logits = before_softmax(named)
        if logits is not named:
            say(f"logits: {text_of(logits)} (a step back from {named.name}, which was made of them)")
        return _checked(logits, after)
    signs = [tensor_named(graph, word) for word in said] or _signs(after, labels_beside(graph, images))
    names = dict(called or {})
    names.update({before_softmax(tensor).name: names[tensor.name] for tensor in signs if tensor.name in names})
    choices = _distinct(before_softmax(tensor) for tensor in signs)
    possible = [tensor for tensor in choices if tensor.op in after and _classes(tensor)]
    found = _last([tensor for tensor in possible if said or _is_per_picture(tensor, images)])
    if not found:
        outputs = _listed(choices, names) or "none"
        raise BadValue(
            f"the graph is no classifier: no output that depends on {images.name} is [N, C]; outputs are {outputs}; "
            "give the name of the logits if there are some, or of a map [N, h, w, C] to explain a class all over the "
            "picture or in a region"
        )
    logits = found[0] if len(found) == 1 else _main(images, found, names)
    beside = f", of {len(found)}, the others being of auxiliary heads" if len(found) > 1 else ""
    say(f"logits: {text_of(logits)} (found: what the last softmax or output is made of{beside})")
    return logits


def find_head(logits: tf.Tensor, say: Say) -> str:
    """What the graph makes of its logits, of `HEADS`.

    Args:
        logits: of `find_logits`.
        say: is told what was found.

    Returns:
        `"sigmoid"` where that is all that reads them; `"linear"` of one output that nothing of the kind reads, since a
        softmax of it would always be 1; else `"softmax"`.
    """
    copied = reached(readers([logits]), lambda op: readers(op.outputs) if op.type in _PLUMBING else [])
    types = {op.type for op in copied}
    one = (_classes(logits) or (shape_of(logits) or [None])[-1]) == 1
    if "Sigmoid" in types and not types & {"Softmax", "LogSoftmax", "Exp"}:
        of_one = "one logit, that of class 1; class 0 is its opposite" if one else "logits"
        say(f"head: sigmoid (found: what the graph makes of its {of_one})")
        return "sigmoid"
    if one and not types & {"Softmax", "LogSoftmax"}:
        say("head: linear (guessed: one output, which no sigmoid reads; if it is a logit, give head sigmoid)")
        return "linear"
    return "softmax"


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
    return _as_column(found)


def _as_column(tensor: tf.Tensor) -> tf.Tensor:
    """The `[N, 1]` that the only output `[N]` of each picture was squeezed from; the tensor itself if there is none."""
    column = tensor
    while shape_of(tensor) is not None and tensor.shape.ndims == 1 and column.op.type in _PLUMBING:
        column = column.op.inputs[0]
        if _classes(column) == 1:
            return column
    return tensor


def _inside_exp(quotient: tf.Operation) -> tf.Tensor:
    """The logits of `exp(x - max(x)) / sum(exp(x - max(x)))`."""
    inside, total = quotient.inputs[0].op.inputs[0], quotient.inputs[1].op
    if total.type != "Sum":
        raise BadValue(f"{quotient.name} looks like a softmax made by hand; give the name of the logits before it")
    if inside.op.type == "Sub" and inside.op.inputs[1].op.type in ("Max", "StopGradient"):
        inside = inside.op.inputs[0]
    return inside


def _signs(after: set[tf.Operation], beside: set[tf.Operation]) -> list[tf.Tensor]:
    """What softmaxes, losses and the like read; where there are none, what nothing reads.

    Args:
        after: what depends on the pictures.
        beside: what depends on labels too: losses, metrics, gradients and what optimisers do with them.
    """
    reading = [op for op in after if op.type in _PROBABILITIES + _LOSSES and not _is_gate(op)]
    read = [tensor for op in reading if _classes(_as_column(tensor := _unshaped(op.inputs[0])))]
    if read and {op.type for op in reading} != {"Sigmoid"}:  # which hidden layers may have too
        return read
    alone = after - beside or after
    ends = [t for op in alone if not _writes(op) for t in op.outputs if t.dtype.base_dtype.is_floating]
    return read + [tensor for tensor in ends if not any(_goes_on(op) for op in tensor.consumers() if op in alone)]


def _unshaped(tensor: tf.Tensor) -> tf.Tensor:
    """The logits `[N, C]` of which a loss reads a Reshape to `[?, ?]`."""
    while not _classes(tensor) and tensor.op.type in _PLUMBING:
        tensor = tensor.op.inputs[0]
    return tensor


def _writes(operation: tf.Operation) -> bool:
    return bool(_WRITING.match(operation.type))


def _goes_on(operation: tf.Operation) -> bool:
    """Whether an operation makes other numbers of what it reads: no summary, no shape, no assertion, no update."""
    return not _writes(operation) and any(tensor.dtype.base_dtype.is_floating for tensor in operation.outputs)


def _is_gate(operation: tf.Operation) -> bool:
    """Whether it is a sigmoid within the network (squeeze and excitation): layers follow, not only their gradients."""
    if operation.type != "Sigmoid":
        return False
    return has_layers(depending(operation.outputs))


def _distinct(tensors: Iterable[tf.Tensor]) -> list[tf.Tensor]:
    """Each once; of several shapes of the same numbers, made by Reshape and Squeeze, one."""
    alike: dict[str, list[tf.Tensor]] = {}
    for tensor in {tensor.name: tensor for tensor in tensors}.values():
        alike.setdefault(source(tensor, _PLUMBING).name, []).append(tensor)
    chosen = [min(several, key=lambda t: (not _classes(t), t.shape.ndims or 0, t.name)) for several in alike.values()]
    return sorted(chosen, key=lambda tensor: tensor.name)


def _classes(tensor: tf.Tensor) -> int | None:
    """C of `[N, C]`, `[N, 1, 1, C]`, `[N, C, 1, 1]` and a map `[N, ?, ?, C]`; None for what is none of these."""
    shape = shape_of(tensor)
    if not tensor.dtype.base_dtype.is_floating or shape is None:
        return None
    if len(shape) == 4 and shape[1:3] == [1, 1]:
        shape = [shape[0], shape[3]]
    if len(shape) == 4 and shape[2:] == [1, 1]:
        shape = shape[:2]
    if is_map(tensor) and _is_last_convolution(tensor):
        return shape[3]
    return shape[1] if len(shape) == 2 else None


def _is_per_picture(tensor: tf.Tensor, images: tf.Tensor) -> bool:
    """Whether the first axis may be that of the pictures; that of a gradient of weights, say, may not."""
    number, pictures = (shape_of(t) or [None] for t in (tensor, images))
    return number[0] in (None, 1) or pictures[0] is not None


def _is_last_convolution(tensor: tf.Tensor) -> bool:
    """Whether a convolution of one pixel made it, a head's, with its bias; what ends in a ReLU only has features."""
    operation = source(tensor, _PLUMBING).op
    while operation.type in ("BiasAdd", "Add", "AddV2"):
        operation = source(operation.inputs[0], _PLUMBING).op
    return operation.type == "Conv2D" and operation.inputs[1].shape.as_list()[:2] == [1, 1]


def is_map(tensor: tf.Tensor) -> bool:
    """Whether there are logits `[N, h, w, C]` for every place, of a size that only that of the pictures decides."""
    shape = shape_of(tensor)
    return shape is not None and len(shape) == 4 and shape[1:3] == [None, None] and shape[3] is not None


def _last(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Those that no other is computed from; a softmax within the network reads nothing of the kind."""
    later = {tensor.name: depending([tensor]) for tensor in tensors}
    return [t for t in tensors if not any(other.op in later[t.name] for other in tensors if other is not t)]


def _main(images: tf.Tensor, tensors: Sequence[tf.Tensor], called: Mapping[str, str]) -> tf.Tensor:
    """The one of several heads behind the whole network; the auxiliary ones branch off before."""
    trunks = {t.name: {op for op in operations_between(images, t) if op.type in CONVOLUTIONS} for t in tensors}
    for tensor in tensors:
        others = [trunks[other.name] for other in tensors if other is not tensor]
        # An auxiliary head has at most two convolutions of its own, and the trunk behind it has more.
        if all(len(other - trunks[tensor.name]) <= 2 < len(trunks[tensor.name] - other) for other in others):
            return tensor
    listed = _listed(tensors, called)
    raise BadValue(f"{len(tensors)} outputs could be the logits: {listed}; give one's name as logits")


def _checked(logits: tf.Tensor, after: set[tf.Operation]) -> tf.Tensor:
    if logits.op not in after:
        raise BadValue(f"{text_of(logits)} does not depend on the images")
    if not _classes(logits) and not _is_segmentation(logits):
        raise BadValue(f"the logits must be [N, C] numbers, or a map [N, h, w, C], and {text_of(logits)} is not")
    return logits


def _is_segmentation(tensor: tf.Tensor) -> bool:
    """Whether it is a map of known classes, which come last."""
    shape = shape_of(tensor)
    made = source(tensor, _PLUMBING).op
    first = made.type in ("Conv2D", "BiasAdd") and made.get_attr("data_format") == b"NCHW"
    return (
        tensor.dtype.base_dtype.is_floating and shape is not None and len(shape) == 4 and bool(shape[3]) and not first
    )
