"""What ends a notebook's cell: the reprs, and an explanation's picture; and targets and sizes as they are typed."""

import base64
import re

import cv2
import numpy as np
import pytest

import slim_models
from gradcam import cams, maps
from gradcam.explainer import Explainer
from gradcam.explanation import Explanation
from gradcam.pictures import Photograph, fit_image, resize
from slim_models.mistakes import BadValue

IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 64, 64, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def explainer():
    network = slim_models.build("resnet_v1_50", image_size=(64, 64), width_divisor=8)
    with Explainer(network, slim_models.random_weights(network)) as explainer:
        yield explainer


def test_none_among_targets_is_that_picture_s_predicted_class(explainer):
    predicted = explainer.predict(IMAGES).argmax(axis=1)
    for targets in ([None, "espresso", 3], [None, None, None], (7, None, np.int64(8)), np.array([None, 1, 2], object)):
        expected = [p if t is None else explainer.index(t) for p, t in zip(predicted, targets)]
        explained, plain = explainer.explain(IMAGES, targets), explainer.explain(IMAGES, expected)
        assert explained.targets.tolist() == expected
        np.testing.assert_allclose(explained.cam(), plain.cam(), rtol=1e-4, atol=1e-6)
    with pytest.raises(BadValue, match="2 targets for 3 images"):
        explainer.explain(IMAGES, [None, 3])
    with pytest.raises(BadValue, match="an index or a name, not None"):
        explainer.explain_classes(IMAGES[0], [None, 3])


def test_networks_and_explainers_say_what_they_are(explainer):
    first, second = repr(explainer.network).splitlines()
    classes = "1000 classes (tench, goldfish, great white shark, ...)"
    assert first == f"Network 'resnet_v1_50': pictures of 64 x 64 x 3, {classes}, softmax"
    assert second == "  22 layers, the default block4 of 2 x 2 x 256; float32"
    assert repr(explainer).startswith(f"Explainer of {first}\n")
    assert repr(explainer).splitlines()[-1] == "  explains layers: block4; saliency under rules: guided"
    assert repr(Photograph("cup", np.zeros((40, 60, 3), np.uint8))) == "Photograph 'cup': 60 x 40 pixels, fit 'stretch'"
    scene = Photograph.of_array("scene", np.ones((4, 6, 5)), bands=(1, 2, 3))
    assert repr(scene).endswith(", of which the network sees [4, 6, 5] float32")


def test_an_explanation_says_what_was_explained(explainer):
    explanation = explainer.explain(IMAGES, [3, 4, 5])
    first, second = repr(explanation).splitlines()
    shares = [explanation.probabilities[n, n + 3] for n in range(3)]
    told = "; ".join(
        f"class {n + 3} ({'<0.1%' if share < 0.0005 else f'{share:.1%}'})" for n, share in enumerate(shares)
    )
    assert first == f"Explanation of 3 images of 64 x 64 x 3: {told}"
    assert second == "  layers: block4 [2, 2, 256]; saliency under rules: guided"


def pictures_in(html):
    encoded = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    return [
        cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR)[..., ::-1] for text in encoded
    ]


def test_a_notebook_shows_the_overlays(explainer):
    explanation = explainer.explain(IMAGES, 3)
    shown = pictures_in(explanation._repr_html_())
    assert len(shown) == 3
    for n, picture in enumerate(shown):
        by_hand = maps.overlay(np.rint(IMAGES[n]), explanation.heatmap()[n])
        assert np.abs(picture.astype(int) - by_hand).max() <= 1
    assert "class 3 (" in explanation._repr_html_()
    assert "Grad-CAM of block4, each map over its own maximum" in explanation._repr_html_()


def made(images, **changed):
    """An explanation of activations that are 1 in one place, without a network."""
    activations = np.zeros((len(images), 2, 2, 1), np.float32)
    activations[:, 0, 0] = 1
    mapping = {"a<b": activations}
    logits, targets = np.zeros((len(images), 2), np.float32), np.zeros(len(images), np.int64)
    arrays = {
        "activations": mapping,
        "gradients": {"a<b": np.ones_like(activations)},
        "default_layer": "a<b",
        **changed,
    }
    return Explanation(images=images, logits=logits, targets=targets, signals={}, saliency={}, **arrays)


def test_arrays_that_are_no_photographs_are_shown_as_grey():
    images = np.zeros((1, 4, 4, 5), np.float32)
    images[0, :, 2:] = -3
    (picture,) = pictures_in(made(images)._repr_html_())
    grey = np.repeat(np.where(np.arange(4) < 2, 255, 0)[None, :, None], 4, axis=0).repeat(3, axis=2)
    np.testing.assert_array_equal(picture, maps.overlay(grey, maps.heatmap(np.float32([[[1, 0], [0, 0]]]), 4)[0]))
    assert "a&lt;b" in made(images)._repr_html_() and "a<b" not in made(images)._repr_html_()
    many = made(np.zeros((9, 4, 4, 3), np.float32))
    assert len(pictures_in(many._repr_html_())) == 5 and repr(many).splitlines()[0].endswith("; ...")
    nothing = made(images, activations={}, gradients={}, default_layer="")._repr_html_()
    assert not pictures_in(nothing) and "layers: none" in nothing


def test_sizes_are_one_number_or_two():
    cam = np.random.default_rng(1).uniform(0, 1, (2, 7, 7)).astype(np.float32)
    np.testing.assert_array_equal(maps.heatmap(cam, 112), maps.heatmap(cam, (112, 112)))
    image = np.random.default_rng(2).integers(0, 255, (40, 60, 3), np.uint8)
    for whole in (lambda size: fit_image(image, size), lambda size: resize(image, size), Photograph("x", image).fitted):
        np.testing.assert_array_equal(whole(32), whole((32, 32)))
        assert whole(np.int64(32)).shape == (32, 32, 3)
        for size in (0, 2.5, "32", (1, 2, 3), (3, -1), True, None):
            with pytest.raises(BadValue, match="positive whole number of pixels, or .height, width."):
                whole(size)
    assert slim_models.build("vgg16", image_size=(64, 64), width_divisor=16, fc_width=8).image_size == (64, 64)
    with pytest.raises(BadValue, match="take square pictures, not 64 x 96"):
        slim_models.build("vgg16", image_size=(64, 96))


@pytest.mark.parametrize("name", cams.FORMULAS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_and_the_image_named(name, bad):
    arrays = {kind: np.ones((3, 2, 2, 4), np.float32) for kind in ("activations", "gradients")}
    for kind in arrays:
        changed = {**arrays, kind: arrays[kind].copy()}
        changed[kind][1, 0, 1, 2] = bad
        with pytest.raises(BadValue, match="must be finite; .* of image 1$"):
            cams.formula(name)(**changed)


def test_a_map_of_a_linear_head_refuses_it_too():
    with pytest.raises(BadValue, match="activations must be finite"):
        cams.class_activation_map(np.full((1, 2, 2, 3), np.nan), np.ones((1, 3)))
    with pytest.raises(BadValue, match="weights must be finite"):
        cams.class_activation_map(np.ones((1, 2, 2, 3)), np.full((1, 3), np.inf))


def test_a_negative_activation_of_a_channel_that_speaks_against_the_class_is_hot():
    """As the module says: eq. 1 and 2 by hand, alpha = -1 and A = -2 in one place."""
    activations, gradients = np.zeros((1, 2, 2, 1)), np.full((1, 2, 2, 1), -1.0)
    activations[0, 0, 1] = -2
    np.testing.assert_array_equal(cams.grad_cam(activations, gradients), [[[0, 2], [0, 0]]])
