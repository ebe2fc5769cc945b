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
    scores = [np.full(6, 0.0), np.full(6, 100.0)]
    assert statistics.iqm_interval(scores) == (50.0, 50.0)


def test_tasks_may_have_unlike_numbers_of_runs():
    scores = [np.array([0.0, 1.0, 2.0, 3.0]), np.array([10.0, 11.0])]
    assert statistics.iqm(scores) == pytest.approx(np.mean([1, 2, 3, 10]))
    part, low, high = statistics.profile(scores, np.array([5.0]))
    assert part == pytest.approx(2 / 6) and np.isnan([low, high]).all()
    part, low, high = statistics.profile([np.arange(5.0), np.full(6, 9.0)], np.array([5.0]))
    assert [*part, *low, *high] == pytest.approx([6 / 11] * 3)


def test_fewer_than_five_runs_of_a_task_are_not_resampled():
    """Bootstrap intervals of so few are far too narrow: two separated runs would have no width."""
    few, enough = np.arange(4.0), np.arange(5.0)
    assert np.isnan(statistics.iqm_interval([enough, few])).all()
    assert np.isnan(statistics.improvement_interval([enough], [few])).all()
    assert np.isnan(statistics.improvement_interval([few], [enough])).all()
    assert np.isfinite(statistics.improvement_interval([enough], [enough])).all()


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
    values = np.array([[1.0, 1.0, np.nan], [3.0, np.nan, np.nan], [5.0, 3.0, np.nan]])
    mean, low, high = statistics.mean_interval(values)
    np.testing.assert_array_equal(mean, [3, 2, np.nan])
    assert low[0] < 3 < high[0] and np.isnan(low[1:]).all() and np.isnan(high[1:]).all()


def test_two_runs_have_no_interval_of_the_mean():
    """Student's t of two runs between 0.4 and 0.7 would reach from -1.4 to 2.5."""
    _, low, high = statistics.mean_interval(np.array([[0.4], [0.7]]))
    assert np.isnan([low, high]).all()


def wilson(won, episodes):
    ends = stats.binomtest(won, episodes).proportion_ci(0.95, "wilson")
    return ends.low, ends.high


def test_win_interval_of_many_like_runs_is_wilsons_of_all_their_episodes():
    many = 2000
    rates = np.tile([[0.3], [0.5]], (many // 2, 1))  # apart less than chance has it
    mean, low, high = statistics.win_interval(rates, np.full(many, 10))
    assert mean[0] == pytest.approx(0.4)
    assert (low[0], high[0]) == pytest.approx(wilson(4 * many, 10 * many), abs=2e-5)


@pytest.mark.parametrize("won", [0.0, 1.0])
def test_win_interval_of_runs_that_lost_or_won_all_is_no_point(won):
    mean, low, high = statistics.win_interval(np.full((3, 1), won), np.full(3, 32))
    worth = 3 * 32 * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 2)) ** 2
    z = stats.norm.ppf(0.975)
    width = z**2 / (worth + z**2)  # Wilson's where nothing was won
    assert (mean[0], high[0] - low[0]) == pytest.approx((won, width))
    assert 0.1 < width < 0.2 and 0 <= low[0] and high[0] <= 1


@pytest.mark.parametrize("n", [2, 3, 10])
def test_win_interval_stays_inside_and_widens_where_runs_differ(n):
    alike = np.full((n, 1), 0.5)
    apart = np.linspace(0, 1, n)[:, None]
    widths = []
    for rates in (alike, apart):
        mean, low, high = statistics.win_interval(rates, np.full(n, 100))
        assert 0 <= low[0] < mean[0] < high[0] <= 1
        widths.append(high[0] - low[0])
    assert widths[1] > widths[0]


def test_win_interval_of_one_run_and_of_episodes_that_were_not_counted():
    mean, low, high = statistics.win_interval(np.array([[0.5, np.nan]]), np.array([32]))
    assert mean[0] == 0.5 and np.isnan([mean[1], *low, *high]).all()
    unknown = statistics.win_interval(np.array([[0.4], [0.4]]), np.zeros(2))
    assert np.isnan([unknown[1], unknown[2]]).all()
    spread = statistics.win_interval(np.array([[0.2], [0.4]]), np.zeros(2))
    assert 0 <= spread[1][0] < 0.3 < spread[2][0] <= 1


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
