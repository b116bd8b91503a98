"""Differences of methods by the rows of a journal, by hand."""

import numpy as np
import pytest
from scipy import stats

from gradcam.evaluation import pairing
from gradcam.evaluation.journal import Journal, read_journal

BLANK = None


def rows(metric, **values):
    """A picture each: the values that methods have of them."""
    return [{"rank": 0, metric: dict(zip(values, row))} for row in zip(*values.values())]


def test_differences_are_of_pictures_that_both_say_something_of():
    found = pairing.by_method(rows("deletion", cam=[0.5, 0.25, BLANK, 1.0], other=[0.25, 0.5, 0.75, 0.25]), "deletion")
    mean, errors = pairing.difference(found["cam"], found["other"])
    assert (mean.value, mean.count) == (pytest.approx((0.25 - 0.25 + 0.75) / 3), 3)
    # The paired t test of another library.
    test = stats.ttest_rel([0.5, 0.25, 1.0], [0.25, 0.5, 0.25])
    assert errors == pytest.approx(test.statistic)
    assert (mean.low, mean.high) == pytest.approx(tuple(test.confidence_interval(0.95)))


def test_boxes_are_right_or_not():
    found = pairing.by_method(rows("iou", cam=[0.5, 0.49, 0.9], other=[0.1, 0.1, 0.8]), "iou")
    assert {name: list(values) for name, values in found.items()} == {"cam": [1, 0, 1], "other": [0, 0, 1]}
    assert pairing.difference(found["cam"], found["other"])[0].value == pytest.approx(1 / 3)


def test_boxes_at_the_threshold_that_is_best_for_each_method():
    """Of three pictures: at 10 % two boxes of the CAM have an IoU of 0.5 (a 2 or more), else one or none."""
    words = ["0" * 10 + "2" + "0" * 89, "0" * 10 + "3" + "2" * 89, BLANK]
    found = pairing.by_method(rows("max_box_acc", cam=words), "max_box_acc")["cam"]
    np.testing.assert_array_equal(found, [1, 1, np.nan])
    # IoUs of 0.3 and 0.5 are best at 10 %, both pictures; of 0.7 there too, the second.
    found = pairing.by_method(rows("max_box_acc_v2", cam=words), "max_box_acc_v2")["cam"]
    np.testing.assert_allclose(found, [2 / 3, 1, np.nan])


def test_metrics_are_what_methods_can_be_compared_by():
    row = {"name": "a", "rank": 1, "class": "3", "hit": {"cam": True}, "predicted": {"cam": [[1.0, True, True]]}}
    assert pairing.metrics_of([row]) == ["hit"]
    assert list(pairing.by_method([row], "hit")["cam"]) == [1]
    with pytest.raises(KeyError, match="no metric 'deletion'; the metrics are hit"):
        pairing.by_method([row], "deletion")


def test_one_picture_has_no_standard_error():
    mean, errors = pairing.difference(np.array([1.0, np.nan]), np.array([0.5, 1.0]))
    assert (mean.value, mean.count) == (0.5, 1)
    assert np.isnan([mean.low, mean.high, errors]).all()


def test_what_differs_by_rounding_alone_has_no_standard_error():
    """As the entropies of two baselines, which are those of no picture."""
    first = np.full(5, 0.3) + np.array([0, 1, 0, -1, 0]) * 2.0**-54
    mean, errors = pairing.difference(first, np.full(5, 0.1))
    assert mean.value == pytest.approx(0.2)
    assert np.isnan(errors)


def test_what_is_no_journal(tmp_path):
    (tmp_path / "a.jsonl").write_text("[1]\n")
    with pytest.raises(ValueError, match=r"a\.jsonl is not the journal of a run"):
        read_journal(tmp_path / "a.jsonl")
    with pytest.raises(FileNotFoundError):
        read_journal(tmp_path / "b.jsonl")


def test_a_journal_is_read_whatever_it_is_of(tmp_path):
    written = rows("deletion", cam=[0.5, 0.25])
    Journal(tmp_path / "a.jsonl", {"network": "some"}).append(written)
    assert list(read_journal(tmp_path / "a.jsonl").rows) == written
