"""Pixels taken away in a map's order, by hand and a second way."""

import numpy as np
import pytest

from gradcam.evaluation import removal

RNG = np.random.default_rng(0)


def mean_of(images):
    """A 'network' whose class is as probable as its picture is bright."""
    return images.mean(axis=(1, 2, 3))


class TestOrder:
    def test_the_hottest_come_first(self):
        assert removal.hottest_first(np.array([[0.1, 0.9], [0.5, 0.7]])).tolist() == [1, 3, 2, 0]

    def test_those_that_are_alike_do_not_come_row_by_row(self):
        heatmap = np.zeros((10, 10))
        heatmap[9, 9] = 1
        order = removal.hottest_first(heatmap)
        assert order[0] == 99 and sorted(order) == list(range(100))
        assert abs(np.corrcoef(order[1:], np.arange(99))[0, 1]) < 0.3
        assert removal.hottest_first(heatmap).tolist() == order.tolist() != removal.hottest_first(heatmap, 1).tolist()


class TestDeletionAndInsertion:
    IMAGE = np.array([[8.0, 4.0], [2.0, 2.0]], np.float32)[..., None]  # mean 4
    NOTHING = np.zeros((2, 2, 1), np.float32)

    def test_by_hand(self):
        """Means 16, 8, 4, 2 and 0 of 4 while 8, 4, 2 and 2 go: the trapezoids of a quarter each."""
        heatmap = np.array([[0.9, 0.8], [0.7, 0.6]])
        found = removal.deletion(mean_of, self.IMAGE, heatmap, self.NOTHING, steps=4)
        assert found == pytest.approx((16 / 2 + 8 + 4 + 2 + 0) / 4 / 4)
        # While they come: 0, 8, 12, 14, 16 of 4.
        found = removal.insertion(mean_of, self.IMAGE, heatmap, self.NOTHING, steps=4)
        assert found == pytest.approx((0 + 8 + 12 + 14 + 16 / 2) / 4 / 4)

    def test_the_true_order_is_best(self):
        true = self.IMAGE[..., 0] / 8 + np.array([[0, 0], [0.01, 0]])
        orders = [np.random.default_rng(seed).random((2, 2)) for seed in range(20)]
        deletions, insertions = (
            [function(mean_of, self.IMAGE, heatmap, self.NOTHING, 4) for heatmap in (true, *orders)]
            for function in (removal.deletion, removal.insertion)
        )
        assert deletions[0] == min(deletions) and insertions[0] == max(insertions)

    def test_other_pictures(self):
        image = RNG.uniform(0, 255, (224, 224, 3)).astype(np.float32)
        assert np.ptp(removal.grey(image).reshape(-1, 3), axis=0).max() == 0
        blurred = removal.blurred(image)
        assert blurred.mean() == pytest.approx(image.mean(), rel=0.01)
        # White noise through a Gaussian of 5 pixels keeps 1 / (2 sqrt(pi) 5) of its spread.
        assert blurred[30:-30, 30:-30].std() / image.std() == pytest.approx(1 / (2 * np.sqrt(np.pi) * 5), rel=0.1)


class TestPixelFlipping:
    def test_by_hand(self):
        """Of four cells the hottest two are flipped: 0, then what the first loses, then what both lose; over three."""
        image = np.full((4, 4, 1), 0.5, np.float32)
        image[:2, :2], image[2:, 2:] = 1.0, 0.0
        heatmap = np.zeros((4, 4))
        heatmap[:2, :2], heatmap[2:, :2] = 0.9, 0.5
        noise = np.random.default_rng(0).uniform(0, 1, (4, 4, 1))
        first = (image[:2, :2] - noise[:2, :2]).sum() / 16
        second = first + (image[2:, :2] - noise[2:, :2]).sum() / 16
        found = removal.pixel_flipping(mean_of, image, heatmap, cells=2, flipped=2)
        assert found == pytest.approx((0 + first + second) / 3)

    def test_cells_of_uneven_sides(self):
        """Seven pixels in three cells: every one is flipped in the end, and none before its turn."""
        seen = []

        def watched(images):
            seen.extend(images)
            return mean_of(images)

        image = np.full((7, 7, 1), 2.0, np.float32)
        image[0, 0] = 0
        removal.pixel_flipping(watched, image, RNG.random((7, 7)), cells=3, flipped=9)
        changed = [int((one != image).sum()) for one in seen]
        assert changed[0] == 0 and changed[-1] == 49 and all(4 <= step <= 9 for step in np.diff(changed))

    def test_more_than_there_are(self):
        with pytest.raises(ValueError, match="10 of 3 x 3 regions cannot be flipped in 7 x 7"):
            removal.pixel_flipping(mean_of, np.zeros((7, 7, 1)), np.zeros((7, 7)), cells=3, flipped=10)


class TestRoad:
    def test_one_pixel_is_the_mean_of_its_neighbours(self):
        image = RNG.random((3, 3, 2))
        found = removal.imputed(image, np.array([4]), noise=0)
        corners, sides = image[::2, ::2].sum(axis=(0, 1)), image[1, ::2].sum(axis=0) + image[::2, 1].sum(axis=0)
        np.testing.assert_allclose(found[1, 1], corners / 12 + sides / 6, rtol=1e-6)
        found = removal.imputed(image, np.array([0]), noise=0)  # at the corner: weights 1/6, 1/6 and 1/12 of 5/12
        np.testing.assert_allclose(found[0, 0], (2 * image[0, 1] + 2 * image[1, 0] + image[1, 1]) / 5, rtol=1e-6)

    def test_every_imputed_pixel_is_the_mean_of_its_neighbours(self):
        """A second way: a convolution of the result with the weights, over what there is of them."""
        from scipy.ndimage import convolve

        image = RNG.random((12, 9, 1))
        places = RNG.choice(108, 80, replace=False)
        found = np.float64(removal.imputed(image, places, noise=0)[..., 0])
        kernel = np.array([[1, 2, 1], [2, 0, 2], [1, 2, 1]]) / 12
        means = convolve(found, kernel, mode="constant") / convolve(np.ones_like(found), kernel, mode="constant")
        np.testing.assert_allclose(found.ravel()[places], means.ravel()[places], atol=1e-6)
        known = np.setdiff1d(np.arange(108), places)
        np.testing.assert_array_equal(found.ravel()[known], np.float32(image.ravel()[known]))

    def test_a_slope_is_found_again(self):
        """What rises evenly is the mean of its neighbours already."""
        slope = np.broadcast_to(np.arange(20.0)[:, None, None], (20, 20, 1))
        inner = (np.arange(1, 19)[:, None] * 20 + np.arange(1, 19)).ravel()
        np.testing.assert_allclose(removal.imputed(slope, inner, noise=0), slope, atol=1e-4)

    def test_noise_and_limits(self):
        image = np.zeros((20, 20, 1))
        image[0, 0] = 100
        noisy = removal.imputed(image, np.arange(100, 400), noise=0.02)
        assert noisy.ravel()[200:].std() == pytest.approx(2, rel=0.2)
        assert (removal.imputed(image, np.array([], int)) == image).all()
        with pytest.raises(ValueError, match="no pixel of the picture is left"):
            removal.imputed(image, np.arange(400))

    def test_the_order_of_pixels(self):
        """A network that looks at the upper half alone: with that half gone nothing tells what it was."""
        image = np.zeros((10, 10, 1), np.float32)
        image[:5] = 1
        heatmap = np.linspace(1, 0, 100).reshape(10, 10)  # hot above

        def upper(images):
            return images[:, :5].mean(axis=(1, 2, 3))

        most, least = (removal.road(upper, image, heatmap, least=least) for least in (False, True))
        assert len(most) == len(least) == 9
        assert least[:5] == pytest.approx(1, abs=0.02) and most[4] < 0.02 and least[8] > 0.9
