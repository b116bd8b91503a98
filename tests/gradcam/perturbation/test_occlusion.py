"""Occlusion maps of functions whose answer is known."""

import numpy as np
import pytest

from gradcam.perturbation.occlusion import occlusion_map
from gradcam.perturbation.scoring import GREY


def brightness(region):
    """A 'network' whose class 1 scores the sum of the first channel over a region, and class 0 nothing."""

    def predict(images):
        score = images[:, region[0], region[1], 0].sum(axis=(1, 2), dtype=np.float64)
        return np.stack([0 * score, score], axis=1)

    return predict


ONES = np.ones((8, 12, 3), np.float32)
BLACK = (0.0, 0.0, 0.0)


class TestOcclusion:
    def test_the_drop_is_what_the_patch_hides(self):
        drops = occlusion_map(brightness((slice(2, 5), slice(4, 10))), ONES, 1, patch=4, stride=4, fill=BLACK)
        # Patches of 4 x 4 side by side; of the region's rows 2, 3 | 4 and columns 4-7 | 8, 9 each hides its part.
        np.testing.assert_array_equal(drops, [[0, 2 * 4, 2 * 2], [0, 1 * 4, 1 * 2]])

    def test_another_class_does_not_change(self):
        assert not occlusion_map(brightness((slice(0, 8), slice(0, 12))), ONES, 0, patch=4, stride=4).any()

    def test_several_classes_by_the_same_runs(self):
        runs, image = [], np.random.default_rng(0).uniform(0, 255, (8, 12, 3)).astype(np.float32)

        def predict(images):
            runs.append(len(images))
            return images.reshape(len(images), -1)[:, :7]  # a class a number of the picture

        found = occlusion_map(predict, image, [4, 0, 6], patch=4, stride=4)
        assert runs == [1, 6]
        for drops, target in zip(found, (4, 0, 6)):
            np.testing.assert_array_equal(drops, occlusion_map(predict, image, target, patch=4, stride=4))

    def test_patches_lie_about_the_centres_of_cells_and_are_cut_off_at_the_border(self):
        everything = brightness((slice(0, 8), slice(0, 12)))
        drops = occlusion_map(everything, ONES, 1, patch=6, stride=4, fill=BLACK)
        # Cells of 4: a patch begins one pixel before its cell and ends one after, where the picture does not.
        np.testing.assert_array_equal(drops, np.outer([5, 5], [5, 6, 5]))

    def test_a_patch_that_hides_what_speaks_against_the_class_is_negative(self):
        drops = occlusion_map(
            lambda x: -brightness((slice(0, 4), slice(0, 4)))(x), ONES, 1, patch=4, stride=4, fill=BLACK
        )
        assert drops[0, 0] == -16

    def test_batches_change_nothing(self):
        image = np.random.default_rng(0).uniform(0, 255, (8, 12, 3)).astype(np.float32)
        everything = brightness((slice(0, 8), slice(0, 12)))
        maps = [occlusion_map(everything, image, 1, patch=3, stride=2, batch=batch) for batch in (1, 5, 1000)]
        np.testing.assert_array_equal(maps[0], maps[1])
        np.testing.assert_array_equal(maps[0], maps[2])
        assert maps[0].shape == (4, 6)

    def test_the_picture_is_left_alone_and_grey_is_the_default(self):
        image = np.full((8, 8, 3), GREY, np.float32)
        assert not occlusion_map(brightness((slice(0, 8), slice(0, 8))), image, 1, patch=4, stride=4).any()
        assert (image == np.array(GREY, np.float32)).all()

    @pytest.mark.parametrize(
        ("channels", "low", "high"), [(1, -2, 2), (3, -2, 2), (3, 0, 1), (3, 0, 1000), (5, 0, 255)]
    )
    def test_an_array_is_covered_by_its_own_mean(self, channels, low, high):
        """Of a sum over places and channels a patch takes away what its places have above the mean."""
        image = np.random.default_rng(0).uniform(low, high, (8, 12, channels)).astype(np.float32)
        drops = occlusion_map(
            lambda images: images.sum((1, 2, 3), dtype=np.float64)[:, None], image, 0, patch=4, stride=4
        )
        above = (image - image.mean((0, 1))).sum(-1, dtype=np.float64)
        np.testing.assert_allclose(drops, above.reshape(2, 4, 3, 4).sum((1, 3)), atol=1e-5 * 96 * abs(high))

    def test_a_fill_of_other_channels(self):
        with pytest.raises(ValueError, match=r"the fill of a patch must be 5 numbers, not \(1, 2, 3\)"):
            occlusion_map(brightness((slice(1), slice(1))), np.ones((8, 12, 5)), 1, fill=(1, 2, 3))

    def test_places_fill_a_picture_that_they_do_not_divide(self):
        """A side of 10 in cells of about 4: two cells of 5, with centres at 2.5 and 7.5, and patches of 4 there."""
        ones = np.ones((10, 4, 3), np.float32)
        seen = []

        def predict(images):
            seen.append(np.array(images))
            return np.zeros((len(images), 2))

        drops = occlusion_map(predict, ones, 1, patch=4, stride=4, fill=BLACK)
        assert drops.shape == (2, 1)
        hidden = [np.flatnonzero(one[:, 0, 0] == 0).tolist() for one in seen[1]]
        assert hidden == [[0, 1, 2, 3], [5, 6, 7, 8]]

    def test_by_default_a_fifth_and_a_fourteenth(self):
        seen = []

        def predict(images):
            seen.append(np.array(images))
            return np.zeros((len(images), 1))

        assert occlusion_map(predict, np.zeros((224, 224, 3), np.float32), 0).shape == (14, 14)
        middle = np.concatenate(seen[1:])[7 * 14 + 7, ..., 0] != 0
        assert middle.sum() == 45 * 45

    def test_what_cannot_be(self):
        with pytest.raises(ValueError, match=r"\[H, W, K\], not \[1, 8, 12, 3\]"):
            occlusion_map(brightness((slice(1), slice(1))), ONES[None], 1)
        with pytest.raises(ValueError, match="not 0, 4, 64"):
            occlusion_map(brightness((slice(1), slice(1))), ONES, 1, patch=0, stride=4)
        for target in (-1, 2):
            with pytest.raises(ValueError, match=f"target {target} is out of range: classes are 0 to 1"):
                occlusion_map(brightness((slice(1), slice(1))), ONES, target)
        with pytest.raises(ValueError, match="target 2 is out of range"):
            occlusion_map(brightness((slice(1), slice(1))), ONES, [0, 2])


def test_of_a_network_it_is_the_difference_of_its_logits(thin):
    """At one place, with the patch drawn by hand."""
    image = thin.images[0]
    size = image.shape[0]
    drops = occlusion_map(thin.explainer.predict, image, 3, patch=size // 4, stride=size // 4)
    hidden = image.copy()
    hidden[: size // 4, size // 2 : 3 * size // 4] = GREY
    before, after = (thin.explainer.predict(x[None])[0, 3] for x in (image, hidden))
    assert drops.shape == (4, 4)
    assert drops[0, 2] == pytest.approx(before - after, rel=1e-3, abs=1e-5 * float(abs(before)))
