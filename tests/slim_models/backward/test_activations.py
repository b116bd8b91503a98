"""Activations other than Relu and Relu6: the true gradient works for all, the other rules say why they do not."""

import numpy as np
import pytest
import tensorflow as tf2
import tensorflow.compat.v1 as tf
from loaded import differences, graph_def_of, loaded, run

import slim_models
from slim_models.backward.rules import refusal

POINTS = np.array([[-3.7, -1.3, -0.3, 0.4, 2.1, 6.8]])
ALPHAS = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


def softmax_of_primitives(x):
    exponentials = tf.exp(x - tf.reduce_max(x, 1, keepdims=True))
    return exponentials / tf.reduce_sum(exponentials, 1, keepdims=True)


def primitive_sigmoid_gate(x):
    return x * tf.sigmoid(tf.reduce_mean(x, 1, keepdims=True))


REFUSED = {
    "LeakyRelu": (tf.nn.leaky_relu, "a LeakyRelu (1)"),
    "Elu": (tf.nn.elu, "an Elu (1)"),
    "Selu": (tf.nn.selu, "a Selu (1)"),
    "Softplus": (tf.nn.softplus, "a Softplus (1)"),
    "Softsign": (tf.nn.softsign, "a Softsign (1)"),
    "Sigmoid": (tf.sigmoid, "a Sigmoid (1)"),
    "Tanh": (tf.tanh, "a Tanh (1)"),
    "Exp": (tf.exp, "an Exp (1)"),
    "tf.nn.silu": (lambda x: tf.nn.silu(x, beta=1.5), "the gate of a Swish (1)"),
    "Swish": (lambda x: x * tf.sigmoid(x), "the gate of a Swish (1)"),
    "HardSwish, TF-slim": (lambda x: x * tf.nn.relu6(x + 3) * (1 / 6), "the gate of a HardSwish (1)"),
    "HardSwish, Keras": (lambda x: x * (tf.nn.relu6(x + 3) * (1 / 6)), "the gate of a HardSwish (1)"),
    "HardSwish, Keras 3": (lambda x: x * (tf.nn.relu6(x + 3) / 6), "the gate of a HardSwish (1)"),
    "HardSwish, folded": (lambda x: (x + ALPHAS) * tf.nn.relu6(x + (3 + ALPHAS)) / 6, "the gate of a HardSwish (1)"),
    "hard sigmoid": (lambda x: tf.nn.relu6(x + 3) / 6, "a hard sigmoid (1)"),
    "hard sigmoid, clipped": (lambda x: tf.clip_by_value(0.2 * x + 0.5, 0, 1), "a Minimum (1), a Maximum (1)"),
    "PReLU, Keras": (lambda x: tf.nn.relu(x) + -ALPHAS * tf.nn.relu(-x), "half of a PReLU (2)"),
    "PReLU, negated in the graph": (
        lambda x: tf.nn.relu(x) + tf.negative(tf.constant(ALPHAS, x.dtype)) * tf.nn.relu(-x),
        "half of a PReLU (2)",
    ),
    "PReLU, difference": (lambda x: tf.nn.relu(x) - ALPHAS * tf.nn.relu(-x), "half of a PReLU (2)"),
    "PReLU, absolute": (lambda x: tf.nn.relu(x) + ALPHAS * (x - abs(x)) * 0.5, "half of a PReLU (1), an Abs (1)"),
    "leaky, absolute": (lambda x: 0.6 * x + 0.4 * tf.abs(x), "an Abs (1)"),
    "GELU": (tf2.nn.gelu, "the gate of a GELU (1)"),
    "GELU by tanh": (lambda x: tf2.nn.gelu(x, approximate=True), "the gate of a GELU (1)"),
    "Mish": (lambda x: x * tf.tanh(tf.nn.softplus(x)), "part of a Mish (1), the gate of a Mish (1)"),
    "Maximum": (lambda x: tf.maximum(x, 0), "a Maximum (1)"),
    "leaky Maximum": (lambda x: tf.maximum(x, 0.1 * x), "a Maximum (1)"),
    "Select": (lambda x: tf.where(x > 0, x, 0.1 * x), "a Select (1)"),
    "SelectV2": (lambda x: tf2.where(x > 0, x, 0.1 * x), "a SelectV2 (1)"),
    "mask": (lambda x: x * tf.cast(x > 1, x.dtype), "a product with a comparison (1)"),
    "squeeze and excitation": (primitive_sigmoid_gate, "a Sigmoid (1)"),
}

ALLOWED = {
    "Relu": tf.nn.relu,
    "Relu6": tf.nn.relu6,
    "softmax": tf.nn.softmax,
    "softmax in primitives": softmax_of_primitives,
    "normalised": lambda x: tf.nn.l2_normalize(x, 1),
    "concatenated ReLU": tf.nn.crelu,
    "concatenated ReLUs": lambda x: tf.concat([tf.nn.relu(x), tf.nn.relu(-x)], 1),
    "residual": lambda x: x + tf.nn.relu(tf.matmul(x, tf.eye(6, dtype=x.dtype))),
    "scaled, shifted": lambda x: tf.nn.relu6(x * 1.5 + ALPHAS) * 0.5 - 1,
    "the same choice for all": lambda x: tf2.where(tf.constant([True, False] * 3), x, 0.5 * x),
    "indices": lambda x: tf.gather(x, tf.maximum(tf.minimum(tf.shape(x)[1] - 2, 3), 0), axis=1),
    "position of the largest": lambda x: x * tf.cast(tf.maximum(tf.argmax(x, 1), 2), x.dtype)[:, None],
    "stopped": lambda x: x * tf.stop_gradient(tf.sigmoid(x)),
    "statistics": lambda x: x * tf.rsqrt(tf.maximum(tf.constant(ALPHAS, x.dtype), 0.25)),
}


@pytest.mark.parametrize("name", REFUSED | ALLOWED)
def test_backprop_is_the_true_gradient(name):
    function = REFUSED[name][0] if name in REFUSED else ALLOWED[name]
    x, y = loaded(graph_def_of(function, dtype=tf.float64))
    (gradient,) = slim_models.gradients(y, [x], "backprop")
    held = 1 / (1 + np.exp(-POINTS))
    expected = held if name == "stopped" else differences(x, y, POINTS)
    np.testing.assert_allclose(run(gradient, {x: POINTS}), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", REFUSED)
def test_other_nonlinearities_are_refused_by_name(name):
    function, counts = REFUSED[name]
    x, y = loaded(graph_def_of(function))
    reason = refusal(y, [x])
    assert reason.endswith(
        f"nonlinearities between: {counts}. Guided backprop and deconvnet are defined for Relu and Relu6 only "
        "(Springenberg et al. 2015, fig. 1); Grad-CAM and the rule 'backprop', the true gradient, still work"
    )
    assert refusal(y, [x], "backprop") is None
    with pytest.raises(ValueError) as raised:
        slim_models.gradients(y, [x], "guided")
    assert str(raised.value) == reason


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_linear_or_normalises_or_is_no_signal_is_not_refused(name):
    x, y = loaded(graph_def_of(ALLOWED[name]))
    assert refusal(y, [x]) is None
    slim_models.gradients(y, [x], "deconvnet")


def mixed(x):
    net = tf.nn.relu(x, name="first")
    net = tf.nn.relu6(net, name="second")
    net = net * (tf.nn.relu6(net + 3, name="gate") / 6)
    net = tf.nn.leaky_relu(net, name="leaky")
    net = tf.identity(tf.nn.leaky_relu(net), name="middle")
    return tf.nn.relu(net, name="last")


def test_the_text_names_the_rule_the_first_operation_and_counts_the_kinds():
    x, y = loaded(graph_def_of(mixed))
    with pytest.raises(ValueError) as raised:
        slim_models.gradients(y, [x], "deconvnet")
    assert str(raised.value).startswith(
        "the rule 'deconvnet' is not defined between x:0 and y:0: 'gate' is the gate of a HardSwish, the first of 3 "
        "operation(s) of other nonlinearities between: the gate of a HardSwish (1), a LeakyRelu (2). "
    )


def test_only_what_lies_between_counts():
    x, y = loaded(graph_def_of(mixed))
    middle = x.graph.get_tensor_by_name("middle:0")
    points = np.array([[-1, 2, -3, 4, 5, -6]], np.float32)
    (gradient,) = slim_models.gradients(y, [middle], "guided")
    np.testing.assert_array_equal(run(gradient, {middle: points}), [[0, 1, 0, 1, 1, 0]])
    first, second = (x.graph.get_tensor_by_name(f"{name}:0") for name in ("first", "second"))
    assert refusal(second, [x, first]) is None
    assert "of 3 operation(s)" in refusal(y, [middle, x])  # both ways count


def test_a_branch_beside_the_path_is_not_refused():
    def function(x):
        tf.tanh(x, name="not_read")
        return tf.nn.relu(x) * tf.sigmoid(tf.constant(ALPHAS, tf.float32))

    x, y = loaded(graph_def_of(function))
    assert refusal(y, [x]) is None


def test_pooling_and_normalisation_pass_the_true_gradient():
    def function(x):
        net = tf.nn.lrn(tf.nn.relu(x), 2)
        ones = tf.ones([3])
        net = tf.nn.fused_batch_norm(net, ones, ones, ones, ones, is_training=False)[0]
        net = tf.nn.avg_pool2d(tf.nn.max_pool2d(net, 2, 2, "SAME"), 2, 2, "SAME")
        return tf.nn.softmax(tf.reduce_max(net, [1, 2]))

    x, y = loaded(graph_def_of(function, (1, 8, 8, 3)))
    assert refusal(y, [x]) is None


@pytest.mark.parametrize(("function", "refused"), [(tf.nn.relu, True), (tf.square, False)])
def test_a_function_call_is_refused_for_a_relu_inside(function, refused):
    @tf2.function(autograph=False)
    def inner(x):
        return x * function(x)

    @tf2.function(autograph=False)
    def outer(x):
        return 2 * inner(x)

    x, y = loaded(graph_def_of(outer))
    assert "PartitionedCall" in {op.type.removeprefix("Stateful") for op in x.graph.get_operations()}
    reason = refusal(y, [x])
    assert ("is a call of a function with Relu inside, where no rule reaches" in str(reason)) == refused
    (gradient,) = slim_models.gradients(y, [x], "backprop")
    points = np.array([[-3, -1, 0, 1, 2, 4]], np.float32)
    expected = 4 * np.maximum(points, 0) if refused else 6 * points**2  # of 2 x relu(x), 2 x^3
    np.testing.assert_allclose(run(gradient, {x: points}), expected, rtol=1e-6)


@pytest.mark.parametrize("rule", slim_models.RULES)
def test_the_rules_of_relu6_row_by_row(rule):
    rows = [  # incoming signal, input, result under backprop, deconvnet, guided
        (2, -1, 0, 2, 0),
        (-2, -1, 0, 0, 0),
        (2, 3, 2, 2, 2),
        (-2, 3, -2, 0, 0),
        (2, 7, 0, 2, 0),
        (-2, 7, 0, 0, 0),
    ]
    incoming, inputs, *results = np.array(rows, np.float32).T
    x, y = loaded(graph_def_of(lambda x: tf.nn.relu6(x) * incoming))
    (gradient,) = slim_models.gradients(y, [x], rule)
    expected = dict(zip(("backprop", "deconvnet", "guided"), results, strict=True))[rule]
    np.testing.assert_array_equal(run(gradient, {x: inputs[None]})[0], expected)
