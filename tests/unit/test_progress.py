"""The lines that a person reads while a trial runs."""

from __future__ import annotations

import itertools
import math
import os
from types import SimpleNamespace

import pytest
from ray.tune.experiment import Trial

from rllib_mmsa.command.run import labels, progress
from rllib_mmsa.command.run.progress import (
    ProgressCallback,
    TrialProgress,
    format_count,
    format_duration,
    format_number,
    format_return,
)

STOP = {"num_env_steps_sampled_lifetime": 200_000}
RESULT = {
    "num_env_steps_sampled_lifetime": 120_000,
    "time_total_s": 300.0,
    "test_return": 0.42,
    "test_env_steps": 120_000,
    "env_runners": {
        "num_episodes_lifetime": 2431,
        "episode_return_mean": 0.312,
        "epsilon": 0.05,
    },
}


def test_a_progress_line_says_what_a_person_asks():
    trial = TrialProgress(STOP)
    assert trial.update(RESULT)
    assert trial.format("mmsa_lbf", RESULT) == (
        "mmsa_lbf  120,000/200,000 steps  2,431 episodes  return 0.31  test 0.42  "
        "eps 0.05  400 steps/s  left 3:20"
    )
    later = {**RESULT, "num_env_steps_sampled_lifetime": 130_000, "time_total_s": 320.0}
    assert not trial.update(later)
    line = trial.format("mmsa_lbf", later)
    assert "test 0.42 (at 120,000)" in line, "the last evaluation stays in sight, with its age"
    assert "500 steps/s  left 2:20" in line, "the speed is that of the last lines"
    won = {**later, "test_win_rate": 0.25, "test_env_steps": 130_000}
    assert trial.update(won)
    assert "test 0.42  win 0.25  eps" in trial.format("mmsa_lbf", won)


def test_a_line_says_what_was_lost():
    lost = {
        **RESULT,
        "env_runners": {
            **RESULT["env_runners"],
            "num_episodes_dropped_lifetime": 3.0,
            "num_episodes_not_finite_lifetime": 2.0,
        },
        "learners": {"team": {"num_skipped_updates": 7}},
    }
    line = TrialProgress(STOP).format("a", lost)
    assert "2,431 episodes  (3 dropped, 2 not finite)  (7 updates skipped)  return" in line
    assert "(3 dropped)  (7 skipped)" in TrialProgress(STOP).format("a", lost, 100)


def results() -> list[dict]:
    """Results with short and with long numbers, of each kind there is."""
    return [
        {
            **RESULT,
            "num_env_steps_sampled_lifetime": steps,
            "time_total_s": seconds,
            "test_return": value,
            "test_env_steps": tested,
            **({} if win is None else {"test_win_rate": win}),
            "env_runners": {
                "num_episodes_lifetime": steps / 2,
                "episode_return_mean": value,
                "epsilon": 0.05,
                "num_episodes_dropped_lifetime": dropped,
                "num_episodes_not_finite_lifetime": dropped,
            },
            "learners": {"team": {"num_skipped_updates": dropped}},
        }
        for steps, seconds, value, tested, win, dropped in itertools.product(
            (16, 9_999_999, 123_456_789),
            (0.5, 300_000.0),
            (0.0, -1234.567, -98_765_432.1, math.nan),
            (16, 9_000_000),
            (None, 1.0),
            (0, 12_345),
        )
    ]


@pytest.mark.parametrize(
    "label", ["a", "mmsa_search_horizon_lr", "lr=0.000512,rollout_horizon=" * 3]
)
@pytest.mark.parametrize("width", [40, 80, 100])
def test_a_line_fits_the_terminal(label, width):
    for result in results():
        for stop in ({}, {"num_env_steps_sampled_lifetime": 200_000_000}):
            line = TrialProgress(stop).format(label, result, width)
            assert len(line) <= width
            if width >= 80:  # what is never left out
                assert line.startswith(label[:7])
                assert " return " in line and " test " in line and "left " in line
                steps = result["num_env_steps_sampled_lifetime"]
                assert f"  {format_count(steps)}" in line or f"  {steps:,}" in line


def test_what_matters_less_gives_way_first():
    result = {**RESULT, "test_env_steps": 100_000, "test_win_rate": 0.25}
    lines = [TrialProgress(STOP).format("mmsa_lbf", result, width) for width in (86, 80, 60)]
    assert lines == [
        "mmsa_lbf  120k/200k  return 0.31  test 0.42 @100k  win 0.25  400 steps/s  left 3:20",
        "mmsa_lbf  120k/200k  return 0.31  test 0.42 @100k  win 0.25  400/s  left 3:20",
        "mmsa_lbf  120k/200k  return 0.31  test 0.42 @100k  left 3:20",
    ]


def trial(number: int, folder: str = "f", **values: float) -> SimpleNamespace:
    return SimpleNamespace(
        trial_id=f"a1b2c_{number:05}",
        evaluated_params=dict(values),
        config={key: value for key, value in values.items() if "/" not in key},
        experiment_dir_name="search",
        checkpoint=None,
        stopping_criterion=STOP,
        storage=SimpleNamespace(trial_dir_name=folder),
        restore_path=None,
    )


def test_the_engine_and_the_game_are_named_once_before_the_first_line(capsys):
    callback, alone = ProgressCallback(), trial(0)
    result = {**RESULT, "engine": "native (AVX-512, 2 threads)", "env_backend": "smax"}
    for _ in range(2):
        callback.on_trial_result(1, [alone], alone, {**result, "done": True})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "search (SMAX)  engine native (AVX-512, 2 threads)"
    assert len(lines) == 3
    assert all(line.startswith("search (SMAX)  120,000/200,000 steps  ") for line in lines[1:])
    two = [trial(1, lr=1e-3), trial(2, lr=1e-4)]
    for number, engine in enumerate(("native", "native", "plain")):
        one = trial(number + 1, lr=1e-3)
        callback.on_trial_result(1, two, one, {**RESULT, "engine": engine})
    named = [line for line in capsys.readouterr().out.splitlines() if "engine" in line]
    assert named == ["#1 lr=0.001  engine native", "#3 lr=0.001  engine plain"]


def test_at_a_terminal_the_line_is_as_wide_as_the_terminal(capsys, monkeypatch):
    monkeypatch.setattr(progress.sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(progress.shutil, "get_terminal_size", lambda: os.terminal_size((80, 24)))
    alone = trial(0)
    result = {**RESULT, "test_env_steps": 100_000, "test_win_rate": 0.25}
    ProgressCallback().on_trial_result(1, [alone], alone, result)
    (line,) = capsys.readouterr().out.splitlines()
    assert 60 < len(line) <= 80


def test_labels_are_the_searched_values():
    two = [trial(0, lr=0.0005, **{"env_config/task": "a"}), trial(1, lr=0.00123456)]
    assert labels.label(two[0], two) == "lr=0.0005,task=a"
    assert labels.label(two[1], two) == "lr=0.00123"
    assert labels.label(two[0], two, numbered=True) == "#0 lr=0.0005,task=a"
    assert labels.label(two[0], two[:1]) == "lr=0.0005,task=a", "the next has not begun yet"
    alone = trial(0)
    assert labels.label(alone, [alone]) == "search", "one trial is the experiment"
    same = [trial(0, lr=1e-5), trial(1, lr=1e-5), trial(2)]
    assert [labels.label(one, same) for one in same] == ["#0 lr=1e-05", "#1 lr=1e-05", "#2"]
    long = [trial(0, **{f"setting_{n}": n for n in range(20)}), trial(1)]
    assert len(labels.label(long[0], long)) == labels.LINE_LENGTH
    assert labels.label(long[0], long).endswith("…")


def test_a_trials_folder_says_what_was_searched():
    def folder(**values: object) -> str:
        made = Trial("QMIX", config={"env": "two_step", **values}, trial_id="a1b2c_00003",
                     evaluated_params=values, stub=True)  # fmt: skip
        return labels.folder(made)

    assert folder(lr=5e-4, seed=3).startswith("lr=0.0005,seed=3_a1b2c_00003_20")
    assert folder(env="/odd name").startswith("env=_odd_name_a1b2c_00003_20")
    assert folder().startswith("QMIX_two_step_a1b2c_00003_20")
    assert len(folder(**{f"setting_{n}": n for n in range(50)})) < 100


def test_an_exchange_is_shown_with_the_settings_in_force(capsys):
    callback = ProgressCallback(numbered=True)
    two = [trial(0, "x", lr=1e-3), trial(1, "y", lr=2e-4)]
    for one in two:
        callback.on_trial_start(1, two, one)
    two[1].config = {"lr": 1.2e-3}  # before the result that decided it is shown
    callback.on_trial_result(2, two, two[1], {**RESULT, "config": {"lr": 2e-4}})
    two[1].checkpoint = SimpleNamespace(path="/results/x/checkpoint_000003")
    callback.on_trial_start(2, two, two[1])
    callback.on_trial_start(3, two, two[1])  # another turn: nothing to say
    assert capsys.readouterr().out.splitlines() == [
        "#0 lr=0.001  starts",
        "#1 lr=0.0002  starts",
        "#1 lr=0.0002  120,000/200,000 steps  2,431 episodes  return 0.31  test 0.42  eps 0.05  "
        "400 steps/s  left 3:20",
        "#1 lr=0.0012  goes on from #0: lr 0.0002 -> 0.0012",
    ]


def test_durations_gaps_and_counts():
    durations = [format_duration(s) for s in (5, 194, 7394, math.nan)]
    assert durations == ["0:05", "3:14", "2:03:14", "-"]
    assert format_number(math.nan) == "-"
    counts = (16, 9_999, 12_345, 999_400, 999_600, 1_250_000, 123_456_789, 2_000_000_000)
    assert [format_count(c) for c in counts] == [
        *("16", "9,999", "12.3k", "999k", "1M", "1.25M", "123M", "2000M")
    ]
    returns = (0.314, -999.5, 12_345.6, -98_765_432.1, math.nan)
    assert [format_return(r) for r in returns] == ["0.31", "-999.50", "12,346", "-9.9e+07", "-"]
