"""The paper's ablations and CAM, by hand and by a second way."""

import numpy as np
import pytest

import slim_models
from gradcam import cams
from gradcam.explainer import Explainer
from gradcam.methods import REGISTRY, linear_head, methods_named, needs

# One image of 2 x 2 places and two channels, and the gradient at each.
ACTIVATIONS = np.array([[[1, 0], [2, 1]], [[0, 3], [1, 0]]], np.float32)[None]
GRADIENTS = np.array([[[4, -1], [0, -1]], [[0, -1], [0, -1]]], np.float32)[None]  # means 1 and -1


class TestByHand:
    def test_without_relu(self):
        # A1 - A2 is 1, 1 / -3, 1; raised by 3.
        np.testing.assert_allclose(cams.without_relu(ACTIVATIONS, GRADIENTS), [[[4, 4], [0, 4]]])

    def test_max_pooled(self):
        # 4 A1 - A2
        np.testing.assert_allclose(cams.max_pooled(ACTIVATIONS, GRADIENTS), [[[4, 7], [0, 4]]])

    def test_absolute_gradients(self):
        # A1 + A2
        np.testing.assert_allclose(cams.absolute_gradients(ACTIVATIONS, GRADIENTS), [[[1, 3], [3, 1]]])

    def test_class_activation_map(self):
        # 2 A1 - A2
        weights = np.array([[2, -1]], np.float32)
        np.testing.assert_allclose(cams.class_activation_map(ACTIVATIONS, weights), [[[2, 3], [0, 2]]])


@pytest.fixture(scope="module")
def everything(thin):
    """An explanation by a thin network with all that any method needs."""
    with Explainer(thin.network, thin.weights, **needs(REGISTRY)) as explainer:
        yield explainer.explain(thin.images, [1, 2, 3])


class TestOnNetworks:
    def test_grad_cam_is_cam_where_the_head_is_linear(self, thin, everything):
        """Paper, sec. 3: on such a network the gradient is the class's weight over the number of places."""
        weights = {name: np.asarray(array) for name, array in thin.weights.items()}
        if thin.network.name == "vgg16":
            with pytest.raises(ValueError, match="linear in the mean"):
                methods_named(["cam"], weights)
            return
        cam = methods_named(["cam"], weights)["cam"].make(everything)
        places = np.prod(cam.shape[1:])
        expected = cam / places
        np.testing.assert_allclose(everything.cam(), expected, rtol=1e-4, atol=1e-5 * expected.max())
        assert cam.max() > 0

    def test_other_rules_at_the_layer(self, thin, everything):
        """At VGG16's conv5_3 the ReLUs of fc6 and fc7 lie behind; at a ResNet's block4 none do."""
        layer = thin.network.default_layer
        same = [np.allclose(everything.signals[r][layer], everything.gradients[layer]) for r in ("guided", "deconvnet")]
        assert same == [thin.network.name != "vgg16"] * 2
        np.testing.assert_array_equal(
            everything.cam(rule="guided"),
            cams.grad_cam(everything.activations[layer], everything.signals["guided"][layer]),
        )

    def test_the_signal_at_the_layer_is_that_of_gradients(self, thin, everything):
        """A second way: built anew by `slim_models.gradients` from the chosen logits."""
        logits, layer = thin.network.logits, thin.network.endpoints[thin.network.default_layer]
        with thin.network.graph.as_default():
            signal = slim_models.gradients(logits[:, 2], [layer], "deconvnet")[0]
        expected = thin.explainer.session.run(signal, {thin.network.images: thin.images})
        np.testing.assert_allclose(
            everything.signals["deconvnet"][thin.network.default_layer][1], expected[1], rtol=1e-4, atol=1e-7
        )

    def test_a_rule_that_was_not_asked_for(self, thin):
        with pytest.raises(KeyError, match=r"'guided' at the layers; there are backprop"):
            thin.explainer.explain(thin.images, 1).cam(rule="guided")


def test_methods_by_name():
    assert list(methods_named(["layer_cam", "grad_cam"])) == ["layer_cam", "grad_cam"]
    with pytest.raises(KeyError, match=r"no method 'gradcam'; the methods are grad_cam, "):
        methods_named(["gradcam"])
    assert needs(methods_named(["grad_cam"])) == {"rules": (), "layer_rules": ()}
    wanted = needs(methods_named(["guided_grad_cam", "guided_backprop", "backprop", "deconvnet_gradient"]))
    assert wanted == {"rules": ("guided", "backprop"), "layer_rules": ("deconvnet",)}


def test_the_head_of_a_network():
    weights = np.arange(6.0).reshape(1, 1, 2, 3)
    np.testing.assert_array_equal(linear_head({"resnet/logits/weights": weights, "a/weights": weights}), weights[0, 0])
    assert linear_head({"fc8/weights": weights[0, 0]}) is None
    assert linear_head({"a/logits/weights": np.zeros((3, 3, 2, 3))}) is None
