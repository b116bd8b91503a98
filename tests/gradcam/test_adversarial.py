"""Adversarial pictures: within the bound, in whole grey levels, and nearer to the class than before."""

import types

import numpy as np
import pytest
from scripted import calmed

from gradcam.adversarial import direction, perturb
from gradcam.explainer import Explainer


def softmax(logits):
    exponentials = np.exp(logits.astype(np.float64) - logits.max())
    return exponentials / exponentials.sum()


@pytest.fixture(scope="module")
def calm(thin):
    with Explainer(thin.network, calmed(thin), rules=("backprop",)) as explainer:
        yield types.SimpleNamespace(explainer=explainer, images=thin.images)


@pytest.fixture
def photograph(calm):
    """A picture that is not whole grey levels, with places where the bound meets 0 and 255."""
    image = calm.images[0].copy()
    image[:8], image[8:16] = 0.5, 254.25
    return image


class TestPerturb:
    @pytest.mark.parametrize("most", [1, 4])
    def test_bound_and_levels_hold_exactly_and_the_class_gains(self, calm, photograph, most):
        for target in (2, 9):
            found = perturb(calm.explainer, photograph, target, most=most, steps=6, probability=1)
            assert found.image.dtype == np.uint8  # so whole, and in [0, 255]
            assert np.abs(found.image - photograph.astype(np.float64)).max() <= most
            before, after = (softmax(calm.explainer.predict(x[None])[0])[target] for x in (photograph, found.image))
            assert after > before
            assert found.probability == pytest.approx(after, rel=1e-4)
            assert found.reached == (found.probability >= 1)
            assert 1 <= found.steps <= 6

    def test_a_step_is_a_signed_gradient(self, calm):
        image = np.rint(calm.images[1]).astype(np.uint8)
        logits = calm.explainer.predict(image[None])[0]
        other, *targets = (int(i) for i in np.argsort(-logits))
        nearer = 0
        for target in targets:
            found = perturb(calm.explainer, image, target, most=4, steps=1, probability=1)
            saliency = calm.explainer.explain(np.stack([image, image]), [target, other]).saliency["backprop"]
            step = np.sign(saliency[0].astype(np.float64) - saliency[1])
            expected = np.clip(image + found.steps * step, 0, 255)  # no step, where it led to less
            np.testing.assert_array_equal(found.image, expected)
            nearer += found.steps
        assert nearer > len(targets) / 2

    def test_it_ends_when_the_probability_is_reached(self, calm):
        image, target = calm.images[2], 4
        probability = perturb(calm.explainer, image, target, steps=8, probability=1).probability
        start = softmax(calm.explainer.predict(np.rint(image)[None])[0])[target]
        halfway = (start + probability) / 2
        found = perturb(calm.explainer, image, target, steps=8, probability=halfway)
        assert found.reached
        assert found.probability >= halfway
        before_it = perturb(calm.explainer, image, target, steps=max(1, found.steps - 1), probability=1)
        assert found.steps == 1 or before_it.probability < halfway

    def test_what_is_sure_already_is_left_alone(self, calm):
        image = np.rint(calm.images[0])
        probabilities = softmax(calm.explainer.predict(image[None])[0])
        target = int(probabilities.argmax())
        found = perturb(calm.explainer, image, target, probability=0.99 * probabilities[target])
        np.testing.assert_array_equal(found.image, image)
        assert (found.steps, found.reached) == (0, True)
        assert found.probability == pytest.approx(probabilities[target], rel=1e-5)

    def test_the_same_twice_and_nocalmg_of_its_input_changed(self, calm, photograph):
        given = photograph.copy()
        one, other = (perturb(calm.explainer, photograph, 3, steps=3, probability=1) for _ in range(2))
        np.testing.assert_array_equal(one.image, other.image)
        assert one.probability == other.probability
        np.testing.assert_array_equal(photograph, given)

    def test_a_dark_picture_is_not_taken_for_one_in_0_to_1(self, calm):
        found = perturb(calm.explainer, np.zeros_like(calm.images[0]), 3, most=1, steps=2, probability=1)
        assert found.image.max() <= 1


def test_direction_is_the_slope_of_the_difference_of_logits(calm):
    """A level more or less at the pixels that matter most moves logit[2] - logit[7] as the gradient says."""
    image = np.clip(calm.images[0], 2, 253)
    gradient = direction(calm.explainer, image, 2, 7)
    assert gradient.shape == image.shape
    pixels = [np.unravel_index(i, image.shape) for i in np.abs(gradient).ravel().argsort()[-5:]]
    pairs = np.repeat(image[None], 2 * len(pixels), axis=0)
    for number, pixel in enumerate(pixels):
        pairs[2 * number][pixel] += 0.5
        pairs[2 * number + 1][pixel] -= 0.5
    logits = calm.explainer.predict(pairs).astype(np.float64)
    difference = logits[:, 2] - logits[:, 7]
    # The slope is exact but where a ReLU has its corner wicalm the level.
    np.testing.assert_allclose(difference[::2] - difference[1::2], [gradient[p] for p in pixels], rtol=0.1)


class TestErrors:
    @pytest.mark.parametrize(("target", "error"), [(10, ValueError), (-1, ValueError), ("cat", KeyError)])
    def test_targets(self, thin, target, error):
        with pytest.raises(error, match=r"out of range|have no names"):
            perturb(thin.explainer, thin.images[0], target)

    @pytest.mark.parametrize("shape", [(5, 5, 3), (2, 3), (1, 64, 64, 3), (64, 64, 1)])
    def test_shapes(self, thin, shape):
        height, width = thin.network.image_size
        with pytest.raises(ValueError, match=rf"must be \[{height}, {width}, 3\], not \[{shape[0]}"):
            perturb(thin.explainer, np.zeros(shape), 3)

    def test_a_preprocessed_picture(self, thin):
        with pytest.raises(ValueError, match="not preprocessed"):
            perturb(thin.explainer, thin.images[0] / 255, 3)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"most": 0}, "at least 1, not 0 and 100"),
            ({"steps": 0}, "at least 1, not 4 and 0"),
            ({"probability": 99.0}, "at most 1, not 99"),
            ({"probability": 0}, "above 0"),
        ],
    )
    def test_options(self, thin, options, words):
        with pytest.raises(ValueError, match=words):
            perturb(thin.explainer, thin.images[0], 3, **options)

    def test_an_explainer_without_the_true_gradient(self, thin):
        with (
            Explainer(thin.network, thin.weights, rules=("guided",)) as explainer,
            pytest.raises(KeyError, match=r"'backprop'.*\['guided'\]"),
        ):
            perturb(explainer, thin.images[0], int(explainer.predict(thin.images[:1]).argmin()))
