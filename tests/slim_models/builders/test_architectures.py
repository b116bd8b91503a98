"""The builders: exact names, shapes, order, and the two ways to compute the same network."""

import functools
import warnings

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
import tf_slim
from tf_slim.nets import resnet_v1 as slim_resnet, vgg as slim_vgg

import slim_models
from slim_models.builders import layers, resnet_v1
from slim_models.weights import random_weights

VGGS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}  # columns D and E of the paper's table 1


@functools.cache
def built(name, **sizes):
    """A network that is only looked at, built once for all who do."""
    return slim_models.build(name, **sizes)


def vgg_convolutions(name):
    return [f"conv{block}_{i}" for block, count in enumerate(VGGS[name], start=1) for i in range(1, count + 1)]


def resnet_units(counts):
    return [f"block{b}/unit_{u}" for b, count in enumerate(counts, start=1) for u in range(1, count + 1)]


@pytest.mark.parametrize("name", VGGS)
def test_vgg_variables_are_those_of_the_npy_file(name):
    network = built(name)
    shapes = {name: tuple(v.shape.as_list()) for name, v in network.variables().items()}
    layers_ = [*vgg_convolutions(name), "fc6", "fc7", "fc8"]
    assert len(layers_) == int(name.removeprefix("vgg"))  # what it is called after
    assert set(shapes) == {f"{layer}/{part}" for layer in layers_ for part in ("weights", "biases")}
    assert shapes["conv1_1/weights"] == (3, 3, 3, 64)
    assert shapes["conv5_3/weights"] == (3, 3, 512, 512)
    assert shapes["fc6/weights"] == (25088, 4096)  # 7 * 7 * 512, flattened height, width, channel
    assert shapes["fc8/weights"] == (4096, 1000)


@pytest.mark.parametrize(("name", "counts"), [("resnet_v1_50", (3, 4, 6, 3)), ("resnet_v1_101", (3, 4, 23, 3))])
def test_resnet_variables_are_those_of_slims_checkpoints(name, counts):
    network = built(name, width_divisor=8)
    convs = ["conv1"]
    for unit in resnet_units(counts):
        convs += [f"{unit}/bottleneck_v1/{conv}" for conv in ("conv1", "conv2", "conv3")]
        convs += [f"{unit}/bottleneck_v1/shortcut"] * unit.endswith("unit_1")
    parts = ("weights", "BatchNorm/beta", "BatchNorm/gamma", "BatchNorm/moving_mean", "BatchNorm/moving_variance")
    expected = {f"{name}/{conv}/{part}" for conv in convs for part in parts}
    assert set(network.variables()) == expected | {f"{name}/logits/weights", f"{name}/logits/biases"}


def test_the_embedded_resnet_has_the_variables_of_resnet_50():
    tiny, full = (built(name).variables() for name in ("resnet_v1_50_tiny", "resnet_v1_50"))
    assert set(tiny) == set(full)


def test_the_embedded_vgg16_has_the_variables_and_layers_of_vgg16():
    tiny, full = (built(name) for name in ("vgg16_tiny", "vgg16"))
    assert set(tiny.variables()) == set(full.variables())
    assert list(tiny.endpoints) == list(full.endpoints)


@pytest.mark.parametrize(("name", "last"), [("vgg16", "conv5_3"), ("vgg19", "conv5_4")])
def test_vgg_endpoints_in_forward_order(name, last):
    network = built(name, width_divisor=8)
    pools = {f"conv{block}_{count}": f"pool{block}" for block, count in enumerate(VGGS[name], start=1)}
    expected = [layer for conv in vgg_convolutions(name) for layer in (conv, pools.get(conv)) if layer]
    assert list(network.endpoints) == expected
    assert network.default_layer == last
    assert network.endpoints[last].shape.as_list() == [None, 14, 14, 64]
    assert network.endpoints["pool5"].shape.as_list() == [None, 7, 7, 64]


@pytest.mark.parametrize(("name", "counts"), [("resnet_v1_50", (3, 4, 6, 3)), ("resnet_v1_101", (3, 4, 23, 3))])
def test_resnet_endpoints_in_forward_order(name, counts):
    network = built(name, width_divisor=8)
    expected = ["conv1", "pool1"]
    for block, count in enumerate(counts, start=1):
        expected += [f"block{block}/unit_{unit}" for unit in range(1, count + 1)] + [f"block{block}"]
    assert list(network.endpoints) == expected
    assert network.default_layer == "block4"
    assert network.endpoints["block4"] is network.endpoints["block4/unit_3"]
    sizes = [network.endpoints[layer].shape.as_list()[1] for layer in ("conv1", "block1", "block2", "block3", "block4")]
    assert sizes == [112, 28, 14, 7, 7]  # the stride sits on the last unit of each block


def test_the_embedded_resnet_sees_seven_by_seven():
    network = built("resnet_v1_50_tiny")
    assert network.images.shape.as_list() == [None, 112, 112, 3]
    assert network.endpoints["block4"].shape.as_list() == [None, 7, 7, 512]
    assert network.num_classes == 200


def test_the_embedded_vgg16_sees_seven_by_seven():
    network = built("vgg16_tiny")
    assert network.images.shape.as_list() == [None, 112, 112, 3]
    assert network.endpoints[network.default_layer].shape.as_list() == [None, 7, 7, 128]
    assert network.endpoints["pool5"].shape.as_list() == [None, 4, 4, 128]
    assert network.variables()["fc6/weights"].shape.as_list() == [4 * 4 * 128, 1024]
    assert network.num_classes == 200


@pytest.mark.parametrize("size", [33, 50, 65])
@pytest.mark.parametrize("name", ["vgg16", "resnet_v1_50"])
def test_any_image_size_works(name, size):
    network = slim_models.build(name, image_size=size, num_classes=3, width_divisor=8)
    slim_models.gradients(network.logits, [network.images], "backprop")
    assert network.logits.shape.as_list() == [None, 3]
    assert network.endpoints["pool1"].shape.as_list()[1] == -(-size // (2 if name == "vgg16" else 4))  # rounded up


@pytest.mark.parametrize("name", ["vgg16", "resnet_v1_50", "mobilenet_v1"])
def test_tf_slim_s_warnings_are_kept_from_whoever_builds(name):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        slim_models.build(name, width_divisor=8)
    assert not found


def test_every_relu_of_a_built_graph_is_marked(whole):
    marks = [op.get_attr("_gradient_op_type") for op in whole.network.graph.get_operations() if op.type == "Relu"]
    assert marks == [b"GuidedRelu"] * (15 if whole.network.name == "vgg16" else 1 + 16 * 3)


def test_the_graph_def_holds_no_weights():
    network = slim_models.build("vgg16")
    slim_models.gradients(network.logits, [network.images], "guided")
    assert network.graph.as_graph_def().ByteSize() < 1e6  # the weights are 553 MB


def test_no_dropout_and_no_training_mode(whole):
    operations = whole.network.graph.get_operations()
    assert not [op.name for op in operations if "Random" in op.type and "Initializer" not in op.name]
    norms = [op for op in operations if op.type.startswith("FusedBatchNorm") and "Grad" not in op.type]
    assert len(norms) == (0 if whole.network.name == "vgg16" else 53)
    assert not any(norm.get_attr("is_training") for norm in norms)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": "vgg61"}, KeyError, "'vgg61'.*vgg16, vgg19, resnet_v1_50, resnet_v1_101, mobilenet_v1"),
        ({"name": "mobilenet_v1", "width_divisor": 64}, ValueError, "width_divisor 64 does not divide 32"),
        ({"name": "vgg16", "image_size": 0}, ValueError, "image_size.*0"),
        ({"name": "vgg16", "num_classes": -1}, ValueError, "num_classes.*-1"),
        ({"name": "vgg16", "width_divisor": 7}, ValueError, "width_divisor 7"),
        ({"name": "vgg16", "image_size": 33.5}, ValueError, "image_size.*33.5"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        slim_models.build(**arguments)


def outputs(graph, variables, weights, fetches, feed):
    """Runs a graph whose variables (those named in `weights`) have been given their values."""
    with tf.Session(graph=graph) as session:
        initial = {variable.initializer: weights[name] for name, variable in variables.items()}
        session.run(list(initial), {op.inputs[1]: value for op, value in initial.items()})
        return session.run(fetches, feed)


def assert_equal_endpoints(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name in ours:
        scale = np.abs(theirs[name]).max()
        np.testing.assert_allclose(ours[name] / scale, theirs[name] / scale, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", VGGS)
def test_vgg_is_tf_slims_own_up_to_the_fully_connected_layers(name):
    """tf_slim's VGGs have fixed widths, and convolutions for fc6 to fc8; Caffe's numbers cover those of VGG16."""
    network = slim_models.build(name, num_classes=3)
    weights = random_weights_of_convolutions(network)
    rgb = np.random.default_rng(0).uniform(0, 255, (1, 224, 224, 3)).astype(np.float32)
    convolutions = {name: v for name, v in network.variables().items() if name.startswith("conv")}
    ours = outputs(network.graph, convolutions, weights, dict(network.endpoints), {network.images: rgb})

    graph = tf.Graph()
    with graph.as_default():
        bgr = tf.constant(rgb[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32))
        with tf_slim.arg_scope(slim_vgg.vgg_arg_scope()):
            _, ends = getattr(slim_vgg, name.replace("vgg", "vgg_"))(bgr, 3, is_training=False)
        theirs_named = {v.op.name.split("/", 2)[-1]: v for v in tf.global_variables() if "/conv" in v.op.name}
    ends = {name.rsplit("/", 1)[1]: tensor for name, tensor in ends.items() if "fc" not in name}
    theirs = outputs(graph, theirs_named, weights, ends, {})
    assert_equal_endpoints(ours, theirs)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # Keras' own
def test_vgg19_is_keras_own_up_to_the_fully_connected_layers():
    network = slim_models.build("vgg19", image_size=32, num_classes=3)
    weights = random_weights_of_convolutions(network)
    rgb = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    convolutions = {name: v for name, v in network.variables().items() if name.startswith("conv")}
    ours = outputs(network.graph, convolutions, weights, dict(network.endpoints), {network.images: rgb})
    keras = tf.keras
    model = keras.applications.VGG19(weights=None, include_top=False, input_shape=(32, 32, 3))
    ends = {}
    for layer in model.layers[1:]:
        name = layer.name.removeprefix("block").replace("_pool", "").replace("_conv", "_")
        name = f"conv{name}" if "_" in name else f"pool{name}"
        if name in vgg_convolutions("vgg19"):
            layer.set_weights([weights[f"{name}/weights"], weights[f"{name}/biases"]])
        ends[name] = layer.output
    bgr = rgb[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)
    assert_equal_endpoints(ours, keras.Model(model.input, ends).predict(bgr, verbose=0))


def random_weights_of_convolutions(network):
    rng = np.random.default_rng(0)
    shapes = {name: v.shape.as_list() for name, v in network.variables().items() if name.startswith("conv")}
    return {
        name: rng.standard_normal(shape, np.float32) * np.sqrt(2 / np.prod(shape[:-1]) if len(shape) > 1 else 0.1)
        for name, shape in shapes.items()
    }


@pytest.mark.parametrize("output_stride", [32, 16])
def test_resnet_is_tf_slims_own(output_stride):
    """tf_slim's resnet_v1_50, with our batch norm in its arg_scope because its own fails on new TensorFlows."""
    rgb = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    ours_graph = tf.Graph()
    with ours_graph.as_default():
        images = tf.constant(rgb)
        logits, endpoints = resnet_v1.resnet_v1_50(images, num_classes=5, output_stride=output_stride)
        variables = {v.op.name: v for v in tf.global_variables()}
    network = slim_models.Network("resnet_v1_50", images, logits, endpoints, "block4", slim_models.weights.Stored({}))
    weights = random_weights(network)
    blocks = {f"block{i}": endpoints[f"block{i}"] for i in range(1, 5)}
    ours = outputs(ours_graph, variables, weights, {**blocks, "logits": logits}, {})

    graph = tf.Graph()
    with graph.as_default():
        inputs = tf.constant(rgb - np.array([123.68, 116.779, 103.939], np.float32))
        with (
            tf_slim.arg_scope([tf_slim.conv2d], activation_fn=tf.nn.relu, normalizer_fn=layers.batch_norm),
            tf_slim.arg_scope([tf_slim.max_pool2d], padding="SAME"),
        ):
            logits, ends = slim_resnet.resnet_v1_50(inputs, 5, is_training=False, output_stride=output_stride)
        theirs_variables = {v.op.name: v for v in tf.global_variables()}
    assert theirs_variables.keys() == variables.keys()
    fetches = {f"block{i}": ends[f"resnet_v1_50/block{i}"] for i in range(1, 5)}
    theirs = outputs(graph, theirs_variables, weights, {**fetches, "logits": logits}, {})
    theirs["logits"] = theirs["logits"][:, 0, 0]
    assert_equal_endpoints(ours, theirs)
