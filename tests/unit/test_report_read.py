"""Tune's folders -> runs."""

import json
import math

import numpy as np
import pytest

from rllib_mmsa import report
from rllib_mmsa.report import groups, runs, tune
from tests.unit.report_data import (
    STEPS,
    config_of,
    result,
    write_experiment,
    write_trial,
)


def test_reads_evaluations_settings_and_status(tmp_path):
    write_experiment(tmp_path / "mmsa", "MMSA", [1, 2])
    first, second = tune.read_folder(tmp_path)
    assert (first.task, first.algorithm, first.seed) == ("lbf 8x8-2p-2f-v2", "MMSA", "1")
    assert first.status == runs.FINISHED and first.planned_steps == 1000
    np.testing.assert_array_equal(first.env_steps, [251, 501, 751, 1001])
    np.testing.assert_allclose(first.test_return, [0.135, 0.26, 0.385, 0.51])
    np.testing.assert_allclose(first.seconds, first.env_steps / 100)
    np.testing.assert_allclose(second.win_rate, second.test_return)
    # Settings without the seed, resources, internals, and where a function lay in memory.
    assert first.settings == second.settings
    assert set(first.settings) == {"lr", "gamma", "policy_mapping_fn"}


@pytest.mark.parametrize("level", ["trial", "experiment", "above"])
def test_any_folder_above_trials_will_do(tmp_path, level):
    (trial,) = write_experiment(tmp_path / "mmsa", "MMSA", [1])
    folder = {"trial": trial, "experiment": trial.parent, "above": tmp_path}[level]
    (run,) = report.load([str(folder)])
    assert run.trial == trial.name and run.algorithm == "MMSA"


def test_a_trial_named_twice_counts_once(tmp_path):
    (trial,) = write_experiment(tmp_path / "mmsa", "MMSA", [1])
    assert len(report.load([str(trial), str(tmp_path), str(trial), str(tmp_path)])) == 1


def test_half_written_last_line_is_left_out(tmp_path):
    (trial,) = write_experiment(tmp_path / "mmsa", "MMSA", [1])
    with (trial / "result.json").open("a") as file:
        file.write(json.dumps(result(1300, 0.9, config_of(1)))[:-20])
    (run,) = tune.read_folder(tmp_path)
    assert run.last_step == 1001 and run.status == runs.FINISHED


def test_whole_last_line_without_line_end_counts(tmp_path):
    (trial,) = write_experiment(tmp_path / "mmsa", "MMSA", [1])
    file = trial / "result.json"
    file.write_text(file.read_text() + json.dumps(result(1300, 0.9, config_of(1))))
    assert tune.read_folder(tmp_path)[0].test_return[-1] == 0.9


def damaged(tmp_path, line, text):
    """A finished run whose result.json has another text in one line (from 1); 2, 4, 6 evaluate."""
    (trial,) = write_experiment(tmp_path / "mmsa", "MMSA", [1])
    file = trial / "result.json"
    lines = file.read_text().splitlines(keepends=True)
    lines[line - 1] = text(lines[line - 1])
    file.write_text("".join(lines))
    (run,) = tune.read_folder(tmp_path)
    return run


def test_broken_line_in_the_middle_is_named_and_left_out(tmp_path):
    run = damaged(tmp_path, 4, lambda line: '{"evaluation": \n')
    assert run.env_steps.tolist() == [251, 751, 1001] and run.status == runs.FINISHED
    (lack,) = run.lacks
    assert "result.json: line 4 cannot be read" in lack
    assert f"{lack}." in groups.remarks(groups.group([run]))


@pytest.mark.parametrize("line", [2, 8])
def test_a_result_behind_a_torn_one_counts(tmp_path, line):
    """A kill leaves half a line, and the resumed run writes on behind it."""
    torn = json.dumps(result(5, 0.9, config_of(1)))[:-30]
    run = damaged(tmp_path, line, lambda whole: torn + whole)
    assert run.env_steps.tolist() == [251, 501, 751, 1001] and run.status == runs.FINISHED
    assert f"line {line} cannot be read in whole" in run.lacks[0]


def test_zeros_after_a_power_cut_are_no_text(tmp_path):
    run = damaged(tmp_path, 8, lambda whole: "\0" * 64 + whole + "\0" * 512)
    assert run.env_steps.tolist() == [251, 501, 751, 1001] and run.lacks == ()


@pytest.mark.parametrize(
    ("name", "text", "kept"),
    [
        ("params.json", '{"env": ', 1),
        ("absolute.json", '{"returns": []}', 1),
        ("absolute.json", "[", 1),
        ("../experiment.yaml", "a: [", 1),
        ("../experiment_state-2026-01-01.json", '{"trial_data": [["{', 0),
        ("result.json", "", 0),
    ],
)
def test_a_damaged_file_costs_no_run(tmp_path, name, text, kept):
    (trial,) = write_experiment(tmp_path / "mmsa", "MMSA", [1])
    (trial / name).write_text(text)
    (run,) = tune.read_folder(tmp_path)
    assert run.algorithm == "MMSA" and run.absolute.episodes == 0
    assert len(run.lacks) == kept
    assert all((trial / name).name in lack for lack in run.lacks)


def test_results_without_env_steps_or_with_infinite_returns_are_no_evaluations(tmp_path):
    lines = [result(100, 0.1, config_of(1)), result(200, math.inf, config_of(1))]
    lines.append({**result(300, 0.3, config_of(1)), STEPS: None})
    write_trial(tmp_path, "MMSA_lbf_0", lines)
    assert tune.read_folder(tmp_path)[0].env_steps.tolist() == [100]


def test_episodes_of_an_evaluation_are_counted_or_as_set(tmp_path):
    line = result(100, 0.1, config_of(1, evaluation_duration=32))
    write_trial(tmp_path, "MMSA_lbf_0", [line])
    line["evaluation"]["env_runners"]["num_episodes"] = 40
    write_trial(tmp_path, "MMSA_lbf_1", [line])
    write_trial(tmp_path, "MMSA_lbf_2", [result(100, 0.1, config_of(1))])
    assert [run.test_episodes for run in tune.read_folder(tmp_path)] == [32, 40, 0]


def test_results_after_a_restored_checkpoint_replace_the_first_ones(tmp_path):
    config = config_of(1)
    steps = [(100, 0.1), (200, 0.2), (300, 0.3), (201, 0.5), (302, 0.6)]
    write_trial(tmp_path, "MMSA_lbf_0", [result(s, v, config) for s, v in steps])
    (run,) = tune.read_folder(tmp_path)
    np.testing.assert_array_equal(run.env_steps, [100, 200, 201, 302])
    np.testing.assert_array_equal(run.test_return, [0.1, 0.2, 0.5, 0.6])


def test_missing_values_are_nan(tmp_path):
    config = config_of(1)
    lines = [result(100, 0.1, config, win=None), result(200, math.nan, config)]
    write_trial(tmp_path, "MMSA_lbf_0", lines)
    (run,) = tune.read_folder(tmp_path)
    assert run.env_steps.tolist() == [100] and np.isnan(run.win_rate).all()


@pytest.mark.parametrize(
    ("done", "steps", "error", "status"),
    [
        (True, 1000, "", runs.FINISHED),
        (True, 1000, "it failed once, and went on", runs.FINISHED),
        (True, 400, "", runs.STOPPED_EARLY),
        (False, 400, "", runs.UNFINISHED),
        (False, 400, "RuntimeError", runs.CRASHED),
    ],
)
def test_status(tmp_path, done, steps, error, status):
    write_experiment(tmp_path / "e", "MMSA", [])
    lines = [result(steps, 0.1, config_of(1), done=done)]
    write_trial(tmp_path / "e", "MMSA_lbf_0", lines, error=error)
    assert tune.read_folder(tmp_path)[0].status == status


def test_trials_that_have_not_begun_are_shown(tmp_path):
    write_experiment(tmp_path / "e", "MMSA", [1])
    waiting = {
        "trainable_name": "MMSA",
        "trial_id": "x_2",
        "status": "PENDING",
        "config": {"env": "lbf", "env_config": {"task": "8x8-2p-2f-v2"}, "seed": 2},
        "stopping_criterion": {STEPS: 1000},
    }
    state = {"trial_data": [[json.dumps(waiting), "{}"]]}
    (tmp_path / "e" / "experiment_state-2026-01-01.json").write_text(json.dumps(state))
    found = tune.read_folder(tmp_path)
    assert [(run.seed, run.status) for run in found] == [
        ("1", runs.FINISHED),
        ("2", runs.PENDING),
    ]
    (group,) = groups.group(found)  # its defaults are not known yet; it joins its siblings
    assert len(group.runs) == 2 and len(group.measured) == 1
    assert "seed 2: not started (x_2)" in groups.remarks([group])[0]


def test_crash_before_the_first_result_is_shown_with_its_siblings(tmp_path):
    write_experiment(tmp_path / "e", "MMSA", [1])
    params = {"env": "lbf", "env_config": {"task": "8x8-2p-2f-v2"}, "lr": 1e-3, "seed": 2}
    write_trial(tmp_path / "e", "MMSA_lbf_1", [], params=params, error="ImportError")
    (group,) = groups.group(tune.read_folder(tmp_path))
    assert [run.status for run in group.runs] == [runs.FINISHED, runs.CRASHED]


def test_options_that_change_in_flight_are_said(tmp_path):
    lines = [result(100, 0.1, config_of(1)), result(200, 0.2, config_of(1, lr=0.5))]
    write_trial(tmp_path, "MMSA_lbf_0", lines)
    assert tune.read_folder(tmp_path)[0].settings["lr"] == tune.IN_FLIGHT


def test_options_that_changed_and_changed_back_are_said(tmp_path):
    lines = [result(i * 100, 0.1, config_of(1, lr=lr)) for i, lr in enumerate((0.1, 0.5, 0.1), 1)]
    write_trial(tmp_path, "MMSA_lbf_0", lines)
    assert tune.read_folder(tmp_path)[0].settings["lr"] == tune.IN_FLIGHT


@pytest.mark.parametrize("key", [runs.BACKEND, runs.VERSION])
def test_a_run_that_went_on_under_another_version_is_no_replicate(tmp_path, key):
    for seed, second in ((1, "b"), (2, "a")):
        config = config_of(seed)
        lines = [result(100, 0.1, config, **{key: "a"}), result(200, 0.2, config, **{key: second})]
        write_trial(tmp_path, f"MMSA_lbf_{seed}", lines)
    mixed, pure = tune.read_folder(tmp_path)
    assert (getattr(mixed, key), getattr(pure, key)) == ("a then b", "a")
    assert len(groups.group([mixed, pure])) == 2


def test_absolute_metric_is_read(tmp_path):
    (trial,) = write_experiment(tmp_path / "e", "MMSA", [1])
    content = {"returns": [0.0, 1.0, 1.0], "wins": [False, True, True]}
    (trial / tune.ABSOLUTE).write_text(json.dumps(content))
    absolute = tune.read_folder(tmp_path)[0].absolute
    assert (absolute.episodes, absolute.test_return) == (3, pytest.approx(2 / 3))
    assert absolute.win_rate == pytest.approx(2 / 3)


def test_other_result_keys(tmp_path):
    lines = [result(100, 0.1, config_of(1), learners={"team": {"td_loss": 0.25}})]
    write_trial(tmp_path, "MMSA_lbf_0", lines)
    (run,) = tune.read_folder(tmp_path, ("learners/team/td_loss", "learners/team/none"))
    assert run.extra["learners/team/td_loss"].tolist() == [0.25]
    assert np.isnan(run.extra["learners/team/none"]).all()
