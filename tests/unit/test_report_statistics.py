"""The statistics against closed forms, and against values that rliable 1.2.0 gave."""

import math

import numpy as np
import pytest
from scipy import stats

from rllib_mmsa.report import statistics

# Five runs of four tasks for two algorithms; rliable's arrays are the same, (runs, tasks).
X = np.array(
    [
        [0.733, 0.621, 0.541, 0.704],
        [0.873, 0.480, 0.906, 0.827],
        [0.430, 0.664, 0.914, 0.402],
        [0.418, 0.657, 0.689, 0.562],
        [0.883, 0.398, 0.807, 0.851],
    ]
)
Y = np.array(
    [
        [0.733, 0.341, 0.450, 0.533],
        [0.269, 0.824, 0.603, 0.587],
        [0.463, 0.623, 0.144, 0.512],
        [0.828, 0.720, 0.422, 0.593],
        [0.474, 0.447, 0.587, 0.345],
    ]
)
TASKS_X, TASKS_Y = list(X.T), list(Y.T)


def test_interquartile_mean_is_rliables():
    # metrics.aggregate_iqm
    assert statistics.iqm(TASKS_X) == pytest.approx(0.6805, abs=1e-12)
    assert statistics.iqm(TASKS_Y) == pytest.approx(0.5249, abs=1e-12)


def test_bootstrap_interval_is_rliables_to_sampling_error():
    # library.get_interval_estimates, 50,000 repetitions
    assert statistics.iqm_interval(TASKS_X) == pytest.approx((0.5691, 0.7695), abs=0.005)
    assert statistics.iqm_interval(TASKS_Y) == pytest.approx((0.4469, 0.6005), abs=0.005)


def test_probability_of_improvement_is_rliables():
    # metrics.probability_of_improvement; its interval from 2,000 repetitions
    assert statistics.improvement(TASKS_X, TASKS_Y) == pytest.approx(0.685, abs=1e-12)
    interval = statistics.improvement_interval(TASKS_X, TASKS_Y)
    assert interval == pytest.approx((0.52, 0.84), abs=0.025)


def test_performance_profile_is_rliables():
    # library.create_performance_profile, 20,000 repetitions
    part, low, high = statistics.profile(TASKS_X, np.linspace(0, 1, 6))
    np.testing.assert_allclose(part, [1, 1, 0.95, 0.65, 0.35, 0], atol=1e-12)
    np.testing.assert_allclose(low, [1, 1, 0.85, 0.45, 0.15, 0], atol=0.051)
    np.testing.assert_allclose(high, [1, 1, 1, 0.85, 0.55, 0], atol=0.051)


def test_improvement_is_mann_whitney_u_and_antisymmetric():
    u = stats.mannwhitneyu(X[:, 0], Y[:, 0]).statistic
    assert statistics.improvement([X[:, 0]], [Y[:, 0]]) == pytest.approx(u / 25)
    back = statistics.improvement(TASKS_Y, TASKS_X)
    assert statistics.improvement(TASKS_X, TASKS_Y) + back == pytest.approx(1)
    assert statistics.improvement([np.ones(3)], [np.ones(4)]) == 0.5


def test_resampling_stays_within_tasks():
    """Runs of a task without spread cannot move the estimate, however far the tasks are apart."""
    scores = [np.full(4, 0.0), np.full(4, 100.0)]
    assert statistics.iqm_interval(scores) == (50.0, 50.0)


def test_tasks_may_have_unlike_numbers_of_runs():
    scores = [np.array([0.0, 1.0, 2.0, 3.0]), np.array([10.0, 11.0])]
    assert statistics.iqm(scores) == pytest.approx(np.mean([1, 2, 3, 10]))
    part, low, high = statistics.profile(scores, np.array([5.0]))
    assert part == pytest.approx(2 / 6) and low == high == part


def test_one_run_has_no_interval():
    assert statistics.iqm([np.array([0.3])]) == 0.3
    assert all(math.isnan(end) for end in statistics.iqm_interval([np.array([0.3])]))
    ends = statistics.improvement_interval([np.array([0.3])], [np.array([0.2])])
    assert all(math.isnan(end) for end in ends)
    assert math.isnan(statistics.iqm([np.zeros(0)]))


def test_results_are_the_same_to_the_last_bit():
    assert statistics.iqm_interval(TASKS_X) == statistics.iqm_interval(TASKS_X)
    first, second = (statistics.profile(TASKS_X, np.linspace(0, 1, 9)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_mean_interval_is_students_t():
    mean, low, high = statistics.mean_interval(X)
    want = stats.t.interval(0.95, 4, X.mean(axis=0), stats.sem(X, axis=0))
    np.testing.assert_allclose(mean, X.mean(axis=0))
    np.testing.assert_allclose((low, high), want)


def test_mean_interval_leaves_out_what_is_missing():
    values = np.array([[1.0, 1.0, np.nan], [3.0, np.nan, np.nan]])
    mean, low, high = statistics.mean_interval(values)
    np.testing.assert_array_equal(mean, [2, 1, np.nan])
    assert low[0] < 2 < high[0] and np.isnan(low[1:]).all() and np.isnan(high[1:]).all()


def test_median_with_quartiles():
    values = np.array([[1.0, np.nan], [2.0, np.nan], [3.0, np.nan], [10.0, np.nan]])
    median, low, high = statistics.median_quartiles(values)
    assert (median[0], low[0], high[0]) == (2.5, 1.75, 4.75)
    assert np.isnan([median[1], low[1], high[1]]).all()
    (median,), low, high = statistics.median_quartiles(np.array([[2.0]]))
    assert median == 2 and np.isnan([low, high]).all()  # one run has no spread, not a spread of 0


@pytest.mark.parametrize(
    ("level", "steps"), [(0.0, 0), (0.25, 50), (0.5, 100), (0.6, 120), (1.0, 200), (1.01, math.inf)]
)
def test_steps_to_reach_lie_on_the_line_between_evaluations(level, steps):
    at = statistics.steps_to_reach(np.array([0.0, 100, 200]), np.array([0.0, 0.5, 1.0]), level)
    assert at == pytest.approx(steps)


def test_steps_to_reach_starts_after_missing_values():
    curve = np.array([np.nan, 0.7, 0.2])
    assert statistics.steps_to_reach(np.array([0.0, 100, 200]), curve, 0.5) == 100
