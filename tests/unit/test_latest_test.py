"""Every result has the latest evaluation; the last iteration ends where it should, with one."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from rllib_mmsa.command.experiment.structure import parse_experiment
from rllib_mmsa.command.run import launch
from rllib_mmsa.command.run.announce import AnnounceStop
from rllib_mmsa.rllib.latest_test import LatestTest
from tests.algorithms import build

KEYS = ("test_return", "test_env_steps", "test_win_rate")
#: Rounds of 8 episodes of 2 steps; iterations of 112 env steps.
SMALL = {
    "env": "two_step",
    "num_envs_per_env_runner": 8,
    "min_sample_timesteps_per_iteration": 100,
    "evaluation_duration": 4,
}


def evaluation(**found: float) -> dict:
    return {"evaluation": {"env_runners": found}}


def test_a_result_has_the_latest_evaluation_and_its_env_steps():
    latest = LatestTest()
    results = [{}, evaluation(episode_return_mean=3.0, win_rate=0.25), {}]
    for env_steps, result in enumerate(results):
        latest.add_to(result, env_steps)
    assert not any(key in results[0] for key in KEYS), "there was none yet"
    assert [results[2][key] for key in KEYS] == [3.0, 1, 0.25]
    lost = evaluation(episode_return_mean=math.nan)
    latest.add_to(lost, 9)
    assert [lost[key] for key in KEYS] == [3.0, 1, 0.25], "an empty evaluation takes nothing away"
    newer = evaluation(episode_return_mean=4.0)
    latest.add_to(newer, 10)
    assert [newer.get(key) for key in KEYS] == [4.0, 10, None]


@pytest.mark.usefixtures("ray_session")
def test_every_row_has_the_latest_test_also_after_a_checkpoint(tmp_path):
    algorithm = build("QMIX", **SMALL, evaluation_interval_env_steps=200)
    rows = [algorithm.train() for _ in range(4)]
    assert [row["num_env_steps_sampled_lifetime"] for row in rows] == [112, 224, 336, 448]
    assert [row["test_env_steps"] for row in rows] == [112, 224, 224, 448]
    assert ["evaluation" in row for row in rows] == [True, True, False, True]
    for row in rows:
        assert row["timesteps_total"] == row["num_env_steps_sampled_lifetime"]
        if "evaluation" in row:
            assert row["test_return"] == row["evaluation"]["env_runners"]["episode_return_mean"]
    assert rows[2]["test_return"] == rows[1]["test_return"]
    assert "test_win_rate" not in rows[0], "the two-step game cannot be won"
    path = algorithm.save_to_path(tmp_path / "checkpoint")
    algorithm.stop()
    resumed = type(algorithm).from_checkpoint(path)
    row = resumed.train()
    assert "evaluation" not in row
    assert (row["test_return"], row["test_env_steps"]) == (rows[3]["test_return"], 448)
    resumed.stop()


@pytest.mark.usefixtures("ray_session")
def test_rllibs_own_interval_begins_with_the_first_row_too():
    own = {"evaluation_interval_env_steps": None}
    algorithm = build("QMIX", **SMALL, **own, evaluation_interval=3)
    rows = [algorithm.train() for _ in range(4)]
    assert [row["test_env_steps"] for row in rows] == [112, 112, 336, 336]
    algorithm.stop()
    algorithm = build("QMIX", **SMALL, **own)
    row = algorithm.train()
    assert not any(key in row for key in KEYS), "evaluation is off"
    algorithm.stop()


def test_the_command_tells_each_trial_where_it_will_be_stopped():
    told = []
    actor = SimpleNamespace(announce_stop=SimpleNamespace(remote=told.append))
    trial = SimpleNamespace(
        temporary_state=SimpleNamespace(ray_actor=actor), stopping_criterion={"test_return": 8}
    )
    experiment = parse_experiment("a", {"run": "QMIX", "env": "two_step"})
    callbacks = launch.build_tuner(experiment)._local_tuner.get_run_config().callbacks
    (announce,) = (each for each in callbacks if isinstance(each, AnnounceStop))
    announce.on_trial_start(1, [trial], trial)
    assert told == [{"test_return": 8}]
    trial.temporary_state.ray_actor = SimpleNamespace()  # of an algorithm of RLlib's own
    announce.on_trial_start(1, [trial], trial)


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize(
    ("stop", "iterations", "env_steps"),
    [
        ({"num_env_steps_sampled_lifetime": 240}, 3, 240),  # 15 rounds of 16
        ({"num_env_steps_sampled_lifetime": 230}, 3, 240),
        ({"training_iteration": 2}, 2, 224),
        ({"env_runners/num_episodes_lifetime": 150}, 3, 336),
        ({"time_total_s": 1e-9}, 1, 112),
    ],
)
def test_the_last_iteration_ends_at_the_stop_with_a_test(stop, iterations, env_steps):
    algorithm = build("QMIX", **SMALL, evaluation_interval_env_steps=10_000)
    config = algorithm.config
    algorithm.announce_stop(stop)
    rows = [algorithm.train() for _ in range(iterations)]
    assert rows[-1]["num_env_steps_sampled_lifetime"] == env_steps
    assert rows[-1]["test_env_steps"] == env_steps
    assert [row["test_env_steps"] for row in rows[:-1]] == [112] * (iterations - 1)
    assert algorithm.config is config, "what a checkpoint says of the settings is unchanged"
    algorithm.stop()
