"""MobileNet-v1: TF-Slim's names, TF-Slim's and Keras' numbers, and its Relu6 under the rules."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
import tf_slim

import slim_models
from gradcam.evaluation.sanity import parameter_layers
from gradcam.explainer import Explainer
from gradcam.methods import methods_named
from slim_models.builders import layers, preprocessing
from slim_models.weights import random_weights

PAIRS = range(1, 14)
# Table 1 of the paper: what the pointwise convolutions make, and where the depthwise ones before them stride.
DEPTHS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
LAYERS = ["Conv2d_0", *(f"Conv2d_{i}_{kind}" for i in PAIRS for kind in ("depthwise", "pointwise"))]
PARTS = ("weights", "BatchNorm/beta", "BatchNorm/gamma", "BatchNorm/moving_mean", "BatchNorm/moving_variance")
HEAD = "MobilenetV1/Logits/Conv2d_1c_1x1"
CLASSES = 7


def kernel_name(layer):
    return f"MobilenetV1/{layer}/{'depthwise_weights' if layer.endswith('depthwise') else 'weights'}"


def hard_weights(network):
    """Random weights that drive units of every layer beyond 6 (else Relu6 would be a ReLU), and yet no chaos."""
    weights = dict(random_weights(network))
    for name in weights:
        if name.endswith("gamma"):
            weights[name] = weights[name] * np.float32(10 if "Conv2d_0/" in name else 1.1)
    return weights


def build(size):
    network = slim_models.build("mobilenet_v1", image_size=size, num_classes=CLASSES, width_divisor=4)
    images = np.random.default_rng(0).uniform(0, 255, (2, size, size, 3)).astype(np.float32)
    return network, hard_weights(network), images


def outputs(network, weights, images):
    with tf.Session(graph=network.graph) as session:
        slim_models.assign_weights(session, network, weights)
        return session.run({**network.endpoints, "logits": network.logits}, {network.images: images})


def assert_equal_endpoints(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name in ours:
        scale = np.abs(theirs[name]).max()
        np.testing.assert_allclose(ours[name] / scale, theirs[name] / scale, atol=1e-5, err_msg=name)


def test_variables_are_those_of_slims_checkpoint():
    shapes = {name: v.shape.as_list() for name, v in slim_models.build("mobilenet_v1").variables().items()}
    expected = {f"MobilenetV1/{layer}/{part}" for layer in LAYERS for part in PARTS[1:]}
    expected |= {kernel_name(layer) for layer in LAYERS} | {f"{HEAD}/weights", f"{HEAD}/biases"}
    assert set(shapes) == expected
    assert shapes[kernel_name("Conv2d_0")] == [3, 3, 3, 32]
    assert shapes[kernel_name("Conv2d_13_depthwise")] == [3, 3, 1024, 1]
    assert shapes[kernel_name("Conv2d_13_pointwise")] == [1, 1, 1024, 1024]
    assert shapes[f"{HEAD}/weights"] == [1, 1, 1024, 1001]
    # The paper's table 8 says 4.2 million; batch norm's statistics are not among them.
    assert 4.2e6 < sum(np.prod(shape) for name, shape in shapes.items() if "moving" not in name) < 4.25e6


def test_endpoints_in_forward_order():
    network = slim_models.build("mobilenet_v1")
    assert list(network.endpoints) == LAYERS
    assert network.default_layer == "Conv2d_13_pointwise"
    assert network.endpoints["Conv2d_0"].shape.as_list() == [None, 112, 112, 32]
    sizes = [network.endpoints[f"Conv2d_{i}_pointwise"].shape.as_list()[1:] for i in PAIRS]
    rows = 112 // np.cumprod(STRIDES)
    assert sizes == [[row, row, depth] for row, depth in zip(rows, DEPTHS)]
    assert sizes[-1] == [7, 7, 1024]


def test_preprocessing_scales_to_minus_one_to_one():
    with tf.Graph().as_default(), tf.Session() as session:
        scaled = session.run(preprocessing.minus_one_to_one(tf.constant([[[[0.0, 127.5, 255]]]])))
    np.testing.assert_array_equal(scaled, [[[[-1, 0, 1]]]])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # Keras' own
def test_keras_own_network_agrees():
    """Keras pads by a layer of its own, which is TensorFlow's SAME where sizes are even."""
    network, weights, images = build(64)
    keras = tf.keras
    model = keras.applications.MobileNet((64, 64, 3), 0.25, weights=None, classes=CLASSES, classifier_activation=None)
    names = {"conv1": "Conv2d_0", "conv_preds": "Logits/Conv2d_1c_1x1"}
    names |= {f"conv_{a}_{i}": f"Conv2d_{i}_{b}" for i in PAIRS for a, b in (("dw", "depthwise"), ("pw", "pointwise"))}
    ends = {"logits": model.output}
    for layer in model.layers:
        name = names.get(layer.name.removesuffix("_bn").removesuffix("_relu"))
        if name is None:
            assert not layer.weights
        elif layer.name.endswith("_bn"):
            parts = ("gamma", "beta", "moving_mean", "moving_variance")
            layer.set_weights([weights[f"MobilenetV1/{name}/BatchNorm/{part}"] for part in parts])
        elif layer.name.endswith("_relu"):
            ends[name] = layer.output
        else:
            biases = [weights[f"{HEAD}/biases"]] if layer.name == "conv_preds" else []
            layer.set_weights([weights[kernel_name(name)], *biases])
    theirs = keras.Model(model.input, ends).predict(images / 127.5 - 1, verbose=0)
    assert_equal_endpoints(outputs(network, weights, images), theirs)


@pytest.mark.parametrize("size", [64, 45])
def test_slims_layers_agree(size):
    """tf_slim's own layers in slim's arg scope, but for batch norm, which fails on new TensorFlows.

    pip's tf_slim has no MobileNet; Keras' numbers are those of even sizes alone.
    """
    network, weights, images = build(size)
    normalizer = {"normalizer_fn": layers.batch_norm, "normalizer_params": {"epsilon": 0.001}}
    convolutions = [tf_slim.conv2d, tf_slim.separable_conv2d]
    ends = {}
    with tf.Graph().as_default(), tf.Session() as session:
        net = tf.constant((images / 255 - 0.5) * 2)
        with (
            tf_slim.arg_scope(convolutions, padding="SAME", activation_fn=tf.nn.relu6, **normalizer),
            tf.variable_scope("MobilenetV1"),
        ):
            net = ends["Conv2d_0"] = tf_slim.conv2d(net, 8, [3, 3], stride=2, scope="Conv2d_0")
            for i, depth, stride in zip(PAIRS, DEPTHS, STRIDES):
                name = f"Conv2d_{i}_depthwise"
                net = tf_slim.separable_conv2d(net, None, [3, 3], depth_multiplier=1, stride=stride, scope=name)
                ends[name] = net
                name = f"Conv2d_{i}_pointwise"
                net = ends[name] = tf_slim.conv2d(net, depth // 4, [1, 1], scope=name)
            net = tf_slim.avg_pool2d(net, net.shape[1:3].as_list(), padding="VALID")
            head = {"activation_fn": None, "normalizer_fn": None, "scope": "Logits/Conv2d_1c_1x1"}
            ends["logits"] = tf_slim.conv2d(net, CLASSES, [1, 1], **head)[:, 0, 0]
        variables = {v.op.name: v for v in tf.global_variables()}
        assert variables.keys() == weights.keys()
        for name, variable in variables.items():
            session.run(variable.initializer, {variable.initializer.inputs[1]: weights[name]})
        theirs = session.run(ends)
    assert_equal_endpoints(outputs(network, weights, images), theirs)


@pytest.fixture(scope="module")
def explained():
    """A thin MobileNet on two pictures: its weights, and an explanation of the predicted classes with every rule."""
    network, weights, images = build(64)
    with Explainer(network, weights, layers=LAYERS, rules=slim_models.RULES) as explainer:
        yield weights, explainer.explain(images)


def test_every_relu_is_a_marked_relu6_and_batch_norm_is_not_training():
    operations = slim_models.build("mobilenet_v1", width_divisor=8).graph.get_operations()
    marks = [op.get_attr("_gradient_op_type") for op in operations if op.type == "Relu6"]
    assert marks == [b"GuidedRelu6"] * 27
    norms = [op for op in operations if op.type.startswith("FusedBatchNorm")]
    assert len(norms) == 27
    assert not any(norm.get_attr("is_training") for norm in norms)
    assert not [op for op in operations if op.type == "Relu" or ("Random" in op.type and "Initializer" not in op.name)]


def test_some_units_are_shut_at_zero_and_some_at_six(explained):
    _, explanation = explained
    for name, activations in explanation.activations.items():
        assert activations.min() == 0, name
        assert activations.max() <= 6, name
    assert sum((activations == 6).any() for activations in explanation.activations.values()) > 20


@pytest.mark.parametrize("rule", slim_models.RULES)
def test_the_last_pair_under_each_rule_by_hand(explained, rule):
    """From `Conv2d_13_pointwise` back to `Conv2d_13_depthwise`: gates of Relu6, batch norm's scale, a 1x1 kernel."""
    weights, explanation = explained
    network, _, images = build(64)
    last, before = "Conv2d_13_pointwise", "Conv2d_13_depthwise"
    activations = explanation.activations[last].astype(np.float64)
    head = weights[f"{HEAD}/weights"][0, 0].astype(np.float64)
    signal = np.broadcast_to(
        head.T[explanation.targets][:, None, None] / 4, activations.shape
    )  # of a mean over 2 x 2 places
    np.testing.assert_allclose(explanation.gradients[last], signal, rtol=1e-5)
    if rule != "deconvnet":
        signal = signal * ((activations > 0) & (activations < 6))
    if rule != "backprop":
        signal = np.maximum(signal, 0)
    gamma, variance = (weights[f"MobilenetV1/{last}/BatchNorm/{part}"] for part in ("gamma", "moving_variance"))
    expected = (signal * gamma / np.sqrt(variance + 1e-3)) @ weights[kernel_name(last)][0, 0].T.astype(np.float64)
    with network.graph.as_default():
        score = tf.reduce_sum(network.logits * tf.one_hot(explanation.targets, CLASSES))
    (gradient,) = slim_models.gradients(score, [network.endpoints[before]], rule)
    with tf.Session(graph=network.graph) as session:
        slim_models.assign_weights(session, network, weights)
        found = session.run(gradient, {network.images: images})
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_backprop_is_the_true_gradient_and_the_rules_differ(explained):
    """Against differences of the logit itself, in the direction in which it rises most."""
    weights, explanation = explained
    network, _, images = build(64)
    gradient = explanation.saliency["backprop"].astype(np.float64)
    lengths = np.sqrt(np.square(gradient).sum(axis=(1, 2, 3), keepdims=True))
    step = 0.01 * gradient / lengths
    with Explainer(network, weights, layers=(), rules=()) as explainer:
        up, down = (explainer.explain((images + sign * step).astype(np.float32)).logits for sign in (1, -1))
    rises = (up - down)[[0, 1], explanation.targets] / 0.02
    np.testing.assert_allclose(rises, lengths.ravel(), rtol=0.05)
    assert not np.allclose(explanation.saliency["guided"], explanation.saliency["deconvnet"])


def test_classes_that_share_a_forward_pass_are_explained_as_each_alone():
    network, weights, images = build(64)
    with Explainer(network, weights, rules=("guided",)) as explainer:
        together = explainer.explain_classes(images[0], [5, 0, 2])
        for number, target in enumerate([5, 0, 2]):
            alone = explainer.explain(images[:1], target)
            layer = network.default_layer
            for ours, theirs in (
                (together.gradients[layer][number], alone.gradients[layer][0]),
                (together.saliency["guided"][number], alone.saliency["guided"][0]),
            ):
                np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


def test_cam_is_grad_cam(explained):
    """The logits are linear in the mean of the last layer: Grad-CAM is CAM over the number of places (2 x 2)."""
    weights, explanation = explained
    cam = methods_named(["cam"], weights)["cam"].make(explanation)
    assert cam.max() > 0
    np.testing.assert_allclose(explanation.cam(), cam / 4, rtol=1e-4, atol=1e-5 * cam.max())


def test_half_the_digits_change_little():
    network, weights, images = build(64)
    logits = {}
    for precision in slim_models.PRECISIONS:
        with Explainer(network.in_precision(precision), weights, rules=("guided",)) as explainer:
            logits[precision] = explainer.explain(images).logits
    scale = np.abs(logits["float32"]).max()
    np.testing.assert_allclose(logits["bfloat16"], logits["float32"], atol=0.1 * scale)
    assert np.abs(logits["bfloat16"] - logits["float32"]).max() > 0


def test_layers_from_the_logits_down():
    network = slim_models.build("mobilenet_v1", width_divisor=8)
    found = parameter_layers(network.variables())
    assert list(found) == ["Logits/Conv2d_1c_1x1", *reversed(LAYERS)]
    assert len(found["Conv2d_5_depthwise"]) == 5
