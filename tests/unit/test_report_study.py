"""What is compared where: env steps, curves, sets of tasks, design studies, sample efficiency."""

import math
from dataclasses import replace

import numpy as np
import pytest

from rllib_mmsa.errors import ConfigError
from rllib_mmsa.report import contents, designs, groups, page, runs, study
from rllib_mmsa.report.study import Options
from tests.unit.report_data import make_run


def build(found, **options):
    given = Options(**options)
    return study.build(groups.group(found, given.pool), given)


def column(table, name):
    return [row[table.header.index(name)] for row in table.rows]


def test_value_is_the_nearest_evaluation_and_none_beyond_the_end():
    run = make_run(final=0.8)  # evaluations at 0, 250, ..., 1000
    assert run.value_at(runs.TEST_RETURN, 760) == pytest.approx(0.6)
    assert run.value_at(runs.TEST_RETURN, 1120) == 0.8  # within half an interval
    assert math.isnan(run.value_at(runs.TEST_RETURN, 1130))
    assert math.isnan(replace(run, env_steps=np.zeros(0)).value_at(runs.TEST_RETURN, 0))


def test_area_is_the_mean_height_of_the_curve():
    run = make_run(final=0.8)
    assert run.area(runs.TEST_RETURN, 1000) == pytest.approx(0.4)
    assert run.area(runs.TEST_RETURN, 500) == pytest.approx(0.2)
    assert math.isnan(run.area(runs.TEST_RETURN, 2000))


def test_one_crashed_run_does_not_move_the_comparison_and_is_counted():
    found = [make_run(seed) for seed in (1, 2)]
    found.append(make_run(3, last=400, status=runs.CRASHED))
    made = build(found)
    assert made.steps == {"lbf 8x8-2p-2f-v2": 1000}
    (row,) = contents.final(made).rows
    assert row[2] == "2 of 3"
    (value,) = column(contents.final(made), "test return")
    assert value.value == 0.5  # the crashed run is not in the mean


def test_a_young_group_is_compared_where_it_is():
    found = [make_run(seed) for seed in (1, 2, 3)]
    found += [make_run(s, algorithm="QMIX", last=500, status=runs.UNFINISHED) for s in (1, 2, 3)]
    made = build(found)
    assert made.steps == {"lbf 8x8-2p-2f-v2": 500}
    assert [v.value for v in column(contents.final(made), "test return")] == [0.25, 0.25]
    assert build(found, at=1000).steps == {"lbf 8x8-2p-2f-v2": 1000}
    late = column(contents.final(build(found, at=1000)), "test return")
    assert late[0].value == 0.5 and math.isnan(late[1].value)


def test_comparison_beyond_every_run_is_a_mistake():
    with pytest.raises(ConfigError, match="--at is 5,000, but no run .* is at 1,000 env steps"):
        build([make_run()], at=5000)


def test_curve_reads_the_runs_between_their_evaluations_and_stops_at_their_ends():
    long = make_run(1, 1.0)
    short = replace(make_run(2, 0.5, last=500), env_steps=np.array([0.0, 100, 200, 400, 500]))
    short = replace(short, test_return=short.env_steps * 0.0005)
    made = build([long, short])
    curve = made.curve(made.groups[0], runs.TEST_RETURN)
    np.testing.assert_array_equal(curve.x, [0, 250, 500, 750, 1000])
    np.testing.assert_array_equal(curve.runs, [2, 2, 2, 1, 1])
    np.testing.assert_allclose(curve.centre, [0, 0.1875, 0.375, 0.75, 1.0])
    assert np.isnan(curve.low).all()  # two runs have no interval
    third = build([long, short, make_run(3, 0.8)])
    low = third.curve(third.groups[0], runs.TEST_RETURN).low
    assert np.isnan(low[3:]).all() and not np.isnan(low[:3]).any()


def test_last_evaluations_some_steps_apart_are_one_point():
    other = make_run(2, 0.7)
    found = [make_run(1, 0.5), replace(other, env_steps=other.env_steps - 20)]
    made = build(found)
    curve = made.curve(made.groups[0], runs.TEST_RETURN)
    assert curve.runs.tolist() == [2, 2, 2, 2, 2]
    assert curve.centre[-1] == pytest.approx(0.6)


def test_median_with_quartiles_by_option():
    found = [make_run(seed, value) for seed, value in enumerate((0.1, 0.2, 0.9))]
    (value,) = column(contents.final(build(found, statistic="median")), "test return")
    assert (value.value, value.low, value.high) == pytest.approx((0.2, 0.15, 0.55))


def test_only_what_was_measured_on_the_same_tasks_is_put_together():
    found = [
        make_run(s, task=t, algorithm=a) for s in (1, 2) for t in "ab" for a in ("MMSA", "VDN")
    ]
    found += [make_run(s, task="a", algorithm="QMIX") for s in (1, 2)]
    both, one = study.suites(build(found, normalise="0,1"), runs.TEST_RETURN)
    assert both.tasks == ("a", "b") and list(both.scores) == ["MMSA", "VDN"]
    assert one.tasks == ("a",) and list(one.scores) == ["MMSA", "QMIX", "VDN"]
    assert [task.tolist() for task in both.scores["VDN"]] == [[0.5, 0.5], [0.5, 0.5]]


def test_raw_returns_of_several_tasks_are_not_put_together():
    found = [make_run(s, task=t) for s in (1, 2) for t in "ab"]
    made = build([replace(run, win_rate=np.full(5, 0.5)) for run in found])
    assert [suite.tasks for suite in study.suites(made, runs.TEST_RETURN)] == [("a",), ("b",)]
    assert [suite.tasks for suite in study.suites(made, runs.WIN_RATE)] == [("a", "b")]


@pytest.mark.parametrize(
    ("normalise", "values"), [("none", [2, 4]), ("min-max", [0.5, 1.0]), ("0,8", [0.25, 0.5])]
)
def test_normalisation(normalise, values):
    made = build([make_run(1, 2.0), make_run(2, 4.0)], normalise=normalise)
    (suite,) = study.suites(made, runs.TEST_RETURN)
    assert suite.scores["MMSA"][0].tolist() == values


@pytest.mark.parametrize("normalise", ["max", "1", "1,1", "2,1", "a,b", "0,1,2"])
def test_normalisation_that_means_nothing(normalise):
    with pytest.raises(ConfigError, match=f"--normalise is '{normalise}', but must be"):
        build([make_run()], normalise=normalise)


def test_unknown_statistic():
    with pytest.raises(ConfigError, match="unknown statistic 'medain'. Did you mean 'median'"):
        build([make_run()], statistic="medain")


def test_tasks_on_which_nothing_was_measured_are_listed_and_not_compared():
    lost = replace(make_run(1, task="b", status=runs.CRASHED, trial="t"), env_steps=np.zeros(0))
    made = build([make_run(1, task="a"), lost])
    assert made.tasks == ["a"] and column(contents.final(made), "task") == ["a"]
    table = contents.trials(made)
    assert column(table, "task") == ["a", "b"] and column(table, "status")[1] == runs.CRASHED
    assert math.isnan(column(table, "compared")[1])
    text = page.render(made, [], [])
    assert "2 runs, 1 of them finished, in 2 groups" in text
    assert "MMSA on b, seed 1: crashed without an evaluation (t)." in text


def test_nothing_measured_yet():
    run = replace(make_run(), env_steps=np.zeros(0))
    with pytest.raises(ConfigError, match="none of the 1 trials has an evaluation yet"):
        build([run])


def test_sample_efficiency_is_the_ratio_of_steps_to_the_lowest_final_return():
    found = [make_run(1, 0.8), make_run(1, 0.4, algorithm="QMIX")]
    table = contents.efficiency(build(found))
    assert column(table, "env steps") == [500, 1000]  # 0.4 is half of 0.8
    assert column(table, "ratio") == ["2.0", "1.0"]
    assert column(table, "reference") == ["QMIX", "QMIX"]
    high = contents.efficiency(build(found, target_return=0.6))
    assert column(high, "env steps") == [750, math.inf] and column(high, "ratio") == ["-", "-"]


def test_design_study_holds_all_other_settings_equal():
    found = [
        make_run(seed, float(h) / 10, settings={"rollout_horizon": h, "lr": lr})
        for seed in (1, 2)
        for lr in ("0.1", "0.2")
        for h in ("1", "3", "10")
    ]
    panels = designs.panels(build(found))
    by_key = {(p.key, p.fixed): list(p.groups) for p in panels}
    assert by_key[("rollout_horizon", "lr=0.1")] == ["1", "3", "10"]
    assert by_key[("lr", "rollout_horizon=10")] == ["0.1", "0.2"]
    assert len(panels) == 2 + 3
    table = contents.designs(build(found))
    row = next(row for row in table.rows if row[2:5] == ("rollout_horizon", "3", "lr=0.2"))
    assert row[5] == 2 and row[6].value == pytest.approx(0.3)
    assert row[7].value == pytest.approx(0.15)


def test_probability_of_improvement_puts_the_better_first():
    found = [make_run(s, 0.2 + s / 100, algorithm="QMIX") for s in (1, 2, 3)]
    found += [make_run(s, 0.5 + s / 100) for s in (1, 2, 3)]
    ((_, _, better, worse, chance),) = contents.improvements(build(found)).rows
    assert (better, worse, chance.value) == ("MMSA", "QMIX", 1.0)


def test_absolute_metric_where_it_was_measured():
    one = replace(make_run(1), absolute=runs.Absolute(320, 0.75))
    table = contents.absolute(build([one, make_run(2)]))
    ((task, label, count, episodes, actions, value, win),) = table.rows
    assert (count, episodes, actions, value.value) == ("1 of 2", "320", "greedy", 0.75)
    assert math.isnan(win.value)


def test_progress_has_every_seed_and_the_mean():
    table = contents.progress(build([make_run(1, 0.4), make_run(2, 0.8)]))
    assert column(table, "seed") == ["1", "2", "mean"]
    assert column(table, "50 %") == pytest.approx([0.2, 0.4, 0.3])


def test_one_evaluation_is_compared_where_it_was_made():
    """Rounded to three digits, 1,008 env steps would be 1,010, which no run has reached."""
    one = replace(make_run(), env_steps=np.array([1008.0]), test_return=np.array([0.25]))
    made = build([one])
    assert made.steps == {one.task: 1008}
    assert made.final(made.groups[0], runs.TEST_RETURN).value == 0.25


def test_a_young_run_is_not_dropped_beside_longer_ones():
    """A plan that lies within the others' tolerance is no place for one that has not got there."""
    young = replace(make_run(algorithm="QMIX"), env_steps=np.array([900.0]), planned_steps=1000.0)
    young = replace(young, test_return=np.array([0.25]), seconds=np.zeros(1))
    made = build([make_run(seed) for seed in (1, 2)] + [young])
    assert made.steps[young.task] == 900
    assert [made.finals(g, runs.TEST_RETURN).size for g in made.groups] == [2, 1]
    assert study.left_out(made) == []


def test_tasks_that_have_not_got_to_at_are_named():
    young = replace(make_run(task="b"), env_steps=np.array([100.0]), test_return=np.ones(1))
    made = build([make_run(task="a"), young], at=1000)
    (sentence,) = study.left_out(made)
    assert sentence.startswith("MMSA on b: no run has got to 1,000 env steps")
    assert sentence in page.render(made, [], [])
    assert study.left_out(build([make_run(task="a"), young])) == []


def test_nothing_got_as_far_as_at():
    with pytest.raises(ConfigError, match="--at is 5,000, but no run has got so far.*1,000 env"):
        build([make_run()], at=5000)
