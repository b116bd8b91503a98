"""The formulas that judge a map by what a network scores, by hand."""

import numpy as np
import pytest

from gradcam.evaluation import criteria


class TestDropAndGain:
    def test_by_hand(self):
        """From 0.8 to 0.6 a quarter is lost; from 0.6 to 0.7 a quarter of what there was to gain is gained."""
        assert criteria.average_drop(0.8, 0.6) == pytest.approx(0.25)
        assert (criteria.average_gain(0.8, 0.6), criteria.increase(0.8, 0.6)) == (0, 0)
        assert criteria.average_gain(0.6, 0.7) == pytest.approx(0.25)
        assert (criteria.average_drop(0.6, 0.7), criteria.increase(0.6, 0.7)) == (0, 1)

    def test_where_there_is_nothing_to_lose_or_gain(self):
        assert np.isnan(criteria.average_drop(0.0, 0.5)) and np.isnan(criteria.average_gain(1.0, 0.5))
        assert criteria.increase(0.5, 0.5) == 0


class TestFaithfulnessCorrelation:
    def test_by_hand(self):
        # Deviations -1, 0, 1 and -2, 1, 1: 3 / sqrt(2 * 6).
        found = criteria.faithfulness_correlation(np.array([1, 2, 3]), np.array([0, 3, 3]))
        assert found == pytest.approx(3 / np.sqrt(12))

    def test_what_is_always_the_same(self):
        assert np.isnan(criteria.faithfulness_correlation(np.ones(3), np.arange(3)))

    def test_of_other_lengths(self):
        with pytest.raises(ValueError, match=r"\[2\] and \[3\]"):
            criteria.faithfulness_correlation(np.ones(2), np.ones(3))


class TestInfidelity:
    PRODUCTS, DROPS = np.array([1.0, 2.0]), np.array([2.0, 2.0])

    def test_by_hand(self):
        """As they are, (1 - 2)^2 and 0; times the best factor, 6 / 5: (6/5 - 2)^2 and (12/5 - 2)^2."""
        assert criteria.infidelity(self.PRODUCTS, self.DROPS) == pytest.approx(0.5)
        assert criteria.infidelity(self.PRODUCTS, self.DROPS, scaled=True) == pytest.approx((0.64 + 0.16) / 2)
        assert criteria.unexplained(self.PRODUCTS, self.DROPS) == pytest.approx(0.4 / 4)

    def test_no_other_factor_is_better(self):
        rng = np.random.default_rng(0)
        products, drops = rng.normal(size=(2, 50))
        best = criteria.infidelity(products, drops, scaled=True)
        assert all(criteria.infidelity(factor * products, drops) >= best for factor in np.linspace(-2, 2, 81))
        assert 0 < criteria.unexplained(products, drops) <= 1

    def test_of_a_linear_model_its_weights_are_faithful(self):
        """f(x) = w . x loses w . I under any I, which is what is asked of the map w; twice w is, once it is scaled."""
        rng = np.random.default_rng(0)
        weights, perturbations = rng.normal(size=8), rng.normal(size=(20, 8))
        drops = perturbations @ weights
        assert criteria.infidelity(perturbations @ weights, drops) == pytest.approx(0)
        assert criteria.unexplained(perturbations @ (2 * weights), drops) == pytest.approx(0, abs=1e-12)

    def test_maps_of_nothing(self):
        assert criteria.unexplained(np.zeros(2), self.DROPS) == 1
        assert np.isnan(criteria.unexplained(self.PRODUCTS, np.zeros(2)))


class TestMaxSensitivity:
    def test_by_hand(self):
        """A map of length 5 that another is 2 away from, and a third 10."""
        own = np.array([[3.0, 4.0]])
        assert criteria.max_sensitivity(own, np.array([[[3.0, 6.0]], [[9.0, 12.0]]])) == pytest.approx(2)
        assert criteria.max_sensitivity(own, own[None]) == 0
        assert np.isnan(criteria.max_sensitivity(np.zeros(2), np.ones((1, 2))))

    def test_of_other_sizes(self):
        with pytest.raises(ValueError, match=r"2 numbers .* \[1, 3\]"):
            criteria.max_sensitivity(np.ones(2), np.ones((1, 3)))


class TestSparsenessAndComplexity:
    def test_of_four_places(self):
        """All the same, all in one, and 1 and 3 in four: shares 1/4 and 3/4."""
        one, two = np.array([0, 0, 0, 5.0]), np.array([[0, 0], [1.0, 3.0]])
        assert criteria.sparseness(np.ones(4)) == pytest.approx(0)
        assert criteria.sparseness(one) == pytest.approx(1 - 1 / 4)
        # 1 - 2 (1/4 * 1.5/4 + 3/4 * 0.5/4) = 1 - 2 * 3/16.
        assert criteria.sparseness(two) == pytest.approx(1 - 3 / 8)
        assert criteria.complexity(np.ones(4)) == pytest.approx(np.log(4))
        assert criteria.complexity(one) == 0
        assert criteria.complexity(two) == pytest.approx(np.log(4) / 4 + np.log(4 / 3) * 3 / 4)

    def test_sparseness_is_the_mean_difference(self):
        """Another way to the Gini index: the mean absolute difference of two values, over twice their mean."""
        values = np.random.default_rng(0).gamma(0.5, size=(6, 7))
        differences = abs(values.ravel()[:, None] - values.ravel())
        assert criteria.sparseness(values) == pytest.approx(differences.mean() / (2 * values.mean()))

    def test_scale_does_not_matter(self):
        values = np.random.default_rng(0).random((5, 5))
        for metric in (criteria.sparseness, criteria.complexity):
            assert metric(7 * values) == pytest.approx(metric(values))
            assert np.isnan(metric(np.zeros((5, 5))))
