"""Convolutions in groups and with dilation: values and gradients are those of NumPy's sum over the kernel's taps."""

import itertools

import numpy as np
import pytest
import tensorflow as tf2
import tensorflow.compat.v1 as tf

from slim_models.loading.passes.channels_last import channels_last
from slim_models.loading.passes.graph import Graph, imported
from slim_models.loading.passes.inlined import inlined
from slim_models.loading.passes.loops import while_contexts
from slim_models.loading.passes.plain_convolutions import plain_convolutions

SIDES = [[0, 0], [2, 1], [0, 3], [0, 0]]


def numbers(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def by_taps(images, kernel, signal, groups=1, strides=(1, 1), dilation=(1, 1), padding="SAME"):
    """The convolution of images, and the gradient of sum(signal * convolution) with respect to them.

    `signal` is a function of a shape. Each tap of the kernel multiplies one slice of the padded images.
    """
    spans = [(size - 1) * rate + 1 for size, rate in zip(kernel.shape, dilation)]
    sides = padding
    if padding == "SAME":
        totals = [
            max((-(-size // step) - 1) * step + span - size, 0)
            for size, step, span in zip(images.shape[1:3], strides, spans)
        ]
        sides = [[0, 0], *([total // 2, total - total // 2] for total in totals), [0, 0]]
    padded = images if padding == "VALID" else np.pad(images, sides)
    sizes = [(size - span) // step + 1 for size, span, step in zip(padded.shape[1:3], spans, strides)]
    inputs, outputs = kernel.shape[2], kernel.shape[3] // groups
    convolved = np.zeros([len(images), *sizes, groups * outputs])
    gradient, signal = np.zeros_like(padded), signal(convolved.shape)
    for tap in itertools.product(*map(range, kernel.shape[:2])):
        starts = [place * rate for place, rate in zip(tap, dilation)]
        rows, columns = (slice(a, a + (n - 1) * step + 1, step) for a, n, step in zip(starts, sizes, strides))
        for group in range(groups):
            read = (slice(None), rows, columns, slice(group * inputs, (group + 1) * inputs))
            made = slice(group * outputs, (group + 1) * outputs)
            convolved[..., made] += padded[read] @ kernel[tap][:, made]
            gradient[read] += signal[..., made] @ kernel[tap][:, made].T
    kept = [] if padding == "VALID" else [slice(a, size - b) for (a, b), size in zip(sides, padded.shape)]
    return convolved, gradient[tuple(kept)]


def graph_of(build, shape, dtype=tf.float64):
    with tf.Graph().as_default() as graph:
        tf.identity(build(tf.placeholder(dtype, shape, name="x")), name="y")
    return Graph(graph.as_graph_def())


def agrees(graph, images, expected, tolerance=1e-12):
    """Of a graph with x and y: what comes out, and the gradient of the sum of it times `numbers`."""
    convolved, gradient = expected
    with tf.Graph().as_default(), tf.Session() as session:
        x, y = imported(graph.graph_def, None, ["x:0", "y:0"], "", while_contexts(graph))
        signal = tf.constant(numbers(convolved.shape, 9), y.dtype)
        found = session.run([tf.cast(t, tf.float64) for t in (y, *tf.gradients(y * signal, x))], {x: images})
    for array, other in zip(found, (convolved, gradient)):
        np.testing.assert_allclose(array, other, rtol=tolerance, atol=tolerance * np.abs(other).max())


def signal(shape):
    return numbers(shape, 9)


@pytest.mark.parametrize("padding", ["SAME", "VALID", SIDES], ids=["same", "valid", "explicit"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 3)])
@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("known", [True, False])
def test_values_and_gradients(groups, dilation, strides, padding, known):
    images, kernel = numbers([2, 11, 14, 6]), numbers([3, 2, 6 // groups, 12], 1)
    sides = padding if isinstance(padding, str) else "EXPLICIT"
    more = {"explicit_paddings": [side for sides in padding for side in sides]} if sides == "EXPLICIT" else {}

    def build(x):
        return tf.raw_ops.Conv2D(
            input=x, filter=kernel, strides=[1, *strides, 1], dilations=[1, *dilation, 1], padding=sides, **more
        )

    graph = graph_of(build, [None, 11, 14, 6] if known else [None, None, None, 6])
    plain = plain_convolutions(graph)
    assert (plain is graph) == (groups == 1 and dilation == (1, 1))
    assert plain.nodes["Conv2D"].op == {1: "Conv2D", 2: "ConcatV2", 6: "DepthwiseConv2dNative"}[groups] or (
        dilation != (1, 1)
    )
    agrees(plain, images, by_taps(images, kernel, signal, groups, strides, dilation, padding))


@pytest.mark.parametrize("padding", ["SAME", "VALID", SIDES], ids=["same", "valid", "explicit"])
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_depthwise_with_dilation(dtype, strides, padding):
    """Whose own gradient is silently another's (float32, oneDNN), or does not exist."""
    images, kernel = numbers([2, 11, 14, 3]).astype(np.float32), numbers([3, 3, 3, 2], 1).astype(np.float32)
    sides = padding if isinstance(padding, str) else "EXPLICIT"
    more = {"explicit_paddings": [side for sides in padding for side in sides]} if sides == "EXPLICIT" else {}

    def build(x):
        return tf.raw_ops.DepthwiseConv2dNative(
            input=x,
            filter=tf.cast(kernel, dtype),
            strides=[1, strides, strides, 1],
            dilations=[1, 2, 2, 1],
            padding=sides,
            **more,
        )

    plain = plain_convolutions(graph_of(build, [None, None, None, 3], dtype))
    expected = by_taps(images.astype(float), kernel.reshape(3, 3, 1, 6), signal, 3, (strides, strides), (2, 2), padding)
    agrees(plain, images, expected, 1e-5)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float32])
@pytest.mark.parametrize("groups", [2, 4])
def test_types_in_which_there_is_no_gradient(dtype, groups):
    images, kernel = numbers([1, 6, 6, 4]), numbers([3, 3, 4 // groups, 4], 1)
    graph = graph_of(lambda x: tf.nn.conv2d(x, tf.cast(kernel, dtype), 1, "SAME"), [None, 6, 6, 4], dtype)
    tolerance = {tf.float16: 5e-3, tf.bfloat16: 4e-2, tf.float32: 1e-5}[dtype]
    agrees(plain_convolutions(graph), images, by_taps(images, kernel, signal, groups), tolerance)


@pytest.mark.parametrize("groups", [2, 4])
def test_channels_first(groups):
    images, kernel = numbers([2, 7, 8, 4]), numbers([3, 3, 4 // groups, 8], 1)

    def build(x):
        net = tf.transpose(x, [0, 3, 1, 2])
        net = tf.nn.conv2d(net, kernel, [1, 1, 2, 2], "SAME", data_format="NCHW")
        return tf.transpose(net, [0, 2, 3, 1])

    plain = plain_convolutions(channels_last(graph_of(build, [None, 7, 8, 4])))
    agrees(plain, images, by_taps(images, kernel, signal, groups, (2, 2)))


@pytest.mark.parametrize("groups", [2, 4])
def test_in_a_function_that_is_to_be_compiled(groups):
    """As Keras 3 calls every grouped convolution on a CPU."""
    images, kernel = numbers([2, 7, 8, 4]), numbers([3, 3, 4 // groups, 8], 1)

    @tf2.function(jit_compile=True, autograph=False)
    def compiled(x):
        return tf.nn.conv2d(x, kernel, 2, "SAME", name="inside")

    outer = tf2.function(lambda x: compiled(x) * 2.0, autograph=False)
    graph = inlined(graph_of(outer, [None, 7, 8, 4]), ["y"])
    assert not any("_XlaMustCompile" in node.attr or "Call" in node.op for node in graph.graph_def.node)
    expected = by_taps(images, kernel, signal, groups, (2, 2))
    agrees(plain_convolutions(graph), images, [2 * array for array in expected])


def test_in_a_loop():
    """In a loop's frame constants wait for what is in it."""
    images, kernel = numbers([2, 7, 8, 4]), numbers([3, 3, 4, 4], 1)
    before = tf.control_flow_v2_enabled()
    tf.disable_control_flow_v2()
    try:
        graph = graph_of(
            lambda x: tf.while_loop(
                lambda i, _: i < 2, lambda i, net: (i + 1, tf.nn.conv2d(net, kernel, 1, "SAME", dilations=2)), [0, x]
            )[1],
            [None, 7, 8, 4],
        )
    finally:
        (tf.enable_control_flow_v2 if before else tf.disable_control_flow_v2)()
    plain = plain_convolutions(graph)
    assert "SpaceToBatchND" in {node.op for node in plain.graph_def.node}
    once, _ = by_taps(images, kernel, signal, dilation=(2, 2))
    twice, at_once = by_taps(once, kernel, signal, dilation=(2, 2))
    agrees(plain, images, (twice, by_taps(images, kernel, lambda _: at_once, dilation=(2, 2))[1]))


def test_others_stay_and_the_graph_with_them():
    kernel = numbers([3, 3, 4, 4], 1)

    def build(x):
        return tf.nn.depthwise_conv2d(tf.nn.conv2d(x, kernel, 1, "SAME"), kernel, [1, 1, 1, 1], "SAME")

    graph = graph_of(build, [None, 6, 6, 4])
    assert plain_convolutions(graph) is graph


def test_who_waits_for_a_convolution_and_what_it_waits_for():
    def build(x):
        kernel = tf.constant(numbers([3, 3, 2, 4], 1))
        with tf.control_dependencies([tf.identity(x, name="before")]):
            net = tf.nn.conv2d(x, kernel, 1, "SAME", name="net")
        with tf.control_dependencies([net]):
            return tf.negative(x, name="after")

    plain = plain_convolutions(graph_of(build, [None, 6, 6, 4]))
    assert plain.nodes["net"].op == "ConcatV2"
    assert "^before" in plain.nodes["net"].input and "^net" in plain.nodes["after"].input
    assert {name for name in plain.nodes if name.startswith("net/")} >= {"net/split", "net/split_1", "net/Conv2D"}
