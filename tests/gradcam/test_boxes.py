"""Boxes from maps, by hand."""

import numpy as np
import pytest

from gradcam import boxes


def map_of(rows):
    return np.array(rows, np.float32)


TWO_SEGMENTS = map_of(
    [
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 0.2, 0.3, 0.0, 0.0, 0.0],
        [0.0, 0.2, 0.2, 0.0, 0.0, 1.0],
        [0.0, 0.0, 0.0, 0.1, 0.0, 0.4],
    ]
)


class TestBoxOf:
    def test_the_largest_segment_above_the_threshold(self):
        # Four places of the left segment reach 0.15 (its 0.1 at the corner does not), two of the right one.
        assert boxes.box_of(TWO_SEGMENTS) == (1, 1, 3, 3)

    def test_the_segment_with_the_peak(self):
        assert boxes.box_of(TWO_SEGMENTS, segment="peak") == (5, 2, 6, 4)

    def test_all_segments(self):
        assert boxes.box_of(TWO_SEGMENTS, segment="all") == (1, 1, 6, 4)

    def test_places_that_touch_at_a_corner_are_one_segment(self):
        assert boxes.box_of(TWO_SEGMENTS, threshold=0.1) == (1, 1, 4, 4)

    def test_a_place_at_the_threshold_itself_is_hot(self):
        assert boxes.box_of(map_of([[0.5, 1.0, 0.0]]), threshold=0.5) == (0, 0, 2, 1)

    def test_the_scale_of_the_map_does_not_matter(self):
        for scale in (1e-6, 255.0):
            assert boxes.box_of(TWO_SEGMENTS * np.float32(scale)) == (1, 1, 3, 3)

    def test_a_map_without_heat_has_the_whole_picture(self):
        assert boxes.box_of(np.zeros((3, 5))) == (0, 0, 5, 3)

    def test_a_gaussian_s_box_is_known(self):
        """exp(-r^2 / 2 s^2) reaches 15 % of its peak within r = s sqrt(2 ln(1 / 0.15)) = 1.948 s."""
        y, x = np.mgrid[:200, :200]
        gaussian = np.exp(-(((x - 90) / 10) ** 2 + ((y - 60) / 20) ** 2) / 2)
        assert boxes.box_of(gaussian) == (90 - 19, 60 - 38, 90 + 20, 60 + 39)

    @pytest.mark.parametrize("threshold", [0, -0.1, 1.5])
    def test_a_threshold_that_cannot_be(self, threshold):
        with pytest.raises(ValueError, match=str(threshold)):
            boxes.box_of(TWO_SEGMENTS, threshold)

    def test_what_is_no_map(self):
        with pytest.raises(KeyError, match=r"'biggest'.*largest, peak, all"):
            boxes.box_of(TWO_SEGMENTS, segment="biggest")
        for bad in (np.zeros((1, 2, 2)), -TWO_SEGMENTS, TWO_SEGMENTS * np.nan):
            with pytest.raises(ValueError, match=r"\[H, W\], finite and >= 0"):
                boxes.box_of(bad)


class TestOverlap:
    @pytest.mark.parametrize(
        ("other", "expected"),
        [
            ((0, 0, 4, 4), 1),
            ((2, 0, 6, 4), 8 / 24),
            ((1, 1, 3, 3), 4 / 16),
            ((4, 0, 8, 4), 0),  # they touch
            ((5, 5, 6, 6), 0),  # apart in both axes: two negative lengths are no area
            ((2, 2, 2, 2), 0),
        ],
    )
    def test_iou(self, other, expected):
        assert boxes.iou((0, 0, 4, 4), other) == pytest.approx(expected)
        assert boxes.iou(other, (0, 0, 4, 4)) == pytest.approx(expected)

    def test_the_best_of_several(self):
        assert boxes.best_iou((0, 0, 4, 4), [(5, 5, 6, 6), (1, 1, 3, 3), (2, 0, 6, 4)]) == pytest.approx(1 / 3)
        assert boxes.best_iou((0, 0, 4, 4), []) == 0


def test_baselines():
    assert boxes.whole((30, 50)) == (0, 0, 50, 30)
    box = boxes.centred((30, 50), share=0.25)
    assert box == pytest.approx((12.5, 7.5, 37.5, 22.5))
    assert boxes.iou(boxes.whole((30, 50)), boxes.centred((30, 50))) == pytest.approx(0.5)


def test_a_box_at_another_size():
    assert boxes.scaled((1, 2, 3, 4), (10, 20), (30, 10)) == pytest.approx((0.5, 6, 1.5, 12))
