"""One run of a network: right, repeatable, image by image, and clear about bad input."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from thin import THIN

import slim_models
from gradcam.cams import grad_cam
from gradcam.explainer import Explainer
from gradcam.explanation import BlankMapWarning
from gradcam.methods import METHODS
from slim_models.weights import random_weights


def assert_close(ours, theirs, tolerance=1e-5):
    scale = np.abs(theirs).max()
    np.testing.assert_allclose(ours / scale, theirs / scale, atol=tolerance)


def assert_same_explanation(one, other, tolerance=0.0):
    for attribute in ("activations", "gradients", "saliency"):
        for key, array in getattr(one, attribute).items():
            if tolerance:
                assert_close(array, getattr(other, attribute)[key], tolerance)
            else:
                np.testing.assert_array_equal(array, getattr(other, attribute)[key])
    np.testing.assert_allclose(one.logits, other.logits, rtol=tolerance)


class TestExplanation:
    def test_shapes(self, thin):
        explanation = thin.explainer.explain(thin.images)
        size = thin.network.image_size
        layer = thin.network.default_layer
        h, w, k = thin.network.endpoints[layer].shape.as_list()[1:]
        assert explanation.logits.shape == explanation.probabilities.shape == (3, 10)
        assert explanation.targets.shape == (3,)
        assert explanation.activations[layer].shape == explanation.gradients[layer].shape == (3, h, w, k)
        assert {rule: array.shape for rule, array in explanation.saliency.items()} == dict.fromkeys(
            ("backprop", "deconvnet", "guided"), (3, *size, 3)
        )
        assert explanation.cam().shape == (3, h, w)
        assert explanation.heatmap().shape == (3, *size)
        assert explanation.guided_grad_cam().shape == (3, *size, 3)

    def test_without_targets_the_predicted_class_is_explained(self, thin):
        predicted = thin.explainer.explain(thin.images)
        np.testing.assert_array_equal(predicted.targets, predicted.logits.argmax(axis=1))
        given = thin.explainer.explain(thin.images, predicted.targets)
        assert_same_explanation(predicted, given)

    def test_probabilities_are_the_softmax(self, thin):
        explanation = thin.explainer.explain(thin.images)
        theirs = np.asarray(tf.compat.v2.nn.softmax(explanation.logits))
        np.testing.assert_allclose(explanation.probabilities, theirs, rtol=1e-4, atol=1e-7)

    def test_guided_grad_cam_is_the_raw_product(self, thin):
        explanation = thin.explainer.explain(thin.images)
        product = explanation.saliency["guided"] * explanation.heatmap()[..., None]
        np.testing.assert_array_equal(explanation.guided_grad_cam(), product)

    @pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
    def test_every_method_works_on_one_run(self, thin, method):
        explanation = thin.explainer.explain(thin.images, 3)
        layer = thin.network.default_layer
        expected = method(explanation.activations[layer], explanation.gradients[layer])
        np.testing.assert_array_equal(explanation.cam(method), expected)

    def test_one_image_of_a_batch(self, thin):
        batch = thin.explainer.explain(thin.images, [1, 2, 3])
        one = batch[1]
        assert one.targets.tolist() == [2]
        np.testing.assert_array_equal(one.cam(), batch.cam()[1:2])
        np.testing.assert_array_equal(one.guided_grad_cam(), batch.guided_grad_cam()[1:2])
        assert len(list(batch)) == 3
        arrays = one.arrays()
        np.testing.assert_array_equal(arrays["cam"], batch.cam()[1:2])
        assert {len(array) for array in arrays.values()} == {1}
        assert {"images", "logits", "probabilities", "targets", "guided", "guided_grad_cam"} < arrays.keys()


class TestNumbers:
    def test_gradients_are_the_slopes_of_the_logit(self, thin):
        """Central differences of the logit as the target layer's activations move up and down their gradient."""
        network, layer = thin.network, thin.network.default_layer
        explanation = thin.explainer.explain(thin.images[:1], 2)
        activations, gradients = explanation.activations[layer], explanation.gradients[layer]
        # Zeros stay: several in one window of pool5 are a tie, where the maximum has no slope.
        step = 1e-3 * np.abs(activations).max() * np.sign(gradients) * (activations > 0)
        up, down = (
            thin.explainer._session.run(network.logits, {network.endpoints[layer]: activations + sign * step})[0, 2]
            for sign in (1, -1)
        )
        assert (up - down) / 2 == pytest.approx((gradients * step).sum(), rel=0.02)

    @pytest.mark.parametrize("channel", range(3), ids=["red", "green", "blue"])
    def test_saliency_is_rgb_and_has_the_slope_of_the_logit(self, thin, channel):
        """One colour of the picture moves up and down its gradient; with channels swapped nothing would fit."""
        images = np.clip(thin.images[:1], 1, 254)
        gradient = thin.explainer.explain(images, 1).saliency["backprop"][..., channel]
        step = 0.02 * np.sign(gradient)
        both = np.concatenate([images, images])
        both[0, ..., channel] += step[0]
        both[1, ..., channel] -= step[0]
        up, down = thin.explainer.explain(both, 1).logits[:, 1]
        assert (up - down) / 2 == pytest.approx((gradient * step).sum(), rel=0.05)

    def test_two_runs_are_bit_equal(self, thin):
        assert_same_explanation(thin.explainer.explain(thin.images, 4), thin.explainer.explain(thin.images, 4))

    def test_a_batch_is_its_images_one_by_one(self, thin):
        targets = [1, 2, 3]
        batch = thin.explainer.explain(thin.images, targets)
        for i, target in enumerate(targets):
            single = thin.explainer.explain(thin.images[i : i + 1], target)
            for attribute in ("activations", "gradients", "saliency"):
                for key, array in getattr(single, attribute).items():
                    assert_close(array[0], getattr(batch, attribute)[key][i], 1e-4)

    def test_explain_classes_is_explain_for_each_class(self, thin):
        classes = thin.explainer.explain_classes(thin.images[0], [5, 0, 5])
        np.testing.assert_array_equal(classes.targets, [5, 0, 5])
        for i, target in enumerate([5, 0, 5]):
            single = thin.explainer.explain(thin.images[:1], target)
            assert_close(classes.cam()[i], single.cam()[0], 1e-4)
            assert_close(classes.saliency["guided"][i], single.saliency["guided"][0], 1e-4)

    def test_grad_cam_of_the_resnet_is_cam(self):
        """Its head is an average and one matrix: Grad-CAM is CAM (Zhou 2016) divided by Z."""
        network = slim_models.build("resnet_v1_50", image_size=96, **THIN)
        weights = random_weights(network)
        images = np.random.default_rng(0).uniform(0, 255, (1, 96, 96, 3))
        with Explainer(network, weights, rules=()) as explainer:
            explanation = explainer.explain(images, 3)
        activations = explanation.activations["block4"]
        cam = np.maximum(activations @ weights["resnet_v1_50/logits/weights"][0, 0, :, 3], 0)
        assert_close(explanation.cam(), cam / np.prod(activations.shape[1:3]))


class TestOneRun:
    def test_explain_is_one_session_run_and_adds_no_operation(self, thin, monkeypatch):
        runs = []
        session = thin.explainer._session
        run = session.run
        monkeypatch.setattr(session, "run", lambda *arguments: runs.append(1) or run(*arguments))
        before = len(thin.network.graph.get_operations())
        thin.explainer.explain(thin.images)
        thin.explainer.explain(thin.images, [1, 2, 3])
        assert len(runs) == 2
        assert len(thin.network.graph.get_operations()) == before

    def test_several_layers_at_once(self, thin):
        layers = list(thin.network.endpoints)[-3:]
        with Explainer(thin.network, thin.weights, layers=layers, rules=()) as explainer:
            explanation = explainer.explain(thin.images, 0)
        assert list(explanation.activations) == list(explanation.gradients) == layers
        assert explanation.saliency == {}
        default = thin.explainer.explain(thin.images, 0)
        assert_close(explanation.cam(layer=default.default_layer), default.cam())
        with Explainer(thin.network, thin.weights, layers=layers[:1], rules=()) as alone:
            assert_close(explanation.gradients[layers[0]], alone.explain(thin.images, 0).gradients[layers[0]])

    def test_a_second_explainer_of_a_network_works(self, thin):
        with Explainer(thin.network, thin.weights, rules=slim_models.RULES) as again:
            assert_same_explanation(thin.explainer.explain(thin.images), again.explain(thin.images))

    def test_after_the_context_the_session_is_closed(self, thin):
        with Explainer(thin.network, thin.weights) as explainer:
            pass
        with pytest.raises(RuntimeError, match="closed"):
            explainer._session.run(thin.network.logits)
        with pytest.raises(ValueError, match="closed"):
            explainer.explain(thin.images)

    def test_weights_by_path(self, thin, tmp_path):
        np.savez(tmp_path / "w.npz", **thin.weights)
        with Explainer(thin.network, tmp_path / "w.npz", rules=()) as explainer:
            assert_close(explainer.explain(thin.images).logits, thin.explainer.explain(thin.images).logits)

    def test_it_works_beside_eager_code(self, thin):
        assert tf.executing_eagerly()
        thin.explainer.explain(thin.images)
        assert tf.executing_eagerly()
        assert float(tf.constant(2.0) * 3) == 6


class TestMistakes:
    @pytest.mark.parametrize(
        ("images", "message"),
        [
            (np.zeros((48, 48, 3)), r"\[48, 48, 3\]"),
            (np.zeros((1, 47, 48, 3)), r"must be \[N, (48|64), (48|64), 3\], not \[1, 47, 48, 3\]"),
            (np.zeros((1, 48, 48, 4)), r"\[1, 48, 48, 4\]"),
            (np.zeros((1, 3, 48, 48)), r"\[1, 3, 48, 48\]"),
        ],
    )
    def test_wrong_shapes(self, thin, images, message):
        with pytest.raises(ValueError, match=message):
            thin.explainer.explain(images)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda images: images[:0], "N is 0"),
            (lambda images: np.where(images > 200, np.nan, images), "NaN"),
            (lambda images: np.where(images > 200, np.inf, images), "infinity"),
            (lambda images: images - 120, r"RGB in \[0, 255\].*\[-1"),
            (lambda images: images + 100, r"RGB in \[0, 255\]"),
            (lambda images: images / 255, r"RGB in \[0, 255\]"),
            (lambda images: images.astype(str), "numbers"),
        ],
    )
    def test_images_that_cannot_be(self, thin, change, message):
        with pytest.raises(ValueError, match=message):
            thin.explainer.explain(change(thin.images))

    @pytest.mark.parametrize(
        ("targets", "error", "message"),
        [
            (10, ValueError, "target 10 is out of range: classes are 0 to 9"),
            (-1, ValueError, "-1"),
            ([0, 1, 10], ValueError, "10"),
            ([0, 1], ValueError, "2 targets for 3 images"),
            ("espresso", KeyError, "no names.*'espresso'"),
            (1.5, ValueError, "1.5"),
            ([0.5, 1, 2], ValueError, "0.5"),
            (True, ValueError, "True"),
            (np.array([[1, 2, 3]]), ValueError, "1 targets for 3 images|a target is"),
        ],
    )
    def test_targets_that_cannot_be(self, thin, targets, error, message):
        with pytest.raises(error, match=message):
            thin.explainer.explain(thin.images, targets)

    def test_an_index_in_digits_needs_no_names(self, thin):
        assert thin.explainer.explain(thin.images, "7").targets.tolist() == [7, 7, 7]

    def test_unknown_layers_and_rules_list_the_choices(self, thin):
        with pytest.raises(KeyError, match=f"'conv9'.*{thin.network.default_layer}"):
            Explainer(thin.network, thin.weights, layers=["conv9"])
        with pytest.raises(KeyError, match="'lrp'.*backprop, deconvnet, guided"):
            Explainer(thin.network, thin.weights, rules=["lrp"])
        with pytest.raises(ValueError, match="rules must be a list of names, not 'guided'"):
            Explainer(thin.network, thin.weights, rules="guided")

    def test_a_layer_or_rule_that_was_not_explained(self, thin):
        with Explainer(thin.network, thin.weights, rules=()) as explainer:
            explanation = explainer.explain(thin.images)
        with pytest.raises(KeyError, match="'pool1' was not explained; explained were"):
            explanation.cam(layer="pool1")
        with pytest.raises(KeyError, match="'guided'"):
            explanation.guided_grad_cam()

    def test_missing_weights(self, thin, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(FileNotFoundError, match="no weights for"):
            Explainer(thin.network)
        with pytest.raises(FileNotFoundError, match=r"none\.npy"):
            Explainer(thin.network, tmp_path / "none.npy")

    @pytest.mark.parametrize("targets", [[], 3, "3", None, np.int64(3)])
    def test_explain_classes_wants_a_list(self, thin, targets):
        with pytest.raises(ValueError, match="list of classes"):
            thin.explainer.explain_classes(thin.images[0], targets)

    def test_explain_classes_wants_one_image(self, thin):
        with pytest.raises(ValueError, match=r"\[H, W, 3\]"):
            thin.explainer.explain_classes(thin.images, [1])

    @pytest.mark.parametrize("device", ["tpu", "gpu:x", "gpu:63"])
    def test_devices_that_are_not_there(self, thin, device):
        with pytest.raises(ValueError, match=device):
            Explainer(thin.network, thin.weights, device=device)

    def test_the_cpu_is_always_there(self, thin):
        with Explainer(thin.network, thin.weights, rules=(), device="cpu") as explainer:
            explainer.explain(thin.images)


def test_a_dead_network_gives_a_zero_map_not_nan():
    """All weights zero: no activation, no gradient, and still a picture that says so."""
    network = slim_models.build("vgg16", image_size=32, **THIN)
    weights = {name: np.zeros(v.shape.as_list()) for name, v in network.variables().items()}
    with Explainer(network, weights) as explainer:
        explanation = explainer.explain(np.full((1, 32, 32, 3), 200))
    with pytest.warns(BlankMapWarning, match="is blank"):
        heatmap = explanation.heatmap()
    for array in (explanation.cam(grad_cam), heatmap, explanation.guided_grad_cam()):
        assert not array.any()
        assert np.isfinite(array).all()


def test_logits_that_are_no_numbers_are_refused():
    """Weights that are finite, and too large for what they are summed up to."""
    network = slim_models.build("vgg16", image_size=32, **THIN)
    weights = {name: np.full(v.shape.as_list(), 1e30) for name, v in network.variables().items()}
    images = np.full((2, 32, 32, 3), 200)
    with Explainer(network, weights, rules=()) as explainer:
        for look in (explainer.explain, explainer.predict):
            with pytest.raises(ValueError, match="vgg16 gives image 0 a NaN or an infinity among its logits"):
                look(images)
