"""What the public Grad-CAM scripts get wrong in silence, each as a test of ours.

Further ones stand where their subject is tested: dropout, repeatability, channel order, one run and
no growing graph in test_explainer; Relu6 in test_relu_gradients; small GraphDefs and training mode in
test_architectures; zero maps, non-square sizes and untouched inputs in test_maps.
"""

import numpy as np
import tensorflow.compat.v1 as tf
from thin import SIZES, THIN, less_deep

import slim_models
from gradcam import maps
from gradcam.cams import grad_cam
from gradcam.explainer import Explainer
from slim_models.builders import preprocessing
from slim_models.weights import random_weights


def unmarked(thin, target):
    """The gradient at the target layer in a graph that never heard of GuidedRelu."""
    name = thin.network.name
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.constant(thin.images)
        builder = slim_models.NETWORKS[name].builder
        logits, endpoints = builder(images, **less_deep(name, THIN))
        (gradient,) = tf.gradients(logits[:, target], [endpoints[thin.network.default_layer]])
        for variable in tf.global_variables():
            session.run(variable.initializer, {variable.initializer.inputs[1]: thin.weights[variable.op.name]})
        return session.run(gradient)


def test_the_gradient_that_weights_the_cam_is_not_guided(thin):
    explanation = thin.explainer.explain(thin.images, 3)
    ours = explanation.gradients[thin.network.default_layer]
    expected = unmarked(thin, 3)
    np.testing.assert_allclose(ours, expected, atol=1e-5 * np.abs(expected).max())
    assert (ours < 0).any()  # a guided gradient through VGG16's fc6 and fc7 would have lost these


def test_predictions_do_not_depend_on_the_batch(thin):
    """Batch norm left in training mode would see a dark picture differently beside bright ones."""
    dark = thin.images[:1] * 0.1
    alone = thin.explainer.explain(dark).logits[0]
    beside = thin.explainer.explain(np.concatenate([dark, thin.images, 255 - thin.images])).logits[0]
    np.testing.assert_allclose(alone, beside, atol=1e-4 * np.abs(alone).max())


def test_saliency_is_of_the_logit_and_neither_fades_nor_flips_where_the_class_is_certain():
    """-log p fades as p -> 1 and is NaN at p = 0; a logit's gradient does not see its own bias."""
    network = slim_models.build("resnet_v1_50", image_size=SIZES["resnet_v1_50"], **THIN)
    weights = random_weights(network)
    image = np.full((1, 64, 64, 3), 90)
    saliency = {}
    for bias in (-1e9, 0, 1e9):
        weights["resnet_v1_50/logits/biases"][4] = bias
        with Explainer(network, weights) as explainer:
            explanation = explainer.explain(image, 4)
        saliency[bias] = explanation.saliency["guided"]
        if bias:
            assert explanation.probabilities[0, 4] == (bias > 0)
    assert np.abs(saliency[0]).max() > 0
    for bias in (-1e9, 1e9):
        np.testing.assert_array_equal(saliency[bias], saliency[0])


def test_default_layers_are_the_last_with_a_spatial_extent():
    assert slim_models.NETWORKS["vgg16"].default_layer == "conv5_3"  # 14 x 14, not pool5's 7 x 7
    assert slim_models.NETWORKS["resnet_v1_50"].default_layer == "block4"  # its last unit, not the second


def test_zero_saliency_stays_zero_in_guided_grad_cam():
    """Scaled to [0, 1] before the product, zero would become a mid-grey times the heat map."""
    assert not maps.guided_grad_cam(np.zeros((1, 4, 4, 3)), np.ones((1, 4, 4))).any()


def test_preprocessing_subtracts_the_mean_and_stretches_nothing():
    with tf.Graph().as_default(), tf.Session() as session:
        pixel = tf.constant([[[[10.0, 20, 30]]]])
        rgb, bgr = session.run([preprocessing.subtract_mean(pixel), preprocessing.caffe_bgr(pixel)])
    np.testing.assert_allclose(rgb, [[[[10 - 123.68, 20 - 116.779, 30 - 103.939]]]])
    np.testing.assert_allclose(bgr, [[[[30 - 103.939, 20 - 116.779, 10 - 123.68]]]])


def test_enlarged_maps_do_not_overshoot():
    """Cubic interpolation leaves [min, max]; a checkerboard shows it."""
    cam = np.indices((7, 7)).sum(axis=0, keepdims=True) % 2 + 1.0
    heatmap = maps.heatmap(cam, (224, 224))
    # The highest and the lowest place are 2 and 1; between their centres nothing is beyond them.
    assert heatmap.max() == 1
    assert 0.5 <= heatmap.min() < 0.51


def test_gradients_are_averaged_as_they_are():
    """Gated by (activation > 0)(gradient > 0) first, this cam would be positive."""
    activations = np.ones((1, 1, 2, 1))
    gradients = np.array([1.0, -3]).reshape(1, 1, 2, 1)
    assert not grad_cam(activations, gradients).any()


def test_the_cam_starts_from_zero():
    assert not grad_cam(np.ones((1, 3, 3, 2)), np.zeros((1, 3, 3, 2))).any()


def test_saliency_and_cam_explain_one_target_the_one_asked_for(thin):
    predicted = thin.explainer.explain(thin.images)
    other = (predicted.targets + 1) % 10
    explanation = thin.explainer.explain(thin.images, other)
    layer = thin.network.default_layer
    assert not np.allclose(explanation.gradients[layer], predicted.gradients[layer])
    for rule in slim_models.RULES:
        assert not np.allclose(explanation.saliency[rule], predicted.saliency[rule])
