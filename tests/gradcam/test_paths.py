"""Gradients along paths: by hand for functions whose integral is known, complete, and blurred as OpenCV blurs."""

import math

import cv2
import numpy as np
import pytest

from gradcam.paths import (
    blur_integrated_gradients,
    blurred,
    gap,
    gradient_times_input,
    integrated_gradients,
    path_integral,
)

IMAGE = np.random.default_rng(0).uniform(0, 255, (6, 8, 3))


def cubes(images):
    return (np.float64(images) ** 3).sum(axis=(1, 2, 3))


def cube(images):
    return 3 * np.float64(images) ** 2


def test_gradient_times_input_by_hand():
    found = gradient_times_input(np.array([[[[2.0, -1, 3]]]]), np.array([[[[10, 20, 0]]]], np.uint8))
    np.testing.assert_array_equal(found, [[[[20, -20, 0]]]])


class TestIntegratedGradients:
    def test_of_a_linear_function_they_are_weight_times_input(self):
        weights = np.arange(IMAGE.size, dtype=float).reshape(IMAGE.shape)
        found = integrated_gradients(lambda images: np.repeat(weights[None], len(images), axis=0), IMAGE, steps=3)
        np.testing.assert_allclose(found, weights * IMAGE)

    def test_of_a_cube_by_hand(self):
        # The integral of 3 (t x)^2 x over t is x^3; with two steps the middles are t = 1/4 and 3/4:
        # 3 x^3 (1/16 + 9/16) / 2 = 15/16 x^3.
        np.testing.assert_allclose(integrated_gradients(cube, IMAGE, steps=2), 15 / 16 * IMAGE**3, rtol=1e-5)
        np.testing.assert_allclose(integrated_gradients(cube, IMAGE, steps=100), IMAGE**3, rtol=1e-4)

    def test_from_another_baseline(self):
        found = integrated_gradients(cube, IMAGE, 100.0, steps=200)
        np.testing.assert_allclose(found, IMAGE**3 - 100.0**3, rtol=1e-3, atol=50)

    def test_batches_do_not_matter(self):
        maps = [integrated_gradients(cube, IMAGE, steps=10, batch=batch) for batch in (1, 3, 100)]
        np.testing.assert_allclose(maps[0], maps[1])
        np.testing.assert_allclose(maps[0], maps[2])

    def test_no_steps(self):
        with pytest.raises(ValueError, match="at least 1 step, not 0"):
            integrated_gradients(cube, IMAGE, steps=0)


class TestBlur:
    @pytest.mark.parametrize("sigma", [0.7, 2.0, 9.0])
    def test_it_blurs_as_a_sum_over_mirrored_neighbours(self, sigma):
        """A second way: OpenCV's filter with the kernel written out, whose reach is greater than the picture."""
        reach = math.ceil(4 * sigma)
        kernel = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
        kernel /= kernel.sum()
        expected = cv2.sepFilter2D(IMAGE, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_REFLECT)
        np.testing.assert_allclose(blurred(IMAGE, sigma), expected, rtol=1e-9)

    def test_the_sum_stays_and_no_blur_is_the_picture(self):
        np.testing.assert_array_equal(blurred(IMAGE, 0), IMAGE)
        assert blurred(IMAGE, 3).sum() == pytest.approx(IMAGE.sum())
        np.testing.assert_allclose(blurred(np.full((5, 4, 2), 7.0), 2), 7)

    def test_it_is_complete(self):
        found = blur_integrated_gradients(cube, IMAGE, 0.5, steps=200)
        begin = blurred(IMAGE, 0.5 * 6)
        assert found.sum() == pytest.approx(cubes(IMAGE[None])[0] - cubes(begin[None])[0], rel=1e-3)

    def test_it_is_the_sum_over_the_steps(self):
        """A second way, written out: the gradient in the middle of each step times the way of that step."""
        points = [blurred(IMAGE, (1 - i / 4) * 0.5 * 6) for i in range(5)]
        middles = np.float32([blurred(IMAGE, (1 - (i + 0.5) / 4) * 0.5 * 6) for i in range(4)])
        expected = sum(cube(middles[i]) * (points[i + 1] - points[i]) for i in range(4))
        np.testing.assert_allclose(blur_integrated_gradients(cube, IMAGE, 0.5, steps=4), expected)


def test_a_path_of_any_form():
    """Along x = t^2 the sum telescopes for a gradient of 1: end less beginning."""
    found = path_integral(np.ones_like, lambda t: t**2 * IMAGE + 5, steps=4)
    np.testing.assert_allclose(found, IMAGE)


def test_the_gap():
    attributions = np.array([1.0, 2, 3])
    assert gap(attributions, 9.0, 1.0) == 0.25
    assert gap(attributions, 6.0, 0.0) == 0
    assert gap(attributions, 2.0, 2.0) == math.inf
    assert gap(0 * attributions, 2.0, 2.0) == 0
