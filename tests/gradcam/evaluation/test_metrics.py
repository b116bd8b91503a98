"""Numbers that judge maps, by hand; estimates and their intervals."""

import numpy as np
import pytest
from scipy import stats

from gradcam.evaluation import charts, estimates, metrics


class TestRankCorrelation:
    def test_by_hand(self):
        # Ranks 1 2 3 4 and 1 3 2 4: 1 - 6 sum d^2 / (n (n^2 - 1)) = 1 - 6 * 2 / 60.
        assert metrics.rank_correlation(np.array([1, 2, 3, 4]), np.array([10, 30, 20, 99])) == pytest.approx(0.8)

    def test_ties_have_their_mean_rank(self):
        # Ranks 1.5 1.5 3 and 1 2 3: Pearson's of these is 1.5 / sqrt(1.5 * 2).
        assert metrics.rank_correlation(np.array([0, 0, 5]), np.array([1, 2, 3])) == pytest.approx(1.5 / np.sqrt(3))

    def test_any_increasing_function_has_the_same_ranks(self):
        values = np.random.default_rng(0).normal(size=(6, 7))
        assert metrics.rank_correlation(values, np.exp(values)) == pytest.approx(1)
        assert metrics.rank_correlation(values, -(values**3)) == pytest.approx(-1)

    def test_a_constant_map_has_no_ranks(self):
        assert np.isnan(metrics.rank_correlation(np.zeros((2, 2)), np.arange(4).reshape(2, 2)))

    def test_maps_of_other_shapes(self):
        with pytest.raises(ValueError, match=r"\[2, 2\] and \[4\]"):
            metrics.rank_correlation(np.zeros((2, 2)), np.zeros(4))


class TestPointing:
    PEAK = np.zeros((10, 20))
    PEAK[4, 12] = 1  # whose centre is at x 12.5, y 4.5

    @pytest.mark.parametrize(
        ("box", "tolerance", "expected"),
        [
            ((12, 4, 13, 5), 0, True),
            ((13, 4, 20, 5), 0, False),
            ((13, 4, 20, 5), 0.5, True),
            ((15.5, 8.5, 20, 10), 4.9, False),  # 3 to the right and 4 below: 5 away
            ((15.5, 8.5, 20, 10), 5, True),
        ],
    )
    def test_the_distance_to_the_box(self, box, tolerance, expected):
        assert metrics.points_at(self.PEAK, [box], tolerance) is expected

    def test_one_of_several_boxes_is_enough(self):
        assert metrics.points_at(self.PEAK, [(0, 0, 1, 1), (12, 0, 13, 10)], 0)
        assert not metrics.points_at(self.PEAK, [], 100)

    def test_a_map_without_heat_points_at_nothing(self):
        assert not metrics.points_at(np.zeros((10, 20)), [(0, 0, 20, 10)], 100)

    def test_a_plateau_points_at_its_centre(self):
        assert metrics.points_at(np.ones((10, 20)), [(9, 4, 11, 6)], 0)


class TestPixelPointing:
    """TorchRay's: from pixel to pixel, less than the tolerance."""

    PEAK = np.zeros((20, 20))
    PEAK[4, 12] = 1

    @pytest.mark.parametrize(("pixel", "tolerance", "expected"), [((7, 16), 5, False), ((7, 16), 5.1, True)])
    def test_the_distance(self, pixel, tolerance, expected):
        mask = np.zeros((20, 20), bool)
        mask[pixel] = True  # 3 below and 4 to the right
        assert metrics.pixel_points_at(self.PEAK, mask, tolerance) is expected

    def test_as_a_disk_meets_a_mask(self):
        """A second way, with every pixel of the disk about the peak."""
        rng = np.random.default_rng(0)
        for _ in range(20):
            heatmap, mask = rng.random((20, 20)), rng.random((20, 20)) < 0.02
            row, column = np.argwhere(heatmap == heatmap.max())[0]
            rows, columns = np.mgrid[:20, :20]
            disk = (rows - row) ** 2 + (columns - column) ** 2 < 4**2
            assert metrics.pixel_points_at(heatmap, mask, 4) == bool((disk & mask).any())

    def test_nothing_to_point_at(self):
        assert not metrics.pixel_points_at(self.PEAK, np.zeros((20, 20), bool), 100)


class TestInside:
    HEATMAP = np.array([[4.0, 1.0], [2.0, 3.0]])
    MASK = np.array([[True, False], [False, True]])

    def test_by_hand(self):
        """4 and 3 of 10 lie on the object, and are the two hottest; of the other two places neither is."""
        assert metrics.mass_inside(self.HEATMAP, self.MASK) == pytest.approx(0.7)
        assert metrics.rank_accuracy(self.HEATMAP, self.MASK) == 1
        assert metrics.rank_accuracy(self.HEATMAP, ~self.MASK) == 0

    def test_places_that_are_alike(self):
        """Three places of 1 for two that count: each counts two thirds, whatever their order."""
        heatmap = np.array([[1.0, 1.0], [1.0, 0.0]])
        assert metrics.rank_accuracy(heatmap, self.MASK) == pytest.approx(2 / 3 / 2)
        assert metrics.rank_accuracy(heatmap, np.ones((2, 2), bool)) == 1

    def test_what_has_no_number(self):
        assert np.isnan(metrics.mass_inside(np.zeros((2, 2)), self.MASK))
        assert np.isnan(metrics.rank_accuracy(np.zeros((2, 2)), self.MASK))
        assert np.isnan(metrics.rank_accuracy(self.HEATMAP, np.zeros((2, 2), bool)))

    def test_the_mask_of_boxes(self):
        """Pixels whose centres are in: of 0.6 to 2.4 in x the second alone, since 0.5 is not in, and 2.5 is not."""
        mask = metrics.mask_of([(0.6, 0, 2.4, 1), (2, 2, 4, 9)], (3, 4))
        assert np.argwhere(mask).tolist() == [[0, 1], [2, 2], [2, 3]]


class TestShareInterval:
    @pytest.mark.parametrize("hits", range(7))
    def test_it_is_where_the_share_could_be_told_from_the_true_one(self, hits):
        """Wilson's ends are the true shares whose own normal test of the observed one just says no."""
        low, high = metrics.share_interval(hits, 6)
        for end in (low, high):
            if 0 < end < 1:
                assert abs(hits / 6 - end) / np.sqrt(end * (1 - end) / 6) == pytest.approx(1.959964, rel=1e-5)
        assert (low == 0) == (hits == 0) and (high == 1) == (hits == 6)
        assert low < high

    def test_it_holds_for_six(self):
        """The probability that six pictures' interval has the true share in it, on the mean of all true shares."""
        intervals = [metrics.share_interval(hits, 6) for hits in range(7)]
        shares = np.linspace(0.005, 0.995, 199)
        probabilities = stats.binom.pmf(np.arange(7)[:, None], 6, shares)
        covered = [(low <= shares) & (shares <= high) for low, high in intervals]
        held = (probabilities * covered).sum(axis=0)
        assert held.mean() > 0.95 and held.min() > 0.83

    def test_no_pictures(self):
        assert np.isnan(metrics.share_interval(0, 0)).all()


class TestMeanInterval:
    def test_of_truths_it_is_the_exact_one(self):
        """Clopper and Pearson's, by the quantiles of beta distributions: 2 of 6."""
        found = metrics.mean_interval(np.array([0, 1, 0, 0, 1, 0]), draws=40_000)
        assert found == pytest.approx(stats.beta.ppf([0.025, 0.975], [2, 3], [5, 4]), abs=0.006)

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.775])
    def test_it_holds_for_six(self, share):
        """Values of 0.8 but for a share of 1, as the recall's are, where Student's and the bootstrap's are points."""
        rng = np.random.default_rng(0)
        true = 0.8 + 0.2 * share
        tried = [metrics.mean_interval(np.where(rng.random(6) < share, 1, 0.8), draws=400) for _ in range(200)]
        assert np.mean([low <= true <= high for low, high in tried]) > 0.93

    def test_of_many_it_is_the_normal_one(self):
        values = np.random.default_rng(1).uniform(-1, 1, 4000)
        half = 1.96 * values.std() / np.sqrt(4000)
        low, high = metrics.mean_interval(values, (-1, 1))
        assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
        assert high == pytest.approx(values.mean() + half, abs=0.1 * half)

    def test_it_stays_within_the_bounds_and_is_no_point(self):
        low, high = metrics.mean_interval(np.full(6, 0.8))
        assert 0 < low < 0.75 and 0.85 < high < 1
        assert metrics.mean_interval(np.full(6, 0.8)) == (low, high)
        low, high = metrics.mean_interval(np.array([0.3]), (-1, 1))
        assert -1 < low < -0.9 and 0.9 < high < 1

    def test_no_values(self):
        assert np.isnan(metrics.mean_interval(np.array([]))).all()

    def test_without_bounds_it_is_student_s(self):
        """SciPy's own way: the test of the mean whose interval it is."""
        values = np.random.default_rng(0).normal(3, 2, 12)
        expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        assert metrics.mean_interval(values, (0, np.inf)) == pytest.approx((expected.low, expected.high))
        assert np.isnan(metrics.mean_interval(values[:1], (0, np.inf))).all()


TABLE = {
    "first": {"a": estimates.Estimate(1, 0.5, 1.5, 4)},
    "second row": {"a": estimates.Estimate(10.126, 9, 11, 4), "b": estimates.Estimate(2, 1, 3, 4)},
}


class TestEstimates:
    def test_undefined_values_do_not_count(self):
        found = estimates.estimate([0.1, np.nan, 0.3], scale=100)
        assert (found.value, found.count) == (pytest.approx(20), 2)
        assert np.isnan(estimates.estimate([np.nan]).value)

    def test_truths_have_the_interval_of_a_share(self):
        found = estimates.estimate([True, False, True, True], scale=100)
        assert (found.value, found.count) == (75, 4)
        assert (found.low, found.high) == pytest.approx([100 * end for end in metrics.share_interval(3, 4)])
        numbers = estimates.estimate([1.0, 0.0, 1.0, 1.0], scale=100)  # the exact one, which is wider
        assert numbers.low < found.low and found.high < numbers.high

    def test_numbers_have_bounds(self):
        assert estimates.estimate([-0.5], bounds=(-1, 1)).low < -0.5

    def test_classes_count_alike(self):
        """Of three cats two, of one dog none: a third; weights 1/6 three times and 1/2 are as 3 pictures."""
        found = estimates.estimate_of_classes(np.array([True, True, False, False]), ["cat", "cat", "cat", "dog"], 100)
        assert (found.value, found.count) == (pytest.approx(100 / 3), 4)
        assert (found.low, found.high) == pytest.approx([100 * end for end in metrics.share_interval(1, 3)])
        assert estimates.estimate_of_classes(np.array([True] * 7), list("aabbbcc")).high == 1
        assert np.isnan(estimates.estimate_of_classes(np.array([], bool), []).value)

    def test_counts(self):
        assert estimates.counts_of(TABLE) == "n = 4"
        cells = {"first": {"a": estimates.Estimate(1, 0, 2, 9893), "b": estimates.Estimate(1, 0, 2, 50)}}
        assert estimates.counts_of({**TABLE, **cells}) == "n = 4 to 9,893"
        assert estimates.counts_of({**TABLE, **cells}, "b") == "n = 4 to 50"
        assert "10.1 [9.0, 11.0] n = 4" in estimates.as_text({**TABLE, **cells}, digits=1)

    def test_as_text(self):
        assert estimates.as_text(TABLE, digits=1) == (
            "            a                 b\nfirst       1.0 [0.5, 1.5]\nsecond row  10.1 [9.0, 11.0]  2.0 [1.0, 3.0]"
        )

    def test_as_rows(self):
        assert estimates.as_rows(TABLE)[1:] == [
            {"row": "second row", "column": "a", "value": 10.126, "low": 9, "high": 11, "count": 4},
            {"row": "second row", "column": "b", "value": 2, "low": 1, "high": 3, "count": 4},
        ]


class TestChart:
    def test_it_says_of_how_many_and_what_its_marks_are(self):
        lower = {"first": {"a": estimates.Estimate(60, 50, 70, 6), "b": estimates.Estimate(50, 40, 60, 5)}}
        figure = charts.intervals({"upper": TABLE, "lower": lower}, "%", "net, data: 6 pictures")
        legends = [[text.get_text() for text in axis.get_legend().get_texts()] for axis in figure.axes]
        assert legends == [["a (n = 4)", "b (n = 4)"], ["a (n = 6)", "b (n = 5)"]]
        assert "Wilson" in figure.get_supxlabel() and "Gaffke" in figure.get_supxlabel()
        upper, lower = (axis.get_xlim() for axis in figure.axes)
        assert upper == lower and lower[0] < 0.5 and lower[1] > 70
