"""XRAI: regions by what they add, by hand; the segments of a picture."""

import numpy as np
import pytest

from gradcam import paths
from gradcam.methods import methods_named
from gradcam.xrai import gathered, segments, xrai_map


class TestRegions:
    ATTRIBUTIONS = np.array([[4.0, 1.0, 1.0], [2.0, 1.0, -3.0]])

    def masks(self, *rows):
        return np.array([np.reshape(list(row), (2, 3)) for row in rows]).astype(int) > 0

    def test_by_hand(self):
        """The left column has a mean of 3, the first row of 2: after the column that row adds two pixels of 1."""
        found = xrai_map(self.ATTRIBUTIONS, self.masks("111000", "100100"), least=1)
        rest = (1 - 3) / 2  # of the pixels that are in neither
        np.testing.assert_allclose(found, [[3, 1, 1], [3, rest, rest]])

    def test_what_a_region_adds_counts_and_not_what_it_has(self):
        """The whole picture has more than the last column, but what is left of it without the first two has less."""
        found = xrai_map(self.ATTRIBUTIONS, self.masks("111111", "110110", "001001"), least=1)
        np.testing.assert_allclose(found, [[2, 2, -1], [2, 2, -1]])

    def test_regions_that_add_too_little_are_left_out(self):
        found = xrai_map(self.ATTRIBUTIONS, self.masks("100100", "111111"), least=3)
        np.testing.assert_allclose(found, 1)

    def test_no_regions(self):
        with pytest.raises(ValueError, match=r"\[2, 3\] cannot be \[0, 2, 3\]"):
            xrai_map(self.ATTRIBUTIONS, np.zeros((0, 2, 3), bool))

    def test_the_sum_stays(self):
        """Every pixel gets the mean of the region that it came with."""
        rng = np.random.default_rng(0)
        attributions = rng.normal(size=(30, 40))
        found = xrai_map(attributions, rng.random((12, 30, 40)) < 0.3)
        assert found.sum() == pytest.approx(attributions.sum())

    def test_gathered(self):
        one, two = np.zeros((1, 1, 3)), np.array([[[2.0, -4.0, 6.0]]])
        assert gathered([one, two]) == 3


class TestSegments:
    def test_two_halves(self):
        """Every scale finds both halves, each grown over the edge between them."""
        image = np.zeros((64, 96, 3), np.float32)
        image[:, 48:] = 255
        masks = segments(image)
        assert masks.any(axis=0).all()
        widths = []
        for mask in masks:
            columns = mask.all(axis=0)
            np.testing.assert_array_equal(columns, mask.any(axis=0))  # nothing but the edge divides it
            widths.append(columns.sum())
        # Two large ones a scale, and between them at times the blur of the edge.
        assert sum(width >= 44 for width in widths) == 12 and max(widths) <= 48 + 6

    def test_arrays_of_other_channels(self):
        assert segments(np.random.default_rng(0).normal(size=(32, 32, 5))).shape[1:] == (32, 32)


def test_the_method_is_made_of_integrated_gradients_from_black_and_white(thin, few_runs):
    explanation = thin.explainer.explain(thin.images[:1])
    image = thin.images[0]
    found = methods_named(["xrai"])["xrai"].make(explanation)[0]
    runs = explanation.more_runs()

    def gradient(images):
        return runs.slopes(images, np.repeat(explanation.ways, len(images), axis=0)).gradients

    both = [paths.integrated_gradients(gradient, image, end, steps=3) for end in (image.min(), image.max())]
    expected = xrai_map(((both[0] + both[1]) / 2).max(axis=2), segments(image))
    np.testing.assert_allclose(found, expected - expected.min(), rtol=1e-3, atol=1e-4 * abs(expected).max())
    assert (found >= 0).all() and found.shape == image.shape[:2]
