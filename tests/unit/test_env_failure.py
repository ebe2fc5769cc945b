"""A game that fails costs its episode, in training and in evaluation; one that only fails ends."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from ray.tune.registry import register_env

from env_registry.contract import EnvFailure
from env_registry.toy import CounterEnv
from tests.algorithms import build

LOGGER = "rllib_mmsa.rllib.messages"
pytestmark = pytest.mark.usefixtures("ray_session")


class Mortal(CounterEnv):
    """Fails in the third step or in the reset of every third episode."""

    backend = "toy"
    episodes = 0

    def __init__(self, fails_in: str):
        super().__init__()
        self.fails_in = fails_in

    def reset(self, **kwargs: Any) -> Any:
        Mortal.episodes += 1
        self._fails("reset")
        return super().reset(**kwargs)

    def step(self, action_dict: Any) -> Any:
        if self._t == 2:
            self._fails("step")
        return super().step(action_dict)

    def _fails(self, where: str) -> None:
        if self.fails_in == "always" or (self.fails_in == where and Mortal.episodes % 3 == 0):
            raise EnvFailure(f"the game died in {where}")


register_env("mortal", lambda config: Mortal(**config))


@pytest.mark.parametrize("fails_in", ["reset", "step"])
def test_training_and_evaluation_go_on(fails_in: str, caplog: pytest.LogCaptureFixture) -> None:
    algorithm = build(
        "QMIX",
        "mortal",
        env_config={"fails_in": fails_in},
        evaluation_interval_env_steps=1,
        evaluation_duration=6,
        evaluation_num_envs=2,
    )
    with caplog.at_level(logging.WARNING, logger=LOGGER):
        result = algorithm.train()
    algorithm.stop()
    assert result["env_runners"]["num_episodes_dropped_lifetime"] > 0
    test = result["evaluation"]["env_runners"]
    assert test["num_episodes"] == 6  # none is missing
    assert test["num_episodes_dropped_lifetime"] > 0
    assert result["env_backend"] == "toy"
    told = [record for record in caplog.records if record.name == LOGGER]
    assert f"the game died in {fails_in}" in told[0].getMessage()
    assert all(record.exc_info is None for record in told)  # one line, no traceback


def test_a_game_that_only_fails_ends_the_run() -> None:
    algorithm = build("QMIX", "mortal", env_config={"fails_in": "always"}, max_failures_in_a_row=3)
    with pytest.raises(RuntimeError, match="failed 4 times in a row"):
        algorithm.env_runner.sample()
    algorithm.stop()


def test_an_environment_with_one_game_names_none() -> None:
    algorithm = build("QMIX")
    assert "env_backend" not in algorithm.train()
    algorithm.stop()
