"""What figures are drawn with: scales, palettes, boxes and what is said of them, against numbers worked out by hand."""

import types

import numpy as np
import pytest

from gradcam import figures, maps
from gradcam.methods import REGISTRY
from gradcam.panels import Boxed, Overlay, Saliency, heading, iou_in_words, largest, pixels_of
from gradcam.pictures import Photograph

BLACK = Photograph("black", np.zeros((2, 2, 3), np.uint8))
ALONE = maps.Look("gray", 1.0)  # nothing but the heat map, as grey levels
WEAK, STRONG = np.array([[0, 1.0], [2, 4]]), np.array([[8.0, 0], [0, 0]])


def lightness(colours):
    """CIE 1976 L* of sRGB, uint8 `[..., 3]`."""
    levels = np.asarray(colours) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    return np.where(luminance > 216 / 24389, 116 * np.cbrt(luminance) - 16, luminance * 24389 / 27)


class TestColours:
    def test_equal_steps_of_the_default_look_equal_and_those_of_jet_do_not(self):
        levels = np.arange(0, 256, 15) / 255
        even, jet = (np.diff(lightness(maps.colorize(levels, name))) for name in (maps.LOOK.colormap, "jet"))
        assert even.min() > 0.7 * even.mean() and even.max() < 1.3 * even.mean()
        assert jet.min() < 0 < jet.max() and jet.max() > 3 * abs(jet.mean())

    def test_the_ends_and_the_middle_of_the_diverging_palette(self):
        """Brewer's RdBu; its lightness falls alike on either side of 0."""
        low, middle, high = maps.colorize(np.array([0, 127.5 / 255, 1]), maps.DIVERGING).astype(int)
        np.testing.assert_array_equal(low, [5, 48, 97])
        np.testing.assert_array_equal(high, [103, 0, 31])
        np.testing.assert_allclose(middle, [247, 247, 247], atol=3)
        quarters = maps.colorize(np.array([0.25, 0.75]), maps.DIVERGING)
        assert abs(np.diff(lightness(quarters))[0]) < 10
        assert quarters[0, 2] > quarters[0, 0] and quarters[1, 0] > quarters[1, 2]

    @pytest.mark.parametrize("name", maps.COLORMAPS)
    def test_the_maximum_over_a_blue_thing_has_the_map_s_own_hue(self, name):
        """The luma of pure blue is 29; with its colour, red and blue of jet's or turbo's maximum would be purple."""
        blue = np.zeros((1, 1, 3), np.uint8) + np.array([0, 0, 255], np.uint8)
        top = maps.colorize(np.ones((1, 1)), name)[0, 0].astype(float)
        shown = maps.overlay(blue, np.ones((1, 1)), name)[0, 0]
        np.testing.assert_array_equal(shown, np.rint(0.4 * 29 + 0.6 * top))
        if name in ("jet", "turbo"):
            red, green, bluish = (int(level) for level in shown)
            assert red > 2 * max(green, bluish)
            coloured = maps.overlay(blue, np.ones((1, 1)), name, grey=False)[0, 0]
            assert min(coloured[0], coloured[2]) > 2 * coloured[1]  # purple


class TestScales:
    def test_a_map_over_its_own_maximum_and_over_that_of_a_stronger_one(self):
        levels = Overlay(BLACK, WEAK).pixels(ALONE)[..., 0]
        np.testing.assert_array_equal(levels, [[0, 64], [128, 255]])
        levels = Overlay(BLACK, WEAK).pixels(ALONE, peak=8)[..., 0]  # half: 255 / 8 is 31.9, 255 / 4 is 63.75
        np.testing.assert_array_equal(levels, [[0, 32], [64, 128]])

    def test_signed_maps_have_0_in_the_middle(self):
        """-2, 0, 1 and 4 over 4 are -0.5, 0, 0.25 and 1; brought to [0, 1], 0.25, 0.5, 0.625 and 1."""
        cam = np.array([[-2.0, 0], [1, 4]])
        found = Overlay(BLACK, cam, signed=True).pixels(ALONE)
        expected = maps.colorize(np.array([[0.25, 0.5], [0.625, 1]]), maps.DIVERGING)
        np.testing.assert_array_equal(found, expected)
        halved = Overlay(BLACK, cam, signed=True).pixels(ALONE, peak=8)
        np.testing.assert_array_equal(halved, maps.colorize(np.array([[0.375, 0.5], [0.5625, 0.75]]), maps.DIVERGING))

    def test_only_maps_of_one_kind_share_a_scale(self):
        row = [
            Overlay(BLACK, WEAK, kind="a"),
            Boxed(Overlay(BLACK, STRONG, kind="a"), {}),
            Overlay(BLACK, -WEAK, kind="b", signed=True),
            BLACK.pixels,
        ]
        peaks = largest(row)
        assert peaks == {"a": 8, "b": 4}
        assert [pixels_of(panel, ALONE, peaks).max() for panel in row[:2]] == [128, 255]

    def test_blank_maps_stay_blank_on_any_scale(self):
        zero = np.zeros((2, 2))
        assert not Overlay(BLACK, zero).pixels(ALONE, peak=8).any()
        assert not Overlay(BLACK, zero).pixels(ALONE, peak=0).any()

    @pytest.mark.parametrize(("scale", "brightest"), [("own", 255), ("shared", 128)])
    def test_a_figure_says_its_scale_and_draws_it(self, scale, brightest):
        rows = [[("weak", Overlay(BLACK, WEAK))], [("strong", Overlay(BLACK, STRONG))]]
        figure = figures.grid(rows, ["", ""], look=ALONE, scale=scale, remarks=["Of nothing."])
        top, bottom = figure.subfigs
        assert [axis.images[0].get_array().max() for axis in top.axes] == [brightest, 255]
        (bar,) = bottom.axes
        words = {"own": "its own maximum", "shared": "the largest one's maximum"}[scale]
        assert " ".join(bar.get_xlabel().split()) == f"heat map: share of {words}"
        assert bottom.get_supxlabel() == "Of nothing."
        np.testing.assert_array_equal(bar.images[0].get_array()[0, [0, -1], 0], [0, 255])

    def test_there_is_no_such_scale(self):
        with pytest.raises(KeyError, match="no scale 'log'; the scales are own, shared"):
            figures.grid([[("a", BLACK.pixels)]], [""], scale="log")

    def test_a_figure_of_pictures_has_no_bar(self):
        assert not figures.grid([[("a", BLACK.pixels)]], [""]).subfigs

    def test_signed_and_other_maps_have_a_bar_each_and_saliency_a_sentence(self):
        saliency = Saliency(BLACK, np.ones((2, 2, 3)))
        row = [("a", Overlay(BLACK, WEAK)), ("b", Overlay(BLACK, WEAK, signed=True)), ("c", saliency)]
        _, bottom = figures.grid([row], [""]).subfigs
        assert [tuple(axis.get_xlim()) for axis in bottom.axes] == [(0, 1), (-1, 1)]
        assert "0 is mid-grey" in bottom.get_supxlabel()


class TestWords:
    def test_what_stands_above_a_panel(self):
        assert heading("original", BLACK.pixels) == "original"
        assert heading("Grad-CAM", Overlay(BLACK, WEAK, "34.3%")) == "Grad-CAM\n34.3%"
        boxed = Boxed(Overlay(BLACK, WEAK, "34.3%"), {}, iou_in_words(0.456))
        assert heading("Grad-CAM", boxed) == "Grad-CAM\n34.3%\nIoU = 0.46"
        assert heading("Grad-CAM", Overlay(BLACK, 0 * WEAK, "<0.1%")) == "Grad-CAM (blank)\n<0.1%"
        assert heading("backprop", Saliency(BLACK, np.zeros((2, 2, 3)))) == "backprop (blank)"

    def test_network_weights_and_layer(self):
        made = {"network": "net", "weights": "0123456789abcdef"}
        assert figures.about(made) == "net, weights 01234567."
        made["weights_from"] = "fine_tuned.npy"
        assert figures.about(made, ["conv"]) == "net, weights 01234567 of fine_tuned.npy, layer conv."

    def test_a_picture_beside_rows_is_there_once(self):
        rows = [[("", Overlay(BLACK, WEAK))]] * 3
        top, _ = figures.grid(rows, ["a", "b", "c"], beside=("the picture", BLACK.pixels)).subfigs
        assert [axis.get_title() for axis in top.axes] == ["", "", "", "the picture"]
        assert top.axes[-1].get_subplotspec().rowspan == range(3)


class TestBoxes:
    def test_they_are_drawn_at_the_edges_of_pixels_with_a_legend(self):
        """Pixel 0 goes from -0.5 to 0.5 in matplotlib's numbers."""
        boxes = {"true box": [(0, 0, 2, 1)], "box of the map": [(1, 0, 2, 2)]}
        rows = [[("original", Boxed(BLACK.pixels, {"true box": boxes["true box"]})), ("a", Boxed(BLACK.pixels, boxes))]]
        top, bottom = figures.grid(rows, [""]).subfigs
        first, second = top.axes
        assert [patch.get_bbox().extents.tolist() for patch in first.patches] == [[-0.5, -0.5, 1.5, 0.5]]
        assert [patch.get_bbox().extents.tolist() for patch in second.patches] == [
            [-0.5, -0.5, 1.5, 0.5],
            [0.5, -0.5, 1.5, 1.5],
        ]
        assert len({(patch.get_edgecolor(), patch.get_linestyle()) for patch in second.patches}) == 2
        (legend,) = bottom.axes
        assert [text.get_text() for text in legend.get_legend().get_texts()] == ["true box", "box of the map"]


def test_without_relu_is_shown_as_it_is_and_cut_as_it_was_raised():
    """One channel of 1, 2, 3 and 4 with a mean gradient of -1: the map is -1, -2, -3 and -4, raised by 4."""
    activations = np.array([[[[1.0], [2]], [[3], [4]]]])
    explained = types.SimpleNamespace(
        cam=lambda formula, layer: formula(activations, np.full_like(activations, -1.0)),
    )
    method = REGISTRY["without_relu"]
    np.testing.assert_array_equal(method.shown(explained)[0], [[-1, -2], [-3, -4]])
    np.testing.assert_array_equal(method.make(explained)[0], [[3, 2], [1, 0]])
    assert [name for name, other in REGISTRY.items() if other.signed is not None] == ["without_relu"]
