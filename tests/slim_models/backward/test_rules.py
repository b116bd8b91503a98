"""The three rules: against NumPy, against unmarked graphs, and as a switch."""

import threading

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import slim_models
from slim_models.backward.rules import marked_relus
from slim_models.mistakes import BadValue


def relu_of(inputs, activation=tf.nn.relu, marked=True):
    """A graph with one activation, fed `inputs`: (inputs, outputs) as tensors."""
    graph = tf.Graph()
    with graph.as_default():
        x = tf.constant(inputs, tf.float32)
        if not marked:
            return x, activation(x)
        with marked_relus(graph):
            return x, activation(x)


def run(tensors):
    first = tensors[0] if isinstance(tensors, list) else tensors
    with tf.Session(graph=first.graph) as session:
        return session.run(tensors)


@pytest.mark.parametrize(
    ("rule", "passed"),
    [
        # Fig. 1 of Springenberg et al. 2015: input (-1, -1, 2, 2), signal (-3, 3, -3, 3).
        ("backprop", [0, 0, -3, 3]),  # where the input was open, whatever the signal
        ("deconvnet", [0, 3, 0, 3]),  # where the signal is positive, whatever the input
        ("guided", [0, 0, 0, 3]),  # both
    ],
)
def test_each_rule_on_the_four_cases(rule, passed):
    x, y = relu_of([-1, -1, 2, 2])
    with x.graph.as_default():
        score = y * tf.constant([-3.0, 3, -3, 3])
    (gradient,) = slim_models.gradients(score, [x], rule)
    np.testing.assert_array_equal(run(gradient), passed)


@pytest.mark.parametrize(
    ("rule", "passed"),
    [("backprop", [0, -1, 1, 0]), ("deconvnet", [1, 0, 1, 1]), ("guided", [0, 0, 1, 0])],
)
def test_relu6_is_also_closed_above_six(rule, passed):
    x, y = relu_of([-1, 3, 3, 7], tf.nn.relu6)
    with x.graph.as_default():
        score = y * tf.constant([1.0, -1, 1, 1])
    (gradient,) = slim_models.gradients(score, [x], rule)
    np.testing.assert_array_equal(run(gradient), passed)


def deep(marked):
    """Three layers of ReLUs on random matrices: (input, output, matrices)."""
    rng = np.random.default_rng(1)
    matrices = [rng.standard_normal(shape).astype(np.float32) for shape in ((6, 9), (9, 7), (7, 5))]
    graph = tf.Graph()
    with graph.as_default(), graph.gradient_override_map({"Relu": "GuidedRelu"} if marked else {}):
        x = net = tf.constant(rng.standard_normal((4, 6)), tf.float32)
        for matrix in matrices:
            net = tf.nn.relu(tf.matmul(net, tf.constant(matrix)))
    return x, net, matrices


def oracle(inputs, matrices, rule):
    """The same backward pass in NumPy, written from the definitions of the three methods."""
    activations = []
    net = inputs
    for matrix in matrices:
        net = np.maximum(net @ matrix, 0)
        activations.append(net)
    signal = np.ones_like(net)
    for matrix, activation in zip(matrices[::-1], activations[::-1], strict=True):
        if rule != "deconvnet":
            signal = np.where(activation > 0, signal, 0)
        if rule != "backprop":
            signal = np.where(signal > 0, signal, 0)
        signal = signal @ matrix.T
    return signal


@pytest.mark.parametrize("rule", slim_models.RULES)
def test_a_deep_network_follows_the_numpy_oracle(rule):
    x, y, matrices = deep(marked=True)
    inputs, got = run([x, slim_models.gradients(y, [x], rule)[0]])
    np.testing.assert_allclose(got, oracle(inputs, matrices, rule), rtol=1e-5, atol=1e-6)


def test_backprop_is_bit_equal_to_a_graph_that_was_never_marked():
    x, y, _ = deep(marked=True)
    plain_x, plain_y, _ = deep(marked=False)
    with plain_x.graph.as_default():
        (plain,) = tf.gradients(plain_y, [plain_x])
    np.testing.assert_array_equal(run(slim_models.gradients(y, [x], "backprop")[0]), run(plain))


def test_bare_tf_gradients_act_guided_as_the_name_says():
    x, y, _ = deep(marked=True)
    with x.graph.as_default():
        (bare,) = tf.gradients(y, [x])
    np.testing.assert_array_equal(run(bare), run(slim_models.gradients(y, [x], "guided")[0]))


class TestTheSwitch:
    def results(self, rules):
        x, y, _ = deep(marked=True)
        return [run(slim_models.gradients(y, [x], rule)[0]) for rule in rules]

    def test_rules_in_a_row_do_not_leak(self):
        first, other, again = self.results(["backprop", "guided", "backprop"])
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)

    def test_the_rule_is_back_after_an_exception(self):
        x, y, _ = deep(marked=True)
        guided = run(slim_models.gradients(y, [x], "guided")[0])
        with x.graph.as_default():
            unrelated = tf.constant(1.0)
        with pytest.raises(ValueError, match="does not depend on"):
            slim_models.gradients(y, [unrelated], "deconvnet")
        with x.graph.as_default():
            (bare,) = tf.gradients(y, [x])
        np.testing.assert_array_equal(run(bare), guided)

    def test_nested_calls_each_keep_their_own(self):
        """A gradient function that itself asks for gradients under another rule."""
        x, y, _ = deep(marked=True)
        inner = []

        @tf.RegisterGradient("AsksForAnother")
        def asks(op, signal):
            inner.extend(slim_models.gradients(y, [x], "deconvnet"))
            return signal

        graph = x.graph
        with graph.as_default(), graph.gradient_override_map({"Identity": "AsksForAnother"}):
            top = tf.identity(y)
        outer = slim_models.gradients(top, [x], "backprop")
        expected = self.results(["backprop", "deconvnet"])
        for got, want in zip([outer[0], inner[0]], expected, strict=True):
            np.testing.assert_array_equal(run(got), want)

    def test_threads_do_not_see_each_other(self):
        rules = list(slim_models.RULES) * 4
        expected = dict(zip(slim_models.RULES, self.results(slim_models.RULES), strict=True))
        results = [None] * len(rules)

        def work(i):
            results[i] = self.results([rules[i]])[0]

        threads = [threading.Thread(target=work, args=(i,)) for i in range(len(rules))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for rule, result in zip(rules, results, strict=True):
            np.testing.assert_array_equal(result, expected[rule])


def test_an_unmarked_relu_is_an_error_that_names_it():
    x, y = relu_of([1.0], marked=False)
    with pytest.raises(ValueError, match="not marked.*'Relu'"):
        slim_models.gradients(y, [x], "guided")


def test_an_unmarked_relu_behind_another_x_is_found_too():
    graph = tf.Graph()
    with graph.as_default():
        first = tf.constant([1.0])
        second = tf.nn.relu(first)
        with marked_relus(graph):
            y = tf.nn.relu(second)
    slim_models.gradients(y, [second], "guided")
    with pytest.raises(ValueError, match="'Relu'"):
        slim_models.gradients(y, [second, first], "guided")


def test_the_marks_survive_freezing_and_import():
    """Any graph, with no file in between (PAIR's saliency copies through /tmp and fails on a frozen graph)."""
    graph = tf.Graph()
    with graph.as_default(), marked_relus(graph), tf.Session() as session:
        x = tf.constant([[-1.0, 2, 3, 4]], name="x")
        matrix = tf.get_variable("matrix", initializer=np.random.default_rng(0).standard_normal((4, 4), np.float32))
        y = tf.nn.relu(tf.matmul(tf.nn.relu(x), matrix), name="y")
        session.run(tf.global_variables_initializer())
        expected = session.run({rule: slim_models.gradients(y, [x], rule)[0] for rule in slim_models.RULES})
        frozen = tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["y"])
    with tf.Graph().as_default(), tf.Session() as session:
        x, y = tf.import_graph_def(frozen, return_elements=["x:0", "y:0"])
        got = session.run({rule: slim_models.gradients(y, [x], rule)[0] for rule in slim_models.RULES})
    for rule, gradient in expected.items():
        np.testing.assert_allclose(got[rule], gradient, rtol=1e-6)
    assert not np.array_equal(expected["guided"], expected["deconvnet"])


def test_guided_gradients_add_no_relu_that_would_need_a_mark():
    x, y, _ = deep(marked=True)
    slim_models.gradients(y, [x], "guided")
    slim_models.gradients(y, [x], "deconvnet")
    assert sum(op.type == "Relu" for op in x.graph.get_operations()) == 3


def test_an_unknown_rule_lists_the_choices():
    x, y = relu_of([1.0])
    with pytest.raises(KeyError, match="'excitation'.*backprop, deconvnet, guided"):
        slim_models.gradients(y, [x], "excitation")


def test_what_has_no_gradient_is_named_with_its_type():
    """In place of TensorFlow's LookupError."""
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [None, 3], name="x")
        y = tf.identity(tf.raw_ops.TruncateMod(x=x * 2.0, y=3.0, name="left"), name="y")
    message = r"no gradient between x:0 and y:0: TensorFlow has none for 'left' \(TruncateMod\); give a layer after it"
    with pytest.raises(BadValue, match=message):
        slim_models.gradients(y, [x], "backprop")


def test_an_error_of_ours_is_not_taken_for_a_missing_gradient():
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [None, 3])
        y = x * 2.0
        with pytest.raises(AttributeError):
            slim_models.gradients(y, ["x"], "backprop")
