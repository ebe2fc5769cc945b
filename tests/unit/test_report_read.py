"""Tune's folders and data files -> runs -> groups."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from rllib_mmsa import report
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.report import data, groups, runs, tune
from tests.unit.report_data import (
    STEPS,
    config_of,
    make_run,
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


def test_broken_line_in_the_middle_is_named(tmp_path):
    (trial,) = write_experiment(tmp_path / "mmsa", "MMSA", [1])
    file = trial / "result.json"
    lines = file.read_text().splitlines(keepends=True)
    lines[3] = '{"evaluation": \n'
    file.write_text("".join(lines))
    with pytest.raises(ConfigError, match=r"result\.json, line 4, cannot be read"):
        tune.read_folder(tmp_path)


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


# Groups.


def label_of(found, **identity):
    return [g.label for g in groups.group(found) if identity.items() <= g.identity.items()]


def test_seeds_are_replicates_and_settings_are_not():
    found = [make_run(seed, settings={"lr": lr}) for lr in ("0.1", "0.01") for seed in (2, 10, 1)]
    first, second = groups.group(found)
    assert (first.label, second.label) == ("MMSA lr=0.01", "MMSA lr=0.1")
    assert [run.seed for run in first.runs] == ["1", "2", "10"]


@pytest.mark.parametrize("key", [runs.BACKEND, runs.VERSION])
def test_unlike_backends_and_versions_are_never_averaged(key):
    found = [make_run(1, **{key: "a"}), make_run(2, **{key: "b"})]
    made = groups.group(found)
    assert [g.label for g in made] == [f"MMSA {key}=a", f"MMSA {key}=b"]
    assert groups.differences(made)[key] == {
        "a": [f"MMSA {key}=a on lbf 8x8-2p-2f-v2"],
        "b": [f"MMSA {key}=b on lbf 8x8-2p-2f-v2"],
    }
    assert len(groups.group(found, pool=(key,))) == 1  # unless asked for


def test_the_usual_value_is_left_out_of_names():
    default = {"lr": "0.001", "rollout_horizon": "3"}
    found = [make_run(settings=default)]
    found += [make_run(settings={**default, "rollout_horizon": h}) for h in ("1", "2", "10")]
    found += [make_run(settings={**default, "lr": "0.1"})]
    assert [g.label for g in groups.group(found)] == [
        "MMSA",
        "MMSA lr=0.1",
        "MMSA rollout_horizon=1",
        "MMSA rollout_horizon=2",
        "MMSA rollout_horizon=10",
    ]


def test_settings_that_differ_only_between_tasks_do_not_change_names():
    found = [
        make_run(task="a", settings={"gamma": "1"}),
        make_run(task="b", settings={"gamma": "0"}),
    ]
    made = groups.group(found)
    assert [g.label for g in made] == ["MMSA", "MMSA"]
    assert groups.differences(made)["gamma"] == {"0": ["MMSA on b"], "1": ["MMSA on a"]}


def test_settings_that_were_not_recorded_keep_groups_apart():
    found = [make_run(1, settings={"lr": "0.1"}), make_run(2, settings={})]
    made = groups.group(found)
    assert [g.label for g in made] == ["MMSA", "MMSA (2)"]
    assert groups.unrecorded(made) == ["lr"]


def test_options_of_one_algorithm_alone_are_no_difference():
    found = [make_run(settings={"lr": "1", "use_sale": "true"})]
    found.append(make_run(algorithm="QMIX", settings={"lr": "2"}))
    assert set(groups.differences(groups.group(found))) == {"lr"}


def test_remarks_name_what_is_missing_broken_off_or_double():
    found = [make_run(seed) for seed in (1, 2, 3)]
    found += [make_run(1, algorithm="QMIX"), make_run(1, algorithm="QMIX", trial="again")]
    found += [make_run(2, algorithm="QMIX", last=400, status=runs.CRASHED, trial="t")]
    text = "\n".join(groups.remarks(groups.group(found)))
    assert "QMIX on lbf 8x8-2p-2f-v2, seed 2: crashed after 400 of 1,000 env steps (t)." in text
    assert "QMIX on lbf 8x8-2p-2f-v2: no run with seed 3." in text
    assert "seed 1 was run 2 times" in text
    assert "MMSA" not in text


def test_seeds_that_a_group_has_on_another_task_alone_are_missed():
    found = [make_run(1, task="a"), make_run(2, task="a"), make_run(1, task="b")]
    found += [make_run(5, task="c", algorithm="QMIX")]
    assert groups.remarks(groups.group(found)) == ["MMSA on b: no run with seed 2."]


def test_a_trial_that_has_not_started_needs_no_other_word():
    run = replace(make_run(1, status=runs.PENDING, trial="t"), env_steps=np.zeros(0))
    (text,) = groups.remarks(groups.group([run]))
    assert text == "MMSA on lbf 8x8-2p-2f-v2, seed 1: not started (t)."


# Data files.


def test_data_file_gives_back_the_runs_and_the_same_bytes(tmp_path):
    write_experiment(tmp_path / "a", "MMSA", [1, 2], rollout_horizon=3)
    write_experiment(tmp_path / "b", "MMSA", [1, 2], rollout_horizon=5)
    write_trial(tmp_path / "b", "MMSA_lbf_9", [], error="it broke")
    before = tune.read_folder(tmp_path)
    data.write(tmp_path / "x.csv", before)
    after = data.read(tmp_path / "x.csv")
    data.write(tmp_path / "y.csv", after)
    assert (tmp_path / "x.csv").read_bytes() == (tmp_path / "y.csv").read_bytes()
    assert len(after) == len(before) == 5
    for one, other in zip(before, after, strict=True):
        assert (one.task, one.seed, one.status, one.trial) == (
            other.task, other.seed, other.status, other.trial,
        )  # fmt: skip
        np.testing.assert_array_equal(one.env_steps, other.env_steps)
        np.testing.assert_allclose(one.test_return, other.test_return, rtol=1e-5)
    assert [g.label for g in groups.group(after)] == [g.label for g in groups.group(before)]


def test_data_file_holds_options_that_were_set_or_differ(tmp_path):
    one = make_run(1, settings={"lr": "1", "gamma": "0.9", "hidden": "64"}, explicit={"lr"})
    data.write(tmp_path / "x.csv", [one, replace(one, settings={**one.settings, "hidden": "32"})])
    header = (tmp_path / "x.csv").read_text().splitlines()[0].split(",")
    assert [name for name in header if name.startswith("config/")] == ["config/hidden", "config/lr"]


def test_a_name_given_in_a_data_file_is_kept(tmp_path):
    found = [make_run(settings={"use_sale": "true"})]
    found += [make_run(configuration="without SALE", settings={"use_sale": "false"})]
    data.write(tmp_path / "x.csv", found)
    made = groups.group(data.read(tmp_path / "x.csv"))
    assert [g.label for g in made] == ["MMSA", "MMSA without SALE"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task,algorithm,env_steps,test_return\n", "lacks the column seed"),
        ("task,algorithm,seed,env_steps,test_return,win\n", "unknown column 'win'.*win_rate"),
        ("task,algorithm,seed,env_steps,test_return\na,MMSA,1,x,0\n", "line 2: env_steps must be"),
        (
            "task,algorithm,seed,env_steps,test_return\na,MMSA,1,5,0\na,MMSA,1,5,0\n",
            "lines 2 to 3: the env_steps of a run must increase",
        ),
        (
            "task,algorithm,seed,env_steps,test_return,status\na,MMSA,1,5,0,fine\n",
            "unknown status 'fine'",
        ),
    ],
)
def test_mistakes_in_data_files(tmp_path, text, message):
    file = tmp_path / "x.csv"
    file.write_text(text)
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        data.read(file)


def test_the_repositorys_data_reads():
    from pathlib import Path

    folder = Path(__file__).resolve().parents[2] / "docs" / "results" / "data"
    files = sorted(folder.glob("*.csv"))
    assert files
    for file in files:
        assert all(run.env_steps.size for run in data.read(file))
