"""How a ReLU passes its gradient back: one forward graph, three backward rules.

Importing this module registers the gradients `GuidedRelu` and `GuidedRelu6`. A graph whose ReLUs are
marked with them (`marked_relus`) can be differentiated under any rule of `RULES` by `gradients`:
TensorFlow calls the registered function while it builds the backward operations, and that function
asks a context variable which rule is in force. Forward operations and weights are shared.

Outside `gradients` the marked ReLUs act guided, which is what the name promises everywhere.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
from collections.abc import Callable, Container, Sequence

import tensorflow.compat.v1 as tf

from slim_models.backward.rectifiers import undefined
from slim_models.backward.walks import signal_path
from slim_models.mistakes import BadValue, check_name

# Operation type -> the name under which its gradient is registered here. Relu6 closes its gate above 6
# too, so it cannot share the gradient of Relu.
MARKS = {"Relu": "GuidedRelu", "Relu6": "GuidedRelu6"}
_rule = contextvars.ContextVar("relu_rule", default="guided")
_on_the_way: contextvars.ContextVar[Container[tf.Operation] | None] = contextvars.ContextVar("on_the_way", default=None)
_LOOPS = ("Exit", "RefExit", "While", "StatelessWhile")
Gate = Callable[..., tf.Tensor]
_MARK = "_gradient_op_type"  # the attribute under which TensorFlow looks for a gradient's name


@dataclasses.dataclass(frozen=True)
class ReluRule:
    """Which signals a ReLU lets back (Springenberg et al. 2015, fig. 1).

    Attributes:
        by_activation: pass the signal only where the forward activation is open (for ReLU: > 0).
        by_signal: pass the signal only where it is itself > 0.
    """

    by_activation: bool
    by_signal: bool


RULES = {
    "backprop": ReluRule(by_activation=True, by_signal=False),  # the true gradient (Simonyan et al. 2014)
    "deconvnet": ReluRule(by_activation=False, by_signal=True),  # Zeiler & Fergus 2014
    "guided": ReluRule(by_activation=True, by_signal=True),  # Springenberg et al. 2015
}


def _dense(signal: tf.Tensor | tf.IndexedSlices, x: tf.Tensor) -> tf.Tensor:
    """The signal at x, of the shape of x.

    Where x is read by a gather along its first axis, TensorFlow gives what comes back as pieces and their places.
    (It would put them together itself, but warns of the memory where it does not know the shape.)
    """
    if not isinstance(signal, tf.IndexedSlices):
        return signal
    size = tf.shape(x, out_type=signal.indices.dtype)[0]
    result = tf.unsorted_segment_sum(signal.values, signal.indices, size)  # places may be there several times
    result.set_shape(x.shape)
    return result


def _passed_back(op: tf.Operation, signal: tf.Tensor | tf.IndexedSlices, gate: Gate) -> tf.Tensor:
    """The signal under the rule in force; `gate` is the ReLU's true gradient, of the signal and what it gave."""
    rule = RULES[_rule.get()]
    signal = _dense(signal, op.outputs[0])
    if rule.by_activation:
        signal = gate(gradients=signal, features=op.outputs[0])
    if rule.by_signal:
        # ReluGrad(g, g) is g where g > 0: no forward ReLU is added that would itself need a mark.
        signal = tf.raw_ops.ReluGrad(gradients=signal, features=signal)
    return signal


@tf.RegisterGradient("GuidedRelu")
def _guided_relu(op: tf.Operation, signal: tf.Tensor) -> tf.Tensor:
    return _passed_back(op, signal, tf.raw_ops.ReluGrad)


@tf.RegisterGradient("GuidedRelu6")
def _guided_relu6(op: tf.Operation, signal: tf.Tensor) -> tf.Tensor:
    return _passed_back(op, signal, tf.raw_ops.Relu6Grad)


def marked_relus(graph: tf.Graph) -> contextlib.AbstractContextManager[None]:
    """Marks every ReLU that is added to `graph` in this context, so that `gradients` can rule it."""
    return graph.gradient_override_map(MARKS)


def gradients(ys: tf.Tensor, xs: Sequence[tf.Tensor], rule: str) -> list[tf.Tensor]:
    """Differentiates `sum(ys)` with respect to each of `xs`, every ReLU passing back under `rule`.

    Args:
        ys: a tensor of any shape.
        xs: tensors that `ys` depends on.
        rule: `"backprop"` (the true gradient), `"deconvnet"` or `"guided"`.

    Returns:
        One tensor per x, of the shape of x.

    Raises:
        KeyError: the rule is not one of `RULES`.
        ValueError: a ReLU between `xs` and `ys` is not marked; the rule is not defined there (`refusal`);
            or `ys` does not depend on an x.
    """
    xs = list(xs)
    if reason := refusal(ys, xs, rule):
        raise BadValue(reason)
    between = signal_path(ys, xs)
    _check_marked(between)
    tokens = _rule.set(rule), _on_the_way.set({*between, *(x.op for x in xs)})
    try:
        with ys.graph.as_default():
            result = [g if g is None else _dense(g, x) for g, x in zip(_true(ys, xs), xs)]
    finally:
        _rule.reset(tokens[0])
        _on_the_way.reset(tokens[1])
    for x, gradient in zip(xs, result):
        if gradient is None:
            raise BadValue(f"{ys.name} does not depend on {x.name}: there is no gradient between them")
    return result


def is_asked(tensor: tf.Tensor) -> bool:
    """Whether the gradient that is being built needs that of a tensor, for registered gradients of several inputs.

    Of a network's parameters `gradients` hardly ever does, and operations that nobody runs take time to build too;
    of TensorFlow's own `tf.gradients` it is not known, and the answer is yes.
    """
    on_the_way = _on_the_way.get()
    return on_the_way is None or tensor.op in on_the_way


def _true(ys: tf.Tensor, xs: Sequence[tf.Tensor]) -> list[tf.Tensor | tf.IndexedSlices | None]:
    """TensorFlow's gradients.

    Raises:
        ValueError: an operation on the way has none; in one sentence, with its name and type.
    """
    try:
        return list(tf.gradients(ys, xs))
    except (LookupError, AttributeError, TypeError, ValueError, NotImplementedError, tf.errors.OpError) as error:
        between = signal_path(ys, xs)
        # TensorFlow names what it has no gradient for; where it stumbles over a loop it does not.
        named = [op for op in between if f"'{op.name}'" in str(error)]
        found = named or [op for op in between if op.type in _LOOPS]
        if not found:
            raise
        raise BadValue(
            f"there is no gradient between {_names(xs)} and {ys.name}: TensorFlow has none for {found[0].name!r} "
            f"({found[0].type}); give a layer after it"
        ) from error


def refusal(ys: tf.Tensor, xs: Sequence[tf.Tensor], rule: str = "guided") -> str | None:
    """Asks before: why `gradients(ys, xs, rule)` would refuse, as the rule is not defined for what lies between.

    Returns:
        The text of the error, which names the first operation that is neither linear nor a rectifier, what it
        is, and how many there are of which kinds; None if the rule is defined, as `"backprop"` always is.

    Raises:
        KeyError: the rule is not one of `RULES`.
    """
    check_name("ReLU rule", rule, RULES)
    reason = undefined(ys, xs) if RULES[rule].by_signal else None
    return reason and f"the rule {rule!r} is not defined between {_names(xs)} and {ys.name}: {reason}"


def _names(tensors: Sequence[tf.Tensor]) -> str:
    return ", ".join(tensor.name for tensor in tensors)


def _check_marked(between: Sequence[tf.Operation]) -> None:
    """An unmarked ReLU on the way would ignore the rule in silence."""
    unmarked = [op.name for op in between if op.type in MARKS and _mark(op) != MARKS[op.type]]
    if unmarked:
        raise BadValue(
            f"{len(unmarked)} ReLU(s) are not marked with GuidedRelu and would ignore the rule, the first being "
            f"{unmarked[0]!r}: build the network under slim_models.marked_relus(graph)"
        )


def _mark(op: tf.Operation) -> str | None:
    try:
        return op.get_attr("_gradient_op_type").decode()
    except ValueError:  # TensorFlow's way to say that the attribute is absent
        return None


def marked(graph_def: tf.GraphDef) -> tf.GraphDef:
    """A copy that can be imported and differentiated under any rule of `RULES`.

    Every Relu and Relu6 gets the mark `marked_relus` gives. Every other mark goes, whatever is registered
    under its name here: `CustomGradient-17`, as `tf.custom_gradient` and `tf.nn.silu` leave it in a file, is
    the seventeenth gradient of the process that wrote the file, and of this one another's or nobody's. What
    is left is the gradient of the operations themselves, which is the true one.

    Args:
        graph_def: the graph; the functions of its library lose their marks but get none.

    Returns:
        The copy, with the library and the versions.
    """
    result = tf.GraphDef()
    result.CopyFrom(graph_def)
    for node in result.node:
        node.attr.pop(_MARK, None)
        if node.op in MARKS:
            node.attr[_MARK].s = MARKS[node.op].encode()
    for function in result.library.function:
        for node in function.node_def:
            node.attr.pop(_MARK, None)
    return result
