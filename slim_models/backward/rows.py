"""Which tensors are a row a picture: `[N, ...]`, and row i is the same function of image i alone.

That is proved from operation to operation, by what each is known to do to the first axis of what it reads. What
is not proved is taken to be something else, as are the indices of a batch's rows, what was reshaped, shifted or
sorted along the first axis, statistics of the batch, and whatever operations are not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow.compat.v1 as tf

from slim_models.backward.row_facts import Facts
from slim_models.backward.walks import reached


def one_row_a_picture(images: tf.Tensor, tensors: Sequence[tf.Tensor]) -> Callable[[tf.Tensor], bool]:
    """Proves what can be proved of all that `tensors` are computed from.

    Args:
        images: `[N, H, W, 3]`.
        tensors: of the graph of the images.

    Returns:
        Whether a tensor, of these or before them, is proved to be `[N, ...]` and its row i the same function of
        image i alone, whatever i, N and the other images.
    """
    facts = Facts(images)
    before = set(reached([t.op for t in tensors], lambda op: [t.op for t in op.inputs])) - {images.op}
    for op in images.graph.get_operations():  # each is after those that it reads, but for what closes a loop
        if op in before:
            known = op.type in _RULES and _RULES[op.type](facts, op)
            facts.add(op, (1 if op.type in _FIRST_OUTPUT else len(op.outputs)) if known else 0)
    return facts.is_rows


Rule = Callable[[Facts, tf.Operation], bool]  # whether what an operation gives is a row a picture


def _elementwise(facts: Facts, op: tf.Operation) -> bool:
    """Rows meet rows, or what is repeated for each."""
    ranks = [tensor.shape.ndims for tensor in op.inputs]
    rank = None if None in ranks else max(ranks)
    rows = [facts.is_rows(tensor) and tensor.shape.ndims == rank for tensor in op.inputs]
    others = (tensor for tensor, is_rows in zip(op.inputs, rows) if not is_rows)
    return any(rows) and all(facts.is_repeated(tensor, rank) for tensor in others)


def _choice(facts: Facts, op: tf.Operation) -> bool:
    """TensorFlow 1's Select, whose condition may be one for each row."""
    condition, *values = op.inputs
    is_one = facts.is_fixed(condition) and condition.shape.ndims == 0
    return all(map(facts.is_rows, values)) and (is_one or facts.is_rows(condition))


def _with_parameters(facts: Facts, op: tf.Operation) -> bool:
    """Operations whose first axis is that of the batch, by their definition."""
    first, *others = op.inputs
    return facts.is_rows(first) and all(map(facts.is_fixed, others))


def _last_axis(facts: Facts, op: tf.Operation) -> bool:
    return _with_parameters(facts, op) and (op.inputs[0].shape.ndims or 0) > 1


def _stored_batch_norm(facts: Facts, op: tf.Operation) -> bool:
    return not op.get_attr("is_training") and _with_parameters(facts, op)


def _product(facts: Facts, op: tf.Operation) -> bool:
    """Of matrices: of the rows with parameters, or one for each picture."""
    ranks = [tensor.shape.ndims for tensor in op.inputs]
    if ranks != [2, 2]:
        return min(rank or 0 for rank in ranks) > 1 and _elementwise(facts, op)
    turned = op.get_attr("transpose_a" if op.type == "MatMul" else "adj_x")
    return not turned and _with_parameters(facts, op)


def _einsum(facts: Facts, op: tf.Operation) -> bool:
    """The batch's letter is the first of every one that is rows, and of the result, and in no other place."""
    inputs, _, output = op.get_attr("equation").decode().replace(" ", "").partition("->")
    letter = output[:1]
    if not letter.isalpha():  # there may be an ellipsis
        return False

    def fits(word: str, tensor: tf.Tensor) -> bool:
        if facts.is_rows(tensor):
            return word.startswith(letter) and word.count(letter) == 1
        return facts.is_fixed(tensor) and letter not in word

    words = inputs.split(",")
    return letter in inputs and output.count(letter) == 1 and all(map(fits, words, op.inputs))


def _spares(axes: Sequence[int] | None, rank: int | None) -> bool:
    """Whether axes, some of which may be counted from the last, are known and not the first."""
    return axes is not None and rank is not None and all(axis % rank for axis in axes)


def _along(facts: Facts, op: tf.Operation) -> bool:
    """The axes, or one, are the second input; those of ExpandDims are counted in its result."""
    tensor, axes = op.inputs
    rank = (op.outputs[0] if op.type == "ExpandDims" else tensor).shape.ndims
    return facts.is_rows(tensor) and _spares(facts.numbers(axes), rank)


def _split(facts: Facts, op: tf.Operation) -> bool:
    axis, value, *sizes = op.inputs if op.type == "Split" else (op.inputs[2], *op.inputs[:2])
    sizes_stay = all(map(facts.is_fixed, sizes))
    return facts.is_rows(value) and sizes_stay and _spares(facts.numbers(axis), value.shape.ndims)


def _concatenation(facts: Facts, op: tf.Operation) -> bool:
    *values, axis = op.inputs
    return all(map(facts.is_rows, values)) and _spares(facts.numbers(axis), values[0].shape.ndims)


def _stack(facts: Facts, op: tf.Operation) -> bool:
    """Pack and Unpack."""
    rank = (op.outputs[0] if op.type == "Pack" else op.inputs[0]).shape.ndims
    return all(map(facts.is_rows, op.inputs)) and _spares([op.get_attr("axis")], rank)


def _squeeze(facts: Facts, op: tf.Operation) -> bool:
    """Without axes it is whatever is 1, the batch's of one picture too."""
    axes = list(op.get_attr("squeeze_dims"))
    return facts.is_rows(op.inputs[0]) and bool(axes) and _spares(axes, op.inputs[0].shape.ndims)


def _first(facts: Facts, vector: tf.Tensor) -> int | None:
    """What a vector says of the first axis, if it is all numbers."""
    numbers = facts.numbers(vector)
    return numbers[0] if numbers else None


def _pad(facts: Facts, op: tf.Operation) -> bool:
    paddings = facts.numbers(op.inputs[1])
    return _with_parameters(facts, op) and paddings is not None and paddings[:2] == [0, 0]


def _transpose(facts: Facts, op: tf.Operation) -> bool:
    return facts.is_rows(op.inputs[0]) and _first(facts, op.inputs[1]) == 0


def _slice(facts: Facts, op: tf.Operation) -> bool:
    tensor, begin, size = op.inputs
    return facts.is_rows(tensor) and _first(facts, begin) == 0 and _first(facts, size) == -1


def _strided_slice(facts: Facts, op: tf.Operation) -> bool:
    """What says nothing of the first axis, `x[:, ...]` or `x[..., 3]`, and the same of others for any N."""
    steps, rank = facts.numbers(op.inputs[3]), op.inputs[0].shape.ndims
    if not _with_parameters(facts, op) or not steps or rank is None:
        return False
    masks = ("ellipsis_mask", "new_axis_mask", "shrink_axis_mask", "begin_mask", "end_mask")
    ellipsis, new, shrink, begin, end = map(op.get_attr, masks)
    if ellipsis & 1:
        return rank > len(steps) - 1 - bin(new & ~1).count("1")
    return bool(begin & end & ~new & ~shrink & 1) and steps[0] == 1


def _gather(facts: Facts, op: tf.Operation) -> bool:
    """The same places of each row, places of its own of each, or of a table for each."""
    params, indices = op.inputs[:2]
    axes = [0] if op.type == "Gather" else facts.numbers(op.inputs[2])
    batch_dims = 0 if op.type == "Gather" else op.get_attr("batch_dims")
    if not axes or not params.shape.ndims or batch_dims < 0:
        return False
    axis = axes[0] % params.shape.ndims
    if facts.is_rows(params):
        return axis > 0 and (facts.is_rows(indices) if batch_dims else facts.is_fixed(indices))
    return facts.is_fixed(params) and facts.is_rows(indices) and axis == batch_dims == 0


def _one_hot(facts: Facts, op: tf.Operation) -> bool:
    return op.get_attr("axis") != 0 and _with_parameters(facts, op)


def _reshape(facts: Facts, op: tf.Operation) -> bool:
    """Rows stay rows if each has as many elements as before, or there are N of them again."""
    (tensor, shape), result = op.inputs, op.outputs[0].shape
    if not facts.is_rows(tensor) or not result.ndims or result.as_list()[0] is not None:
        return False
    before, after = tensor.shape[1:].num_elements(), result[1:].num_elements()
    return bool(before and before == after) or facts.sizes(shape) is not None


def _tile(facts: Facts, op: tf.Operation) -> bool:
    tensor, times = op.inputs
    if facts.is_rows(tensor):
        return _first(facts, times) == 1
    return facts.sizes(times) is not None and facts.is_repeated(tensor, tensor.shape.ndims)


def _broadcast(facts: Facts, op: tf.Operation) -> bool:
    tensor, shape = op.inputs
    sizes = facts.sizes(shape)
    if sizes is None:
        return False
    rank = 1 + len(sizes)
    return facts.is_repeated(tensor, rank) or (facts.is_rows(tensor) and tensor.shape.ndims == rank)


def _fill(facts: Facts, op: tf.Operation) -> bool:
    return facts.sizes(op.inputs[0]) is not None and facts.is_fixed(op.inputs[1])


_FIRST_OUTPUT = {"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "MaxPoolWithArgmax"}
_OF: dict[Rule, str] = {
    _elementwise: (
        "Abs Acos Add AddN AddV2 Asin Atan Atan2 BiasAdd Cast Ceil CheckNumerics ClipByValue Cos Cosh Div DivNoNan Elu "
        "Equal Erf Erfc Exp Expm1 FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars Floor FloorDiv FloorMod Greater "
        "GreaterEqual Identity Inv IsFinite IsInf IsNan LeakyRelu Less LessEqual Log Log1p LogicalAnd LogicalNot "
        "LogicalOr Maximum Minimum Mul MulNoNan Neg NotEqual OnesLike Pow PreventGradient RealDiv Reciprocal Relu "
        "Relu6 Rint Round Rsqrt SelectV2 Selu Sigmoid Sign Sin Sinh Snapshot Softplus Softsign Sqrt Square "
        "SquaredDifference StopGradient Sub Tan Tanh Xdivy Xlogy ZerosLike"
    ),
    _with_parameters: (
        "AvgPool AvgPool3D Conv2D Conv3D DepthToSpace DepthwiseConv2dNative Dilation2D ExtractImagePatches LRN MaxPool "
        "MaxPool3D MaxPoolV2 MaxPoolWithArgmax ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor "
        "SpaceToDepth"
    ),
    _last_axis: "LogSoftmax Softmax TopKV2",
    _stored_batch_norm: "FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3",
    _product: "BatchMatMul BatchMatMulV2 BatchMatMulV3 MatMul",
    _along: "All Any ArgMax ArgMin Cumprod Cumsum EuclideanNorm ExpandDims Max Mean Min Prod ReverseV2 Sum",
    _choice: "Select",
    _einsum: "Einsum",
    _split: "Split SplitV",
    _concatenation: "ConcatV2",
    _stack: "Pack Unpack",
    _squeeze: "Squeeze",
    _pad: "MirrorPad Pad PadV2",
    _transpose: "Transpose",
    _slice: "Slice",
    _strided_slice: "StridedSlice",
    _gather: "Gather GatherV2",
    _one_hot: "OneHot",
    _reshape: "Reshape",
    _tile: "Tile",
    _broadcast: "BroadcastTo",
    _fill: "Fill",
}
_RULES = {kind: rule for rule, kinds in _OF.items() for kind in kinds.split()}
