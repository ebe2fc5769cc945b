"""The lines that a person reads while a trial runs."""

from __future__ import annotations

import math

from rllib_mmsa.command.run.progress import TrialProgress, format_duration, format_number


def test_a_progress_line_says_what_a_person_asks():
    progress = TrialProgress({"num_env_steps_sampled_lifetime": 200_000})
    result = {
        "num_env_steps_sampled_lifetime": 120_000,
        "time_total_s": 300.0,
        "env_runners": {
            "num_episodes_lifetime": 2431,
            "episode_return_mean": 0.312,
            "epsilon": 0.05,
        },
        "evaluation": {"env_runners": {"episode_return_mean": 0.42}},
    }
    assert progress.update(result)
    assert progress.format("mmsa_lbf", result) == (
        "mmsa_lbf  120,000/200,000 steps  2,431 episodes  return 0.31  test 0.42  win -  "
        "eps 0.05  400 steps/s  left 3:20"
    )
    later = {**result, "num_env_steps_sampled_lifetime": 130_000, "time_total_s": 320.0}
    del later["evaluation"]
    assert not progress.update(later)
    line = progress.format("mmsa_lbf", later)
    assert "test 0.42" in line, "the last evaluation stays in sight"
    assert "500 steps/s  left 2:20" in line, "the speed is that of the last lines"
    later["env_runners"] = {**later["env_runners"], "num_episodes_dropped_lifetime": 2.0}
    assert "2,431 episodes (2 dropped)  return" in progress.format("mmsa_lbf", later)


def test_the_first_line_names_the_engine_once():
    progress, result = TrialProgress({}), {"engine": "native (AVX-512, 2 threads)"}
    assert progress.format("qmix", result).startswith("qmix  engine native (AVX-512, 2 threads)  ")
    assert "engine" not in progress.format("qmix", result)
    assert "engine" not in TrialProgress({}).format("qmix", {})


def test_durations_and_gaps():
    assert [format_duration(s) for s in (5, 194, 7394, math.nan)] == [
        "0:05",
        "3:14",
        "2:03:14",
        "-",
    ]
    assert format_number(math.nan) == "-"
