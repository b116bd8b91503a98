"""Methods that run a network again, on thin networks: a second time by TensorFlow itself or run by run."""

import re

import cv2
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import slim_models
from gradcam import Difference, again, cams, more_runs, paths
from gradcam.explainer import Explainer
from gradcam.methods import REGISTRY, needs, why_blank
from gradcam.perturbation import rise_map
from gradcam.perturbation.scoring import GREY

pytestmark = pytest.mark.usefixtures("few_runs")


@pytest.fixture(scope="module")
def said():
    return []


@pytest.fixture(scope="module")
def explainer(thin, said):
    with Explainer(thin.network, thin.weights, **needs(REGISTRY), say=said.append) as explainer:
        yield explainer


@pytest.fixture(scope="module")
def apart(thin, explainer):
    """Of two pictures and what makes them one class rather than another."""
    return explainer.explain(thin.images[:2], [Difference(1, 2), Difference(3, (4, 5))])


@pytest.fixture(scope="module")
def slopes(thin, explainer):
    """Pictures and directions -> the gradients at the default layer and at the pictures, by TensorFlow alone."""
    network, session = thin.network, explainer.session
    with network.graph.as_default():
        ways = tf.placeholder(tf.float32, [None, network.num_classes])
        score = tf.reduce_sum(network.logits * ways, axis=1)
        wanted = slim_models.gradients(score, [network.endpoints[network.default_layer], network.images], "backprop")
    return lambda images, directions: session.run([score, *wanted], {network.images: images, ways: directions})


def assert_close(found, expected, share=1e-4):
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=share * np.abs(expected).max())


def test_finer_cam_is_grad_cam_of_the_difference_from_the_nearest(thin, explainer):
    explanation = explainer.explain(thin.images, [1, 2, 3])
    pairs = []
    for logits, target in zip(explanation.logits, (1, 2, 3)):
        others = sorted((abs(logits[other] - logits[target]), other) for other in range(10) if other != target)
        pairs.append(Difference(target, tuple(other for _, other in others[:3])))
    assert_close(more_runs.finer_cam(explanation), explainer.explain(thin.images, pairs).cam())


def test_smooth_grad_and_var_grad(apart, slopes):
    options = {"size": (3, *apart.images.shape[1:]), "dtype": np.float32}
    for number, image in enumerate(apart.images):
        noise = np.random.default_rng(0).standard_normal(**options) * np.float32(0.15 * (image.max() - image.min()))
        _, _, gradients = slopes(image + noise, np.repeat(apart.ways[number : number + 1], 3, axis=0))
        assert_close(more_runs.smooth_grad(apart)[number], gradients.mean(axis=0), 1e-3)
        assert_close(more_runs.var_grad(apart)[number], gradients.var(axis=0), 1e-3)


def test_smooth_grad_cam_plus_plus(apart, slopes):
    image = apart.images[1]
    noise = np.random.default_rng(0).standard_normal((3, *image.shape), np.float32)
    noise *= np.float32(0.15 * (image.max() - image.min()))
    _, gradients, _ = slopes(image + noise, np.repeat(apart.ways[1:], 3, axis=0))
    first, second, third = ((np.float64(gradients) ** order).mean(axis=0) for order in (1, 2, 3))
    activations = np.float64(apart.activations[apart.default_layer][1])
    below = 2 * second + activations.sum(axis=(0, 1)) * third
    weights = (np.where(below > 0, second / np.where(below > 0, below, 1), 0) * np.maximum(first, 0)).sum(axis=(0, 1))
    assert_close(more_runs.smooth_grad_cam_plus_plus(apart)[1], np.maximum(activations @ weights, 0), 1e-3)


def test_integrated_gradients_step_by_step(apart, slopes):
    image, way = apart.images[0], apart.ways[:1]
    expected = sum(slopes((i + 0.5) / 3 * image[None], way)[2][0] for i in range(3)) * image / 3
    assert_close(more_runs.integrated_gradients(apart)[0], expected, 1e-3)
    points = [paths.blurred(image, (1 - i / 6) * paths.BLUR * len(image)) for i in range(7)]
    expected = sum(slopes(points[i][None], way)[2][0] * (points[i + 1] - points[i - 1]) for i in (1, 3, 5))
    assert_close(more_runs.blur_integrated_gradients(apart)[0], expected, 1e-3)


def test_what_is_said_of_completeness(thin, apart, slopes, explainer, said, few_runs, monkeypatch):
    """With many steps the attributions add up to the rise of the score, and the words say by how much they are off."""
    monkeypatch.setitem(few_runs, "steps", 60)
    image, way = apart.images[:1], apart.ways[:1]
    for make, begin, title in (
        (more_runs.integrated_gradients, np.zeros_like(image), "integrated gradients"),
        (
            more_runs.blur_integrated_gradients,
            paths.blurred(image[0], paths.BLUR * image.shape[1])[None],
            "blur integrated gradients",
        ),
    ):
        said.clear()
        total = make(apart[0]).sum()
        rise = slopes(image, way)[0][0] - slopes(begin, way)[0][0]
        if thin.network.name == "vgg16":  # the slopes of fifty layers at random change within a step
            assert total == pytest.approx(rise, rel=0.1)
        (sentence,) = said
        assert sentence.startswith(f"{title} add up to ")
        found = [float(number) for number in re.findall(r"-?\d[\d.e+-]*", sentence)]
        np.testing.assert_allclose(found, [total, rise, 100 * abs(total - rise) / abs(rise)], rtol=1e-3, atol=0.02)


def test_score_cam_picture_by_picture(thin, apart, explainer):
    layer, (height, width) = apart.default_layer, thin.network.image_size
    image, activations, grey = apart.images[0], apart.activations[apart.default_layer][0], np.float32(GREY)
    scores = []
    for k in range(activations.shape[-1]):
        mask = cv2.resize(activations[..., k], (width, height))
        mask = (mask - mask.min()) / np.ptp(mask) if np.ptp(mask) else 0 * mask
        logits = explainer.predict((grey + (image - grey) * mask[..., None])[None])
        scores.append((logits[0] * apart.ways[0]).sum())

    def weighted(channels):  # the score of nothing is in none of the shares
        weights = np.exp(np.float64(scores)[channels] - np.max(np.float64(scores)[channels]))
        return np.maximum(activations[..., channels] @ (weights / weights.sum()), 0)

    assert_close(more_runs.score_cam(apart, layer)[0], weighted(np.arange(activations.shape[-1])), 1e-3)
    faster = np.argsort(-activations.var(axis=(0, 1), dtype=np.float64), kind="stable")[: more_runs.FASTER]
    assert_close(more_runs.faster_score_cam(apart)[0], weighted(faster), 1e-3)


def test_ablation_cam_channel_by_channel(thin, apart, explainer):
    """A second way: the network's own layer is fed, and the whole output is there."""
    tensor = thin.network.endpoints[apart.default_layer]
    activations = apart.activations[apart.default_layer][:1]
    run = explainer.session.run
    feed = {thin.network.images: apart.images[:1]}
    weights = []
    for k in range(activations.shape[-1]):
        without = activations.copy()
        without[..., k] = 0
        logits = run(thin.network.logits, {**feed, tensor: without})[0]
        weights.append(((apart.logits[0] - logits) * apart.ways[0]).sum())
    assert_close(more_runs.ablation_cam(apart)[0], cams.positive_sum(activations, np.array([weights]))[0], 1e-3)


def test_the_trunk_is_not_run_again_for_ablations(thin, apart, explainer, monkeypatch):
    """Whatever the pictures are, the activations that are fed decide."""
    layer = apart.default_layer
    logits = apart.runs.predict(np.zeros_like(apart.images), layer, apart.activations[layer])
    np.testing.assert_allclose(logits, apart.logits, rtol=1e-4, atol=1e-5)


def test_rise_is_of_what_the_network_says(apart, explainer):
    def said_of(images):
        logits = explainer.predict(images)
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (exponentials / exponentials.sum(axis=1, keepdims=True)) @ apart.ways[0]

    expected = rise_map(said_of, apart.images[0], masks=20)
    assert_close(more_runs.rise(apart)[0], expected - expected.min(), 1e-3)


def test_a_map_of_many_runs_that_is_blank(apart):
    assert why_blank(apart[0], REGISTRY["rise"], apart.default_layer).startswith("by this method nothing")


class TestClassesOfAPicture:
    """What methods predict of changed pictures is the same for every class, and is run once."""

    @pytest.fixture
    def ran(self, monkeypatch):
        """The pictures of every run."""
        found, predicted = [], again.Again._predicted
        monkeypatch.setattr(
            again.Again, "_predicted", lambda self, *asked: found.append(asked) or predicted(self, *asked)
        )
        return found

    @pytest.mark.parametrize("name", ["score_cam", "ablation_cam", "rise", "occlusion"])
    def test_two_classes_take_the_runs_of_one(self, name, thin, explainer, ran):
        predicted = int(explainer.predict(thin.images[:1]).argmax())
        several = REGISTRY[name].make(explainer.explain_classes(thin.images[0], [(predicted + 1) % 10, predicted]))
        count = len(ran)
        alone = REGISTRY[name].make(explainer.explain(thin.images[:1], predicted))
        assert len(ran) == 2 * count > 0
        assert_close(several[1], alone[0])
        assert several[1].any()

    def test_what_is_asked_of_other_pictures_layers_and_weights_is_run(self, thin, explainer, ran):
        runs = explainer.explain_classes(thin.images[0], [1, 2]).runs
        layer = thin.network.default_layer
        activations = np.random.default_rng(0).uniform(
            0, 1, explainer.explain(thin.images[:1]).activations[layer].shape
        )
        drawn = {name: -array for name, array in runs.weights_behind(layer).items()}
        for one in (runs, runs.with_weights(layer, drawn)):
            asked = [(thin.images[:1],), (thin.images[1:2],), (thin.images[:1], layer, activations)]
            first = [one.predict(*each) for each in asked]
            second = [one.predict(*each) for each in asked]
            np.testing.assert_array_equal(first, second)
            assert len(np.unique(np.array(first)[:, 0, 0])) == 3
        assert len(ran) == 6

    def test_what_is_remembered_is_bounded(self, thin, explainer, ran, monkeypatch):
        monkeypatch.setattr(again, "_MOST_REMEMBERED", 0)
        runs = explainer.explain_classes(thin.images[0], [1, 2]).runs
        for _ in range(2):
            runs.predict(thin.images)
        assert len(ran) == 2
