"""Numbers that judge maps, by hand; estimates and their intervals."""

import numpy as np
import pytest

from gradcam.evaluation import estimates, metrics


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


class TestBootstrap:
    def test_like_the_normal_interval_of_a_proportion(self):
        values = np.arange(10_000) % 4 == 0  # 25 %: a standard error of 0.433 %
        low, high = metrics.bootstrap_interval(values, resamples=2000)
        assert low == pytest.approx(0.25 - 1.96 * 0.00433, abs=1e-3)
        assert high == pytest.approx(0.25 + 1.96 * 0.00433, abs=1e-3)

    def test_the_same_values_have_the_same_interval(self):
        values = np.random.default_rng(1).normal(size=50)
        assert metrics.bootstrap_interval(values) == metrics.bootstrap_interval(values)

    def test_values_without_spread(self):
        assert metrics.bootstrap_interval(np.full(20, 3.0)) == (3, 3)

    def test_a_wider_level_is_wider(self):
        values = np.random.default_rng(1).normal(size=50)
        (low, high), (lower, higher) = (metrics.bootstrap_interval(values, level=level) for level in (0.5, 0.99))
        assert lower < low < high < higher


TABLE = {
    "first": {"a": estimates.Estimate(1, 0.5, 1.5, 4)},
    "second row": {"a": estimates.Estimate(10.126, 9, 11, 4), "b": estimates.Estimate(2, 1, 3, 4)},
}


class TestEstimates:
    def test_undefined_values_do_not_count(self):
        found = estimates.estimate([1.0, np.nan, 3.0], scale=100)
        assert (found.value, found.count) == (200, 2)
        assert np.isnan(estimates.estimate([np.nan]).value)

    def test_as_text(self):
        assert estimates.as_text(TABLE, digits=1) == (
            "            a                 b\nfirst       1.0 [0.5, 1.5]\nsecond row  10.1 [9.0, 11.0]  2.0 [1.0, 3.0]"
        )

    def test_as_rows(self):
        assert estimates.as_rows(TABLE)[1:] == [
            {"row": "second row", "column": "a", "value": 10.126, "low": 9, "high": 11, "count": 4},
            {"row": "second row", "column": "b", "value": 2, "low": 1, "high": 3, "count": 4},
        ]
