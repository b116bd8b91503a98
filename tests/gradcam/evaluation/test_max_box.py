"""MaxBoxAcc and its second version, by hand and against the definition gone through pixel by pixel."""

import numpy as np
import pytest
from scipy import ndimage

from gradcam import boxes
from gradcam.evaluation import max_box

RNG = np.random.default_rng(0)


def levels(heatmap, true, *, largest):
    return [int(digit) for digit in max_box.reached(np.array(heatmap, np.float32), true, largest=largest)]


class TestReached:
    # A square of 1 and, apart from it, a larger one of 0.5.
    HEATMAP = np.zeros((20, 20))
    HEATMAP[1:5, 1:5], HEATMAP[8:18, 8:18] = 1.0, 0.5

    def test_by_hand(self):
        """Above 0 to 0.5 both squares are hot and the largest is the second; above that there is the first alone."""
        found = levels(self.HEATMAP, [(1, 1, 5, 5)], largest=True)
        assert found[0] == 0  # the whole picture
        assert found[1:51] == [0] * 50 and found[51:] == [3] * 49
        found = levels(self.HEATMAP, [(1, 1, 5, 5)], largest=False)
        assert found[1:] == [3] * 99  # it is among them all along

    @pytest.mark.parametrize(("height", "expected"), [(10, 3), (7, 3), (6, 2), (5, 2), (4, 1), (3, 1), (2, 0)])
    def test_overlaps(self, height, expected):
        """Of a true box of 10 x 10 as many rows as that are hot: an IoU of their share."""
        heatmap = np.zeros((20, 20))
        heatmap[5 : 5 + height, 5:15] = 1
        assert levels(heatmap, [(5, 5, 15, 15)], largest=True)[50] == expected

    def test_the_definition(self):
        heatmap = ndimage.gaussian_filter(RNG.random((24, 30)), 2)
        true = [(3, 4, 15, 18), (14, 2, 29, 12)]
        scaled = (heatmap - heatmap.min()) / np.ptp(heatmap)
        for largest in (True, False):
            expected = []
            for threshold in max_box.THRESHOLDS:
                labels, count = ndimage.label(scaled >= threshold, np.ones((3, 3)))
                sizes = ndimage.sum(labels > 0, labels, range(1, count + 1))
                chosen = [int(np.argmax(sizes))] if largest else range(count)
                slices = ndimage.find_objects(labels)
                found = [(slices[n][1].start, slices[n][0].start, slices[n][1].stop, slices[n][0].stop) for n in chosen]
                best = max(boxes.best_iou(box, true) for box in found)
                expected.append(sum(best >= overlap for overlap in (0.3, 0.5, 0.7)))
            assert levels(heatmap, true, largest=largest) == expected


class TestAccuracies:
    # Three pictures; the thresholds but the first three reach nothing.
    WORDS = tuple(word + "0" * 97 for word in ("231", "220", "010"))

    def test_one_threshold_for_all_pictures(self):
        """IoU 0.5 at the three thresholds: 2, 2 and 0 of 3 pictures."""
        found = max_box.max_box_acc(self.WORDS)
        assert (found.value, found.count) == (pytest.approx(200 / 3), 3)

    def test_a_threshold_for_each_overlap(self):
        """0.3: 2, 3 and 1 of 3; 0.5: 2, 2, 0; 0.7: 0, 1, 0."""
        assert max_box.max_box_acc_v2(self.WORDS).value == pytest.approx(100 * (3 / 3 + 2 / 3 + 1 / 3) / 3)

    def test_no_pictures(self):
        assert np.isnan(max_box.max_box_acc([]).value) and np.isnan(max_box.max_box_acc_v2([]).value)
