"""Why the first array that differs does, and what a reference's pictures were prepared with."""

import numpy as np
import pytest

import gradcam
import slim_models
from gradcam.comparison.agreement import Agreement
from gradcam.comparison.causes import cause, first_that_fails
from gradcam.comparison.preparation import prepared
from gradcam.comparison.references import network_inputs, quantities
from gradcam.explainer import Explainer
from slim_models.weights import random_weights

RNG = np.random.default_rng(0)
ENDPOINTS = ["conv4_3", "conv5_3"]
SHAPES = {
    "input": (8, 8, 3),
    "conv5_3": (4, 4, 6),
    "logits": (9,),
    "softmax": (9,),
    "grad_conv5_3": (4, 4, 6),
    "alpha": (6,),
    "cam": (4, 4),
    "guided_input": (8, 8, 3),
}
OURS = {name: RNG.normal(size=shape) for name, shape in SHAPES.items()}
PARTS = {part.name: part for part in quantities(list(SHAPES), ENDPOINTS, "conv5_3", None)}
GRADIENT = RNG.normal(size=(8, 8, 3))
CASES = [
    ("input", lambda a: a[..., ::-1], "the order of channels"),
    ("input", lambda a: a + np.arange(3), "the mean, the scale, or the pictures"),
    ("conv5_3", lambda a: 0 * a, "the reference is all zero: a net without its weights"),
    ("conv5_3", lambda a: a + RNG.normal(size=a.shape), "another network .strides"),
    ("logits", lambda a: 0 * a + 2, "all the same: a net without its weights"),
    ("logits", lambda a: np.roll(a, 1) + 3 * np.eye(9)[0], "shifted by one: class 1 there is class 0 here"),
    ("softmax", lambda a: np.roll(a, -1) + 3 * np.eye(9)[8], "shifted by one: class 0 there is class 1 here"),
    ("grad_conv5_3", lambda a: 1.01 * a, "a factor of 1.01"),
    ("alpha", lambda a: 49 * a, "a factor of 49"),
    ("cam", lambda a: -a, "another sign"),
    ("cam", lambda a: a.T, "heights and widths are exchanged"),
    ("cam", lambda a: a[:, ::-1], "left and right are exchanged"),
    ("cam", lambda a: a + 0.5, "0.5 more everywhere"),
    ("guided_input", lambda a: a[..., ::-1], "RGB in place of BGR"),
    ("guided_input", lambda a: GRADIENT, "it is the gradient, not guided backprop"),
    ("guided_input", lambda a: a**2, "no simple relation"),
]


@pytest.mark.parametrize(("name", "change", "expected"), CASES)
def test_a_relation_between_the_two_is_told(name, change, expected):
    row = Agreement(name, 1, None, change(OURS[name]), OURS[name], 1e-4)
    rules = {"backprop": GRADIENT, "guided": OURS[name]} if name == "guided_input" else {}
    text = cause(row, PARTS[name], rules)
    assert text.startswith(f"{name} differs")
    assert expected.replace(".", "(") in text or expected in text


def test_the_first_in_the_order_of_computing_tells():
    rows = [Agreement(name, 0, None, 2 * OURS[name], OURS[name], 1e-4) for name in reversed(SHAPES)]
    assert first_that_fails(rows, PARTS).array == "input"
    assert first_that_fails(rows[:-1], PARTS).array == "conv5_3"
    assert first_that_fails([], PARTS) is None


class TestPreparation:
    @pytest.fixture
    def images(self):
        return np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)

    def test_imagenets_mean_leaves_the_pictures(self, images):
        inputs = network_inputs(images, "BGR")
        found = prepared({"images": images, "input": inputs}, "BGR", True)
        np.testing.assert_array_equal(found.images, images)
        assert not found.said

    @pytest.mark.parametrize(
        ("mean", "scale", "said"),
        [
            ([104, 117, 123], 1, "the pictures less a mean of 104, 117, 123"),
            ([103.94, 116.78, 123.68], 0.017, "the pictures less a mean of 103.94, 116.78, 123.68 times 0.017"),
            (np.linspace(100, 130, 8)[:, None] + np.zeros((8, 3)), 1, "less a mean picture, of about 115, 115, 115"),
        ],
    )
    def test_another_mean_and_scale_are_found(self, images, mean, scale, said):
        """What our network makes of the pictures that it is fed, RGB less its own mean, is what the other was fed."""
        inputs = ((images[..., ::-1] - np.array(mean, np.float32)) * np.float32(scale)).astype(np.float32)
        found = prepared({"images": images, "input": inputs}, "BGR", True)
        assert said in found.said
        np.testing.assert_allclose(found.inputs, inputs, atol=2e-3)
        np.testing.assert_allclose(network_inputs(found.images, "BGR"), inputs, atol=1e-4)

    def test_another_order_is_no_mean(self, images):
        inputs = network_inputs(images, "RGB")
        found = prepared({"images": images, "input": inputs}, "BGR", True)
        assert not found.said
        np.testing.assert_array_equal(found.inputs, network_inputs(images, "BGR"))


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(4).integers(0, 256, (64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def vgg():
    return random_weights(slim_models.build("vgg16", image_size=64, num_classes=5, width_divisor=16), 1)


@pytest.fixture(scope="module")
def resnet():
    return random_weights(slim_models.build("resnet_v1_50", image_size=64, num_classes=5, width_divisor=16), 1)


class TestCompare:
    """On a network of its own, a reference of which is made by ours, with another preparation or another network."""

    @staticmethod
    def reference(name, weights, image, mean=None):
        network = slim_models.open_network(name, weights, image_size=64)
        with Explainer(network, rules=["backprop"]) as explainer:
            shift = 0 if mean is None else np.float32([123.68, 116.779, 103.939]) - np.float32(mean)
            fed = image[None].astype(np.float32) + shift
            explanation = explainer.explain(image[None], 2, overrides={network.images: fed})
        order = slice(None, None, -1) if network.input_order == "BGR" else slice(None)
        return {
            "images": image[None],
            "classes": np.array([[2]]),
            "input": network_inputs(fed, network.input_order),
            "logits": explanation.logits,
            "softmax": explanation.probabilities,
            "grad_input": explanation.saliency["backprop"][None][..., order],
        }

    def test_another_mean_passes_and_is_said(self, vgg, image):
        said = []
        arrays = self.reference("vgg16", vgg, image, mean=[122, 117, 104])
        result = gradcam.compare(arrays, "vgg16", vgg, say=said.append)
        assert result.passed, str(result)
        assert any("less a mean of 104, 117, 122; it is compared on this input" in line for line in said)

    def test_rounding_of_large_logits_is_no_wrong_softmax(self, vgg, image):
        arrays = self.reference("vgg16", vgg, image)
        rounded = arrays["logits"] * np.float32(1 + 1e-6)
        exponentials = np.exp((rounded - rounded.max()).astype(np.float64))
        arrays["softmax"] = exponentials / exponentials.sum()
        result = gradcam.compare(arrays, "vgg16", vgg)
        row = next(row for row in result.rows if row.array == "softmax")
        assert row.tolerance == pytest.approx(max(1e-4, 1e-5 * np.abs(arrays["logits"]).max()))
        assert row.passed
        arrays["softmax"] = arrays["softmax"][:, ::-1]
        result = gradcam.compare(arrays, "vgg16", vgg)
        assert [row.array for row in result.rows if not row.passed] == ["softmax"]

    def test_the_reference_of_another_variant_is_told_as_such(self, resnet, image):
        scope = "resnet_v1_50_caffe"
        renamed = {name.replace("resnet_v1_50/", f"{scope}/"): array for name, array in resnet.items()}
        arrays = self.reference(scope, renamed, image)
        del arrays["input"]
        result = gradcam.compare(arrays, "resnet_v1_50", resnet)
        assert not result.passed
        assert not result.ties  # the forward pass differs: no decision is to blame
        assert f"logits differs already (picture 0): it is the reference of {scope}" in str(result)

    def test_zeros_are_told(self, vgg, image):
        arrays = self.reference("vgg16", vgg, image)
        arrays["logits"] = 0 * arrays["logits"]
        result = gradcam.compare(arrays, "vgg16", vgg)
        assert "the reference is all zero: a net without its weights" in str(result)
        assert "1 of 4 rows fail: logits (1)" in str(result)

    @pytest.mark.parametrize(("theirs", "ours"), [("res5c", "block4/unit_3"), ("res3b_relu", "block2/unit_2")])
    def test_the_layers_of_caffes_resnets(self, theirs, ours):
        (part,) = quantities([theirs], ["block2/unit_2", "block4/unit_3", "block4"], "block4", None)
        assert (part.kind, part.key) == ("activations", ours)
