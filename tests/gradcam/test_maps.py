"""Heat maps, colours and products, by hand."""

import matplotlib
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from gradcam import maps
from slim_models.mistakes import BadValue


def test_enlarging_is_bilinear_between_the_centres_of_the_places():
    # Two places [0, 4] on four pixels: centres at 1/8, 3/8, 5/8, 7/8, places at 1/4 and 3/4, so the
    # outer pixels repeat and the inner ones lie a quarter and three quarters of the way.
    heatmap = maps.heatmap(np.array([[[0.0, 4.0]]]), (1, 4))
    np.testing.assert_allclose(heatmap, [[[0, 0.25, 0.75, 1]]])


def test_enlarging_agrees_with_tensorflow_on_a_size_that_is_not_square():
    cam = np.random.default_rng(0).random((2, 7, 5)).astype(np.float32)
    heatmap = maps.heatmap(cam, (60, 90))
    theirs = np.asarray(tf.compat.v2.image.resize(cam[..., None], (60, 90), "bilinear"))[..., 0]
    assert heatmap.shape == (2, 60, 90)
    np.testing.assert_allclose(heatmap, theirs / theirs.max(axis=(1, 2), keepdims=True), atol=1e-5)


def test_each_map_has_its_own_maximum_and_no_minimum_is_taken_away():
    heatmap = maps.heatmap(np.array([[[2.0, 4]], [[3, 30]]]), (1, 2))
    np.testing.assert_allclose(heatmap, [[[0.5, 1]], [[0.1, 1]]])


@pytest.mark.parametrize("peak", [1e-40, 1e-300, 1e300])
def test_the_smallest_and_largest_cams_are_scaled_too(peak):
    np.testing.assert_allclose(maps.heatmap(np.array([[[0, peak]]]), (1, 2)), [[[0, 1]]])


def test_a_zero_map_is_a_zero_heatmap():
    np.testing.assert_array_equal(maps.heatmap(np.zeros((1, 3, 3)), (9, 8)), np.zeros((1, 9, 8)))


@pytest.mark.parametrize(("cam", "message"), [([[[-1.0]]], ">= 0"), ([[[np.nan]]], "finite"), ([[1.0]], r"\[1, 1\]")])
def test_what_is_no_cam_is_refused(cam, message):
    with pytest.raises(ValueError, match=message):
        maps.heatmap(np.array(cam), (2, 2))


class TestColours:
    def test_jet_runs_from_blue_to_red(self):
        low, middle, high = maps.colorize(np.array([0, 0.5, 1]), "jet")
        assert low[2] > low[0]  # RGB: blue
        assert middle[1] > max(middle[0], middle[2])  # green
        assert high[0] > high[2]  # red

    # The two libraries' jets bend at slightly different places.
    @pytest.mark.parametrize(("name", "tolerance"), [("viridis", 4), ("inferno", 4), ("turbo", 8), ("jet", 40)])
    def test_agrees_with_matplotlibs_colormap_of_the_name(self, name, tolerance):
        levels = np.linspace(0, 1, 256)
        theirs = matplotlib.colormaps[name](levels)[:, :3] * 255
        assert np.abs(maps.colorize(levels, name) - theirs).max() < tolerance

    def test_gray_is_the_heat_map_itself(self):
        np.testing.assert_array_equal(maps.colorize(np.array([[0, 0.2, 1]]), "gray")[0, :, 1], [0, 51, 255])

    def test_an_unknown_colormap_lists_the_choices(self):
        with pytest.raises(KeyError, match="'rainbow'.*viridis, inferno, turbo, jet"):
            maps.colorize(np.zeros((2, 2)), "rainbow")


@pytest.mark.parametrize("name", maps.COLORMAPS)
def test_colours_do_not_depend_on_the_shape(name):
    levels = np.random.default_rng(0).random((2, 3, 50))
    flat = np.array([maps.colorize(level[None], name)[0] for level in levels.ravel()])
    np.testing.assert_array_equal(maps.colorize(levels, name), flat.reshape(2, 3, 50, 3))


@pytest.mark.parametrize("opacity", [0, 0.1, 0.3, 0.5, 0.7, 1])
def test_overlay_is_the_rounded_mixture_for_every_pixel_and_level(opacity):
    pixels, levels = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256) / 255)
    images = np.repeat(pixels[..., None], 3, axis=-1)
    mixture = (1 - opacity) * images.astype(np.float32) + opacity * maps.colorize(levels).astype(np.float64)
    np.testing.assert_array_equal(maps.overlay(images, levels, opacity=opacity), np.rint(mixture))


def test_overlay_by_hand():
    """Viridis goes from (68, 1, 84) to (253, 231, 37); of red 100 and blue 50 the luma is 29.9 + 5.7 = 35.6, or 36."""
    image = np.tile(np.array([100, 0, 50], np.uint8), (1, 2, 1))
    heatmap = np.array([[0, 1.0]])
    colours = maps.colorize(heatmap).astype(float)
    np.testing.assert_array_equal(colours, [[[68, 1, 84], [253, 231, 37]]])
    expected = [[[0.4 * 36 + 0.6 * level for level in colour] for colour in colours[0]]]
    np.testing.assert_array_equal(maps.overlay(image, heatmap), np.rint(expected))
    half = [[[84, 0.5, 67], [176.5, 115.5, 43.5]]]
    np.testing.assert_array_equal(maps.overlay(image, heatmap, opacity=0.5, grey=False), np.rint(half))
    image = np.full((1, 2, 3), 100, np.uint8)
    np.testing.assert_array_equal(maps.overlay(image, heatmap, opacity=0), image)
    np.testing.assert_array_equal(maps.overlay(image, heatmap, opacity=1), colours)


PICTURE, HEAT = np.full((2, 4, 5, 3), 100.0), np.full((2, 4, 5), 0.5)


def spoilt(array, value):
    array = array.copy()
    array[1, 2, 3] = value
    return array


NO_OVERLAYS = {
    "pictures in [0, 1]": (PICTURE / 100, HEAT, 0.5, r"RGB in \[0, 255\], not preprocessed; these are in \[1, 1\]"),
    "preprocessed pictures": (spoilt(PICTURE, -0.1), HEAT, 0.5, r"these are in \[-0.1, 100\]"),
    "integers above 255": (spoilt(PICTURE, 256).astype(int), HEAT, 0.5, r"these are in \[100, 256\]"),
    "a NaN in a picture": (spoilt(PICTURE, np.nan), HEAT, 0.5, "images must be finite"),
    "an infinity in a picture": (spoilt(PICTURE, np.inf), HEAT, 0.5, "images must be finite"),
    "a mask for a picture": (PICTURE > 0, HEAT, 0.5, "numbers, not bool"),
    "a picture and two maps": (PICTURE[0], HEAT, 0.5, r"\[..., H, W\], not \[4, 5, 3\] and \[2, 4, 5\]"),
    "a map of another size": (PICTURE, HEAT[:, :2], 0.5, r"not \[2, 4, 5, 3\] and \[2, 2, 5\]"),
    "grey pictures": (PICTURE[..., 0], HEAT[..., 0], 0.5, r"not \[2, 4, 5\] and \[2, 4\]"),
    "no picture": (PICTURE[:0], HEAT[:0], 0.5, r"not \[0, 4, 5, 3\] and \[0, 4, 5\]"),
    "a raw cam": (PICTURE, spoilt(HEAT, 7), 0.5, r"heat map must be in \[0, 1\]; this one is in \[0.5, 7\]"),
    "a signed map": (PICTURE, spoilt(HEAT, -0.01), 0.5, r"in \[-0.01, 0.5\]"),
    "a NaN in a map": (PICTURE, spoilt(HEAT, np.nan), 0.5, r"in \[nan, nan\]"),
    "an infinity in a map": (PICTURE, spoilt(HEAT, np.inf), 0.5, r"in \[0.5, inf\]"),
    "percent": (PICTURE, HEAT, 5, "opacity of a heat map must be from 0 to 1, not 5"),
    "a negative opacity": (PICTURE, HEAT, -0.1, "not -0.1"),
    "an opacity of NaN": (PICTURE, HEAT, np.nan, "not nan"),
}


@pytest.mark.parametrize("case", NO_OVERLAYS)
def test_what_would_be_no_overlay_is_refused_in_a_sentence(case):
    images, heatmap, opacity, message = NO_OVERLAYS[case]
    with pytest.raises(BadValue, match=message) as caught:
        maps.overlay(images, heatmap, opacity=opacity)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float16, np.float32, np.float64])
def test_a_black_picture_is_one(kind):
    assert not maps.overlay(np.zeros((4, 5, 3), kind), HEAT[0], opacity=0).any()
    np.testing.assert_array_equal(maps.overlay(np.zeros((4, 5, 3), kind), HEAT[0], opacity=1), maps.colorize(HEAT[0]))


def test_an_almost_black_picture_of_whole_numbers_is_one():
    np.testing.assert_array_equal(maps.overlay(np.ones((4, 5, 3), int), HEAT[0], opacity=0), np.ones((4, 5, 3)))


def test_rounding_may_leave_a_map_a_little_outside():
    rounded = spoilt(HEAT, 1 + 1e-6).astype(np.float32)
    rounded[0] = -1e-6
    expected = maps.overlay(PICTURE, np.clip(rounded, 0, 1))
    np.testing.assert_array_equal(maps.overlay(PICTURE, rounded), expected)


def test_guided_grad_cam_is_the_raw_product():
    saliency = np.array([[[[-2.0, 0, 4]], [[1, 1, 1]]]])
    heatmap = np.array([[[0.5], [0]]])
    np.testing.assert_array_equal(maps.guided_grad_cam(saliency, heatmap), [[[[-1, 0, 2]], [[0, 0, 0]]]])


class TestDisplay:
    def test_zero_is_mid_grey_and_signs_go_both_ways(self):
        shown = maps.display(np.array([[[[-2.0, 0, 1]]]]), percentile=100)
        np.testing.assert_array_equal(shown, [[[[0, 128, 191]]]])

    def test_nothing_is_all_grey(self):
        np.testing.assert_array_equal(maps.display(np.zeros((1, 2, 2, 3))), np.full((1, 2, 2, 3), 128))

    def test_a_single_bright_pixel_is_shown(self):
        saliency = np.zeros((1, 50, 50, 3))
        saliency[0, 0, 0] = 1e-12
        assert maps.display(saliency)[0, 0, 0].tolist() == [255, 255, 255]

    def test_what_is_not_finite_is_refused(self):
        with pytest.raises(ValueError, match="finite"):
            maps.display(np.full((1, 2, 2, 3), np.nan))

    def test_pictures_are_scaled_one_by_one(self):
        saliency = np.random.default_rng(0).standard_normal((1, 4, 4, 3))
        both = maps.display(np.concatenate([saliency, 1000 * saliency]))
        np.testing.assert_array_equal(both[0], both[1])


def test_inputs_are_never_changed():
    rng = np.random.default_rng(0)
    image, cam, saliency = rng.random((1, 8, 8, 3)) * 255, rng.random((1, 2, 2)), rng.standard_normal((1, 8, 8, 3))
    before = image.copy(), cam.copy(), saliency.copy()
    heatmap = maps.heatmap(cam, (8, 8))
    kept = heatmap.copy()
    maps.overlay(image, heatmap)
    maps.guided_grad_cam(saliency, heatmap)
    maps.display(saliency)
    for now, then in zip((image, cam, saliency, heatmap), (*before, kept), strict=True):
        np.testing.assert_array_equal(now, then)


class TestMagnitude:
    SALIENCY = np.zeros((1, 100, 60, 3), np.float32)
    SALIENCY[0, 50, 30] = (1, -4, 2)

    def test_the_largest_absolute_value_of_the_channels(self):
        found = maps.magnitude(self.SALIENCY, smooth=0)
        assert found.shape == (1, 100, 60)
        assert found[0, 50, 30] == 4
        assert found.sum() == 4

    def test_blurred_by_a_share_of_the_height(self):
        """A Gaussian of 2 pixels: its sum stays, and its peak is 4 / (2 pi 2^2)."""
        found = maps.magnitude(self.SALIENCY, smooth=0.02)
        assert found.sum() == pytest.approx(4, rel=1e-3)
        assert found.max() == found[0, 50, 30] == pytest.approx(4 / (2 * np.pi * 4), rel=0.02)

    def test_a_share_that_cannot_be(self):
        with pytest.raises(ValueError, match="from 0 to 1, not -1"):
            maps.magnitude(self.SALIENCY, -1)


@pytest.mark.parametrize("heatmap", [np.zeros((0, 4)), np.zeros((2, 0, 4)), np.array([[0.5, np.nan]])])
def test_colours_of_nothing(heatmap):
    with pytest.raises(ValueError, match=r"a heat map must have places and be finite"):
        maps.colorize(heatmap)
