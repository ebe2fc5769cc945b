"""Training on the game that SC2PATH names: every race, failing games, games beside each other.

Nothing here asks for more than the rules of the game: no test depends on who wins.
"""

from __future__ import annotations

import itertools
import math
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from ray.rllib.callbacks.callbacks import RLlibCallback

from tests.algorithms import build
from tests.game.game import MARKS

pytestmark = [*MARKS, pytest.mark.usefixtures("ray_session")]


class Nuisance(RLlibCallback):
    """Counts the episodes of a process, and signals some of their games."""

    started = 0
    ended = 0

    def on_episode_start(self, **kwargs: Any) -> None:
        Nuisance.started += 1

    def on_episode_end(self, **kwargs: Any) -> None:
        Nuisance.ended += 1


class Killer(Nuisance):
    """Kills the game in the second step of every second episode."""

    def on_episode_step(self, *, episode: Any, env: Any, env_index: int, **kwargs: Any) -> None:
        if Nuisance.started % 2 == 0 and len(episode) == 2:
            os.kill(env.envs[env_index].game_pid, signal.SIGKILL)


class Stopper(Nuisance):
    """Stops the game after every second episode: the reset that follows gets no answer."""

    def on_episode_end(self, *, env: Any, env_index: int, **kwargs: Any) -> None:
        super().on_episode_end()
        if Nuisance.ended % 2 == 0:
            os.kill(env.envs[env_index].game_pid, signal.SIGSTOP)


def lose_units(create: Callable[..., Any], one_in: int) -> Callable[..., Any]:
    """Game._create_new_team that leaves a unit out of some teams: the reset gives up."""
    teams = itertools.count(1)

    def lose(self: Any, team: Any, *args: Any, **kwargs: Any) -> Any:
        made = team[1:] if next(teams) % one_in == 0 else team
        return create(self, made, *args, **kwargs)

    return lose


def train(name: str, env: str, **config: Any) -> dict[str, Any]:
    """The result of one iteration of some episodes, with an evaluation of three."""
    Nuisance.started = Nuisance.ended = 0
    settings = {
        "num_envs_per_env_runner": 1,
        "min_sample_timesteps_per_iteration": 150,
        "evaluation_interval_env_steps": 1,
        "evaluation_duration": 3,
        "evaluation_num_envs": 1,
    }
    algorithm = build(name, env, **{**settings, **config})
    try:
        return algorithm.train()
    finally:
        algorithm.stop()


def check_result(result: dict[str, Any], *, dropped: bool) -> None:
    """Whether training, evaluation and learning took place, with or without failures."""
    runners, test = result["env_runners"], result["evaluation"]["env_runners"]
    assert result["env_backend"] == "starcraft2"
    assert runners["num_episodes_lifetime"] >= 2
    assert test["num_episodes"] == 3
    for part in (runners, test):
        assert 0 <= part["win_rate"] <= 1
        assert math.isfinite(part["episode_return_mean"])
    assert (runners["num_episodes_dropped_lifetime"] > 0) == dropped
    if runners["num_episodes_lifetime"] >= 4:  # learning_starts_episodes
        learner = result["learners"]["team"]
        assert learner["num_updates_lifetime"] >= 1
        assert math.isfinite(learner["total_loss"])


@pytest.mark.slow
@pytest.mark.parametrize("race", ["terran", "protoss", "zerg"])
def test_mmsa_trains_on_every_race(race: str) -> None:
    result = train("MMSA", "smacv2", env_config={"task": f"{race}_5_units"})
    check_result(result, dropped=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "env", "task"),
    [("QMIX", "smacv2", "protoss_5_units"), ("MMSA", "smac", "8m"), ("MMSA", "smac", "3m")],
)
def test_training_outlives_its_games(name: str, env: str, task: str) -> None:
    result = train(name, env, env_config={"task": task}, callbacks_class=Killer)
    check_result(result, dropped=True)
    assert result["evaluation"]["env_runners"]["num_episodes_dropped_lifetime"] >= 1


@pytest.mark.slow
def test_training_outlives_resets_that_hang() -> None:
    env_config = {"task": "3m", "reset_timeout_s": 3.0}
    result = train("MMSA", "smac", env_config=env_config, callbacks_class=Stopper)
    check_result(result, dropped=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["QMIX", "MMSA"])
def test_lost_units_cost_an_episode(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from env_registry.starcraft2.game import Game  # here: it imports smacv2

    monkeypatch.setattr(Game, "_create_new_team", lose_units(Game._create_new_team, 5))
    check_result(train(name, "smacv2"), dropped=True)


@pytest.mark.slow
def test_remote_runners_play_at_once_and_differently() -> None:
    algorithm = build("VDN", "smacv2", num_env_runners=2, num_envs_per_env_runner=2)
    found = algorithm.env_runner_group.foreach_env_runner(
        lambda runner: (
            [episode.state[0] for episode in runner.sample(num_episodes=2)],
            [env.game_pid for env in runner.env.envs],
        ),
        local_env_runner=False,
    )
    states = {state.tobytes() for states, _ in found for state in states}
    pids = {pid for _, pids in found for pid in pids}
    algorithm.stop()
    assert len(states) == 4
    assert len(pids) == 4
