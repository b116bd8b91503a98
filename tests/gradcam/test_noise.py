"""Means over noisy copies: by hand for functions whose gradient is known, and their formulas place by place."""

import numpy as np
import pytest

from gradcam.noise import noisy_moments, smooth_grad, smooth_grad_cam_plus_plus, var_grad

IMAGE = np.array([[[0.0], [10.0]], [[4.0], [2.0]]])
CALM = {"samples": 7, "batch": 3}


def cube(images):
    """The gradient of sum x^3."""
    return 3 * np.float64(images) ** 2


def copies(samples, noise, seed=0):
    """The noisy copies, drawn all at once."""
    drawn = np.random.default_rng(seed).standard_normal((samples, *IMAGE.shape), np.float32)
    return np.float32(IMAGE) + np.float32(noise * 10) * drawn


def test_without_noise_it_is_the_gradient():
    np.testing.assert_allclose(smooth_grad(cube, IMAGE, noise=0, **CALM), 3 * IMAGE**2)
    assert not var_grad(cube, IMAGE, noise=0, **CALM).any()


def test_moments_are_those_of_the_copies():
    """A second way: mean, variance and powers of all the copies' gradients at once, by NumPy."""
    gradients = cube(copies(7, 0.2))
    first, second, third = noisy_moments(cube, IMAGE, 3, noise=0.2, samples=7, batch=7)
    np.testing.assert_allclose([first, second, third], [np.mean(gradients**order, axis=0) for order in (1, 2, 3)])
    np.testing.assert_allclose(smooth_grad(cube, IMAGE, noise=0.2, samples=7, batch=7), gradients.mean(axis=0))
    np.testing.assert_allclose(var_grad(cube, IMAGE, noise=0.2, samples=7, batch=7), gradients.var(axis=0))


def test_the_noise_is_a_share_of_the_range_and_repeatable():
    """The mean of 3 (x + e)^2 is 3 x^2 + 3 s^2, with s = 0.1 * (10 - 0) = 1; the variance of x + e is 1."""
    mean = smooth_grad(cube, IMAGE, noise=0.1, samples=20_000, batch=5000)
    np.testing.assert_allclose(mean, 3 * IMAGE**2 + 3, rtol=0.02, atol=0.1)
    variance = var_grad(lambda images: images, IMAGE, noise=0.1, samples=20_000, batch=5000)
    np.testing.assert_allclose(variance, np.ones_like(IMAGE), rtol=0.05)
    batches = [smooth_grad(cube, IMAGE, samples=7, batch=batch) for batch in (2, 7, 100)]
    np.testing.assert_allclose(batches[0], batches[1])
    np.testing.assert_array_equal(batches[1], batches[2])
    assert (smooth_grad(cube, IMAGE, seed=1) != smooth_grad(cube, IMAGE)).any()


@pytest.mark.parametrize(("samples", "noise"), [(0, 0.1), (3, -0.1), (3, np.nan)])
def test_what_is_no_noise(samples, noise):
    with pytest.raises(ValueError, match="noise needs samples"):
        smooth_grad(cube, IMAGE, samples=samples, noise=noise)


class TestSmoothGradCamPlusPlus:
    def test_by_hand(self):
        # One channel of two places: A = 1, 3, of sum 4. D1 = 1, -1; D2 = 2, 4; D3 = 1, 5.
        # alpha = 2 / (4 + 4) = 1/4 and 4 / (8 + 20); only the first D1 is positive: w = 1/4.
        activations = np.array([1.0, 3.0]).reshape(1, 1, 2, 1)
        moments = [np.array(values, float).reshape(1, 1, 2, 1) for values in ([1, -1], [2, 4], [1, 5])]
        np.testing.assert_allclose(smooth_grad_cam_plus_plus(activations, *moments), [[[0.25, 0.75]]])

    def test_place_by_place_as_printed(self):
        rng = np.random.default_rng(0)
        activations = np.maximum(rng.standard_normal((2, 3, 4, 5)), 0)
        gradients = rng.standard_normal((6, 2, 3, 4, 5)) + 0.5
        first, second, third = ((gradients**order).mean(axis=0) for order in (1, 2, 3))
        expected = np.zeros((2, 3, 4))
        for n, k in np.ndindex(2, 5):
            weight = 0.0
            for i, j in np.ndindex(3, 4):
                below = 2 * second[n, i, j, k] + sum(a * third[n, i, j, k] for a in activations[n, ..., k].flat)
                weight += (second[n, i, j, k] / below if below > 0 else 0) * max(first[n, i, j, k], 0)
            expected[n] += weight * activations[n, ..., k]
        found = smooth_grad_cam_plus_plus(activations, first, second, third)
        np.testing.assert_allclose(found, np.maximum(expected, 0))

    def test_nothing_divides_by_zero(self):
        zero = np.zeros((1, 2, 2, 1))
        assert not smooth_grad_cam_plus_plus(zero, zero, zero, zero).any()
        with pytest.raises(ValueError, match=r"SmoothGrad-CAM\+\+ is not defined for activations below 0"):
            smooth_grad_cam_plus_plus(zero - 1, zero, zero, zero)
