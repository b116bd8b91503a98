"""Fused nodes written out again, beside the fused operations themselves and NumPy."""

import math

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from loaded import run
from tensorflow.python.grappler import tf_optimizer

import slim_models
from slim_models.backward.rules import marked
from slim_models.loading.passes.graph import Graph
from slim_models.loading.passes.unfused import unfused

RNG = np.random.default_rng(5)
IMAGES = RNG.standard_normal((2, 6, 6, 3)).astype(np.float32)
CONVOLUTION = {
    "T": tf.float32,
    "strides": [1, 2, 2, 1],
    "padding": b"SAME",
    "data_format": b"NHWC",
    "dilations": [1, 1, 1, 1],
}
ACTIVATIONS = ["Relu", "Relu6", "Elu", "LeakyRelu"]


def rewritten(graph_def):
    return unfused(Graph(graph_def)).graph_def


def attribute(value):
    if isinstance(value, bool):
        return tf.AttrValue(b=value)
    if isinstance(value, list):
        kind = {int: "i", bytes: "s", tf.DType: "type"}[type(value[0])]
        values = [v.as_datatype_enum if kind == "type" else v for v in value]
        return tf.AttrValue(list=tf.AttrValue.ListValue(**{kind: values}))
    kind = {int: "i", float: "f", bytes: "s", tf.DType: "type"}[type(value)]
    return tf.AttrValue(**{kind: value.as_datatype_enum if kind == "type" else value})


def fused_graph(op, parameters, shape=IMAGES.shape, **attributes):
    """A GraphDef of the placeholder x, the parameters and one fused node y that reads them all."""
    with tf.Graph().as_default() as graph:
        tf.placeholder(tf.float32, shape, name="x")
        names = [tf.constant(array, tf.float32, name=f"p{i}").op.name for i, array in enumerate(parameters)]
        tf.no_op(name="before")
        graph_def = graph.as_graph_def()
    node = graph_def.node.add(name="y", op=op, input=["x", *names, "^before"])
    for name, value in attributes.items():
        node.attr[name].CopyFrom(attribute(value))
    return graph_def


def array(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def result(graph_def, feed):
    with tf.Graph().as_default():
        x, y = tf.import_graph_def(graph_def, return_elements=["x:0", "y:0"])
        return run(y, {x: feed})


def checked(graph_def, feed=IMAGES):
    """The plain graph, whose results have been compared with the fused graph's own."""
    before = graph_def.SerializeToString(deterministic=True)
    plain = rewritten(graph_def)
    assert graph_def.SerializeToString(deterministic=True) == before
    assert not [node.op for node in plain.node if node.op.startswith("_")]
    try:
        fused = result(graph_def, feed)
    except tf.errors.UnimplementedError as error:
        pytest.skip(f"TensorFlow runs it only through oneDNN, which it does not use on this processor: {error.message}")
    np.testing.assert_allclose(result(plain, feed), fused, rtol=1e-5, atol=1e-5)
    return plain


def convolution(fused_ops, arguments, **more):
    operations = [name.encode() for name in fused_ops]
    attributes = {"TArgs": [tf.float32] * len(arguments), "num_args": len(arguments), "num_host_args": 0}
    parameters = [array(3, 3, 3, 4), *arguments]
    return fused_graph("_FusedConv2D", parameters, fused_ops=operations, **attributes, **CONVOLUTION, **more)


@pytest.mark.parametrize("activation", [[], *([name] for name in ACTIVATIONS)])
def test_convolution_with_bias(activation):
    plain = checked(convolution(["BiasAdd", *activation], [array(4)], leakyrelu_alpha=0.3))
    assert [n.op for n in plain.node if n.op not in ("Const", "Placeholder", "NoOp")] == [
        "Conv2D",
        "BiasAdd",
        *activation,
    ]
    assert plain.node[-1].name == "y"


@pytest.mark.parametrize("activation", [[], ["Relu"], ["LeakyRelu"]])
def test_convolution_with_batch_norm(activation):
    statistics = [array(4), array(4), array(4), np.square(array(4)) + 0.1]
    checked(convolution(["FusedBatchNorm", *activation], statistics, epsilon=0.01, leakyrelu_alpha=0.3))


@pytest.mark.parametrize("activation", [[], ["Relu"]])
def test_convolution_with_bias_and_sum(activation):
    checked(convolution(["BiasAdd", "Add", *activation], [array(4), array(2, 3, 3, 4)]))


def test_convolution_with_padding_of_its_own():
    graph_def = convolution(["BiasAdd", "Relu"], [array(4)])
    graph_def.node[-1].attr["padding"].s = b"EXPLICIT"
    graph_def.node[-1].attr["explicit_paddings"].list.i.extend([0, 0, 2, 0, 1, 2, 0, 0])
    checked(graph_def)


@pytest.mark.parametrize(
    "activation", [[], *([name] for name in ACTIVATIONS), ["Tanh"], ["Sigmoid"], ["GeluApproximate"]]
)
def test_matrix_product(activation):
    operations = [name.encode() for name in ["BiasAdd", *activation]]
    parameters = [array(4, 5), array(4)]
    attributes = {"T": tf.float32, "transpose_b": True, "num_args": 1, "leakyrelu_alpha": 0.3, "fused_ops": operations}
    checked(fused_graph("_FusedMatMul", parameters, (2, 5), **attributes), array(2, 5))


def test_gelu_by_erf_is_its_definition():
    """TensorFlow runs it only through oneDNN: x * P(X <= x), X normal (Hendrycks & Gimpel 2016)."""
    parameters = [np.eye(5), np.zeros(5)]
    graph_def = fused_graph(
        "_FusedMatMul", parameters, (2, 5), T=tf.float32, num_args=1, fused_ops=[b"BiasAdd", b"GeluExact"]
    )
    feed = array(2, 5)
    normal = np.array([[(1 + math.erf(value / math.sqrt(2))) / 2 for value in row] for row in feed])
    np.testing.assert_allclose(result(rewritten(graph_def), feed), feed * normal, rtol=1e-5, atol=1e-6)


def test_hard_swish_is_its_definition():
    """TensorFlow runs it only through oneDNN."""
    kernel, bias = np.eye(3)[None, None], np.array([-1, 0, 2])
    graph_def = convolution(["BiasAdd", "_FusedHardSwish"], [bias])
    graph_def.node[1].CopyFrom(fused_graph("NoOp", [kernel]).node[1])
    z = IMAGES[:, ::2, ::2] * 3 + bias
    expected = z * np.clip(z + 3, 0, 6) / 6
    np.testing.assert_allclose(result(rewritten(graph_def), IMAGES * 3), expected, rtol=1e-5, atol=1e-6)


def test_depthwise_convolution_is_the_plain_one():
    """TensorFlow runs the fused one only through oneDNN: beside tf.nn's, built as itself."""
    kernel, bias = array(3, 3, 3, 2), array(6)
    attributes = dict(CONVOLUTION, fused_ops=[b"BiasAdd", b"Relu6"], num_args=1)
    graph_def = fused_graph("_FusedDepthwiseConv2dNative", [kernel, bias], **attributes)
    with tf.Graph().as_default(), tf.Session() as session:
        expected = session.run(tf.nn.relu6(tf.nn.depthwise_conv2d(IMAGES, kernel, [1, 2, 2, 1], "SAME") + bias))
    np.testing.assert_allclose(result(rewritten(graph_def), IMAGES), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("mode", "sides"), [("Identity", 0), ("Relu", 0), ("Relu", 1)])
def test_batch_norm_with_sum_and_activation(mode, sides):
    scale, offset, mean, variance = array(3), array(3), array(3), np.square(array(3)) + 0.1
    attributes = {"T": tf.float32, "U": tf.float32, "epsilon": 0.02, "is_training": False}
    side = [array(*IMAGES.shape)] * sides
    attributes.update(activation_mode=mode.encode(), num_side_inputs=sides)
    plain = rewritten(fused_graph("_FusedBatchNormEx", [scale, offset, mean, variance, *side], **attributes))
    expected = (IMAGES - mean) / np.sqrt(variance + 0.02) * scale + offset + sum(side)
    expected = np.maximum(expected, 0) if mode == "Relu" else expected
    np.testing.assert_allclose(result(plain, IMAGES), expected, rtol=1e-4, atol=1e-5)


def plain_network():
    """What the remapper fuses; the device must be known for that."""
    with tf.Graph().as_default() as graph, tf.device("/device:CPU:0"):
        net = tf.placeholder(tf.float32, IMAGES.shape, name="x")
        kernels = [tf.constant(array(3, 3, 3, 4)), tf.constant(array(3, 3, 4, 4)), tf.constant(array(144, 5))]
        four, five = tf.constant(np.square(array(4)) + 0.1), tf.constant(array(5))
        net = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(net, kernels[0], 1, "SAME"), four), name="first")
        net = tf.nn.conv2d(net, kernels[1], 1, "SAME")
        net = tf.nn.relu(tf.nn.fused_batch_norm(net, four, four, four, four, is_training=False)[0], name="second")
        net = tf.nn.bias_add(tf.matmul(tf.reshape(net, [2, 144]), kernels[2]), five)
        tf.nn.elu(net, name="y")
        meta_graph = tf.train.export_meta_graph(graph=graph)
    meta_graph.collection_def["train_op"].node_list.value.append("y")
    return meta_graph


def test_what_the_remapper_writes_is_the_network_again():
    meta_graph = plain_network()
    config = tf.ConfigProto()
    config.graph_options.rewrite_options.optimizers[:] = ["remap"]
    optimised = tf_optimizer.OptimizeGraph(config, meta_graph)
    fusions = [node.op for node in optimised.node if node.op.startswith("_Fused")]
    assert sorted(fusions) == ["_FusedConv2D", "_FusedConv2D", "_FusedMatMul"]
    plain = rewritten(optimised)
    np.testing.assert_allclose(result(plain, IMAGES), result(meta_graph.graph_def, IMAGES), rtol=1e-5, atol=1e-5)
    gradients = []
    for graph_def in (plain, meta_graph.graph_def):
        with tf.Graph().as_default():
            x, y, first = tf.import_graph_def(marked(graph_def), return_elements=["x:0", "y:0", "first:0"])
            signals = slim_models.gradients(y, [x], "backprop") + slim_models.gradients(first, [x], "guided")
            gradients.append(run(signals, {x: IMAGES}))
    for got, expected in zip(*gradients, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_nothing_fused_is_nothing_done_and_what_belongs_to_the_graph_is_kept():
    graph = Graph(plain_network().graph_def)
    assert unfused(graph) is graph
    graph_def = convolution(["BiasAdd", "Relu"], [array(4)])
    graph_def.versions.producer = 1234
    graph_def.library.function.add().signature.name = "f"
    graph_def.node.add(name="y/Conv2D", op="NoOp", input=["^y"])
    plain = rewritten(graph_def)
    assert plain.versions == graph_def.versions and plain.library == graph_def.library
    nodes = {node.name: node for node in plain.node}
    assert len(nodes) == len(plain.node)
    assert nodes["y/Conv2D"].op == "NoOp" and list(nodes["y/Conv2D"].input) == ["^y"]
    assert list(nodes["y/Conv2D_1"].input) == ["x", "p0", "^before"]
    assert list(nodes["y"].input) == ["y/BiasAdd"]


@pytest.mark.parametrize(
    ("op", "fused_ops", "words"),
    [
        ("_MklNativeFusedConv2D", [b"BiasAdd"], "node 'y' is a _MklNativeFusedConv2D, which has no gradient.*oneDNN"),
        ("_FusedConv3D", [b"BiasAdd"], "node 'y' is a _FusedConv3D, which"),
        ("QuantizedConv2DWithBias", [b"BiasAdd"], "node 'y' is a QuantizedConv2DWithBias, which.*not quantized"),
        ("TPUCompile", [b"BiasAdd"], "node 'y' is a TPUCompile"),
        ("_FusedConv2D", [b"BiasAdd", b"Cube"], "node 'y' is a _FusedConv2D with fused_ops 'Cube', which has no"),
    ],
)
def test_what_is_not_known_is_named(op, fused_ops, words):
    graph_def = fused_graph(op, [array(3, 3, 3, 4), array(4)], fused_ops=fused_ops, num_args=1, **CONVOLUTION)
    with pytest.raises(ValueError, match=words):
        rewritten(graph_def)


@pytest.mark.parametrize("version", ["FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"])
def test_every_version_of_batch_norm_has_its_gradient(version):
    parameters = [array(3), array(3), array(3), np.square(array(3)) + 0.1]
    attributes = {"T": tf.float32, "is_training": False, "epsilon": 0.02}
    if version != "FusedBatchNorm":
        attributes["U"] = tf.float32
    graph_def = fused_graph(version, parameters, **attributes)
    graph_def.node.add(name="relu", op="Relu", input=["y"]).attr["T"].type = 1
    with tf.Graph().as_default():
        x, y = tf.import_graph_def(marked(rewritten(graph_def)), return_elements=["x:0", "relu:0"])
        (gradient,) = slim_models.gradients(y, [x], "guided")
    slope = parameters[0] / np.sqrt(parameters[3] + 0.02)
    opened = (IMAGES - parameters[2]) * slope + parameters[1] > 0
    np.testing.assert_allclose(run(gradient, {x: IMAGES}), opened * slope, rtol=1e-5, atol=1e-6)


def test_the_batch_norm_of_2015_has_its_gradient():
    """BatchNormWithGlobalNormalization, in the first Inception's file, exists only in graphs of its age."""
    mean, variance, beta, gamma = array(3), np.square(array(3)) + 0.1, array(3), array(3)
    attributes = {"T": tf.float32, "variance_epsilon": 0.02, "scale_after_normalization": True}
    graph_def = fused_graph("BatchNormWithGlobalNormalization", [mean, variance, beta, gamma], **attributes)
    graph_def.versions.producer = 8
    with tf.Graph().as_default():
        x, y = tf.import_graph_def(marked(rewritten(graph_def)), return_elements=["x:0", "y:0"])
        (gradient,) = slim_models.gradients(y, [x], "guided")
    expected = np.broadcast_to(gamma / np.sqrt(variance + 0.02), IMAGES.shape)
    np.testing.assert_allclose(run(gradient, {x: IMAGES}), expected, rtol=1e-5)
