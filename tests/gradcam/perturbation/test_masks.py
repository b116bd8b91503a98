"""Score-CAM, Ablation-CAM and RISE of functions whose answer is known, and a second time in loops."""

import cv2
import numpy as np
import pytest

from gradcam.perturbation import ablation_weights, rise_map, score_cam_weights
from gradcam.perturbation.rise import random_mask
from gradcam.perturbation.scoring import GREY, masked, mean_colour

RNG = np.random.default_rng(0)
IMAGE = np.float32(RNG.uniform(0, 255, (8, 12, 3)))
ACTIVATIONS = np.float32(np.maximum(RNG.standard_normal((2, 3, 5)), 0))


def corner(images):
    """Brightness of the upper left quarter, in hundreds."""
    return images[:, :4, :6].mean(axis=(1, 2, 3), dtype=np.float64) / 100


class TestMasked:
    def test_by_hand(self):
        found = masked(np.array([[[10.0], [20.0]]]), np.array([[[1, 0]], [[0.5, 0.25]]]), np.float32([100]))
        np.testing.assert_array_equal(found[..., 0], [[[10, 100]], [[55, 80]]])

    def test_the_colour_is_that_of_photographs_or_of_the_array(self):
        np.testing.assert_array_equal(mean_colour(IMAGE), np.float32(GREY))
        array = np.arange(24.0).reshape(2, 3, 4) - 5
        np.testing.assert_allclose(mean_colour(array), array.mean(axis=(0, 1)))


class TestScoreCam:
    def test_by_hand(self):
        """A channel that opens the quarter that counts, one that opens another, and one that is the same everywhere."""
        activations = np.zeros((2, 2, 3), np.float32)
        activations[0, 0, 0] = activations[1, 1, 1] = 2
        activations[..., 2] = 7
        image = np.full((8, 8, 3), 255, np.float32)
        seen = []

        def score(images):
            seen.append(images)
            return images[:, 0, 0, 0].astype(np.float64) / 255

        weights = score_cam_weights(score, image, activations)
        rise = 1 - GREY[0] / 255  # the corner is white through the first channel, and of the mean colour elsewhere
        expected = np.exp([rise, 0, 0])
        np.testing.assert_allclose(weights, expected / expected.sum(), rtol=1e-6)
        assert sum(map(len, seen)) == 4  # the channels, and the picture of the mean colour

    def test_a_second_time_in_loops(self):
        expected = []
        for k in range(5):
            mask = cv2.resize(ACTIVATIONS[..., k], (12, 8), interpolation=cv2.INTER_LINEAR)
            mask = (mask - mask.min()) / (mask.max() - mask.min())
            seen = np.float32(GREY) + (IMAGE - np.float32(GREY)) * mask[..., None]
            expected.append(corner(seen[None])[0] - np.mean(GREY) / 100)
        expected = np.exp(expected) / np.exp(expected).sum()
        for batch in (1, 2, 100):
            found = score_cam_weights(corner, IMAGE, ACTIVATIONS, batch=batch)
            np.testing.assert_allclose(found, expected, rtol=1e-5)

    def test_faster_takes_the_channels_of_largest_variance(self):
        weights = score_cam_weights(corner, IMAGE, ACTIVATIONS, channels=2)
        largest = np.argsort(ACTIVATIONS.var(axis=(0, 1)))[-2:]
        assert set(np.flatnonzero(weights)) == set(largest)
        all_of_them = score_cam_weights(corner, IMAGE, ACTIVATIONS)
        ratio = all_of_them[largest] / all_of_them[largest].sum()
        np.testing.assert_allclose(weights[largest], ratio, rtol=1e-6)
        np.testing.assert_array_equal(score_cam_weights(corner, IMAGE, ACTIVATIONS, channels=99), all_of_them)
        with pytest.raises(ValueError, match="at least 1 channel, not 0"):
            score_cam_weights(corner, IMAGE, ACTIVATIONS, channels=0)

    def test_large_scores_do_not_overflow(self):
        weights = score_cam_weights(lambda images: 1e4 * corner(images), IMAGE, ACTIVATIONS)
        assert np.isfinite(weights).all() and weights.sum() == pytest.approx(1)


class TestAblation:
    def test_of_a_linear_score_a_channel_weighs_what_it_adds(self):
        """y = sum of A times W: without channel k it is less by the sum of A^k W^k."""
        slopes = RNG.standard_normal(ACTIVATIONS.shape)
        silent = ACTIVATIONS.copy()
        silent[..., 3] = 0
        runs = []

        def score(copies):
            runs.append(len(copies))
            return (copies * slopes).sum(axis=(1, 2, 3))

        weights = ablation_weights(score, silent, float(score(silent[None])[0]), batch=3)
        np.testing.assert_allclose(weights, (silent * slopes).sum(axis=(0, 1)), atol=1e-6)
        assert runs == [1, 3, 1]  # the silent channel is not run, and no more than three at once

    def test_silent_everywhere(self):
        assert not ablation_weights(lambda copies: 1 / 0, 0 * ACTIVATIONS, 3.0).any()

    def test_the_activations_stay(self):
        before = ACTIVATIONS.copy()
        ablation_weights(lambda copies: copies.sum(axis=(1, 2, 3)), ACTIVATIONS, 0.0)
        np.testing.assert_array_equal(ACTIVATIONS, before)


class TestRise:
    def test_masks_are_open_for_their_share_everywhere(self):
        rng = np.random.default_rng(0)
        masks = np.stack([random_mask(rng, (15, 20), 4, 0.3) for _ in range(4000)])
        assert masks.shape[1:] == (15, 20) and masks.min() >= 0 and masks.max() <= 1
        np.testing.assert_allclose(masks.mean(axis=0), 0.3, atol=0.03)
        # Neighbours within a cell are alike, places three cells away are not.
        assert np.corrcoef(masks[:, 7, 7], masks[:, 7, 8])[0, 1] > 0.8
        assert abs(np.corrcoef(masks[:, 7, 2], masks[:, 7, 18])[0, 1]) < 0.1

    def test_a_score_that_is_the_same_for_all_gives_that_score_everywhere(self):
        found = rise_map(lambda images: np.full(len(images), 0.8), IMAGE, masks=4000, cells=4)
        np.testing.assert_allclose(found, 0.8, rtol=0.06)

    def test_what_counts_is_hot(self):
        found = rise_map(corner, np.full_like(IMAGE, 255), masks=1500, cells=4)
        assert found[:4, :6].mean() > 1.05 * found[4:, 6:].mean()

    def test_it_is_eq_6_over_the_masks(self):
        """A second way: all masks at once, from the same draws."""
        rng = np.random.default_rng(5)
        masks = np.stack([random_mask(rng, (8, 12), 3, 0.5) for _ in range(9)])
        scores = corner(masked(IMAGE, masks, np.float32(GREY)))
        expected = np.einsum("i,ihw->hw", scores, masks) / (9 * 0.5)
        for batch in (2, 100):
            found = rise_map(corner, IMAGE, masks=9, cells=3, seed=5, batch=batch)
            np.testing.assert_allclose(found, expected, rtol=1e-5)

    @pytest.mark.parametrize("options", [{"masks": 0}, {"cells": 0}, {"share": 0}, {"share": 1.0}])
    def test_mistakes(self, options):
        with pytest.raises(ValueError, match="RISE needs masks and cells"):
            rise_map(corner, IMAGE, **options)
