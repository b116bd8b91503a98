"""The numbers of real Caffe, for networks an eighth as wide with the same weights (see README.md here)."""

import numpy as np
import pytest
from reference_data import DATA

import slim_models
from gradcam.explainer import Explainer
from slim_models.weights import random_weights


@pytest.fixture(scope="module", params=[("vgg16", 1), ("resnet_v1_50", 2)], ids=["vgg16", "resnet_v1_50"])
def both(request):
    """(Caffe's arrays, our explanation of the same picture for the same two classes)."""
    name, seed = request.param
    with np.load(DATA / f"caffe_{name}.npz") as arrays:
        caffe = dict(arrays)
    network = slim_models.build(name, image_size=112, num_classes=20, width_divisor=8)
    with Explainer(network, random_weights(network, seed), rules=slim_models.RULES) as explainer:
        return caffe, explainer.explain_classes(caffe["images"][0], caffe["classes"][0])


def assert_equal_to_1e_5_of_the_peak(ours, caffe):
    assert ours.shape == caffe.shape
    assert np.abs(ours - caffe).max() < 1e-5 * np.abs(caffe).max()


def test_logits(both):
    caffe, ours = both
    assert_equal_to_1e_5_of_the_peak(ours.logits[:1], caffe["logits"])
    assert ours.logits[0].argmax() == caffe["classes"][0, 0]


def test_target_layer_and_its_gradient(both):
    caffe, ours = both
    layer = ours.default_layer
    name = layer.replace("conv", "relu")  # ours is after its ReLU
    assert_equal_to_1e_5_of_the_peak(ours.activations[layer][:1], caffe[name])
    assert_equal_to_1e_5_of_the_peak(ours.gradients[layer], caffe[f"grad_{name}"][0])


def test_cam(both):
    caffe, ours = both
    for mine, theirs in zip(ours.cam(), caffe["cam"][0], strict=True):
        assert_equal_to_1e_5_of_the_peak(mine, theirs)


@pytest.mark.parametrize(
    ("rule", "name"), [("backprop", "grad_input"), ("guided", "guided_input"), ("deconvnet", "deconv_input")]
)
def test_input_gradients(both, rule, name):
    caffe, ours = both
    # VGG16's own input is BGR, and so is Caffe's gradient; ours is with respect to the RGB picture.
    order = [2, 1, 0] if ours.default_layer == "conv5_3" else [0, 1, 2]
    assert_equal_to_1e_5_of_the_peak(ours.saliency[rule][0], caffe[name][0, 0][..., order])
