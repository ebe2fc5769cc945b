"""Environments whose agents leave or take turns, and environments of other packages, train."""

from __future__ import annotations

from typing import Any

import pytest
from ray.tune.registry import register_env

from tests.algorithms import build, learner
from tests.envs.coming_and_going import Written, flags
from tests.envs.tuples import Tuples

pytestmark = pytest.mark.usefixtures("ray_session")
BOTH = ["a", "b"]


def _leaving() -> Any:
    return Written([BOTH, BOTH, ["a"], ["a"]], [flags(), flags(b=True), flags(over=True)]).grouped()


def _turns() -> Any:
    return Written([["a"], ["b"], ["a"], ["b"], ["a"]]).grouped()


def _parallel() -> Any:
    pytest.importorskip("pettingzoo")
    from tests.envs.parallel import FixedLives

    return FixedLives({"a": 2, "b": 4})


MADE: dict[str, tuple[Any, float]] = {  # environment, its only return
    "leaving": (_leaving, 11 + 11 + 1),
    "turns": (_turns, 1 + 10 + 1 + 10),
    "tuples": (Tuples, 3 * 11),
    "pettingzoo_raw": (_parallel, 11 + 11 + 10 + 10),
}


def _train_until_updated(algorithm: Any) -> Any:
    """The last result; replay may need some iterations before there is enough to learn from."""
    for _ in range(20):
        result = algorithm.train()
        if learner(algorithm)._num_updates:
            return result
    raise AssertionError("no update")


@pytest.mark.parametrize("algorithm_name", ["QMIX", "MMSA"])
@pytest.mark.parametrize("name", MADE)
def test_they_train(name: str, algorithm_name: str) -> None:
    make, expected = MADE[name]
    make()  # skips where its package is missing
    register_env(f"made_{name}", lambda config: make())
    algorithm = build(algorithm_name, f"made_{name}", env_config={})
    result = _train_until_updated(algorithm)
    assert result["env_runners"]["episode_return_mean"] == expected
    algorithm.stop()


@pytest.mark.slow
@pytest.mark.parametrize("algorithm_name", ["QMIX", "MMSA"])
def test_knights_archers_zombies_in_rllib_s_wrapper_trains(algorithm_name: str) -> None:
    pytest.importorskip("pymunk", reason="the family of PettingZoo's Butterfly")
    from pettingzoo.butterfly import knights_archers_zombies_v11
    from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv

    def make(config: Any) -> Any:
        game = ParallelPettingZooEnv(knights_archers_zombies_v11.parallel_env(max_cycles=60))
        return game.with_agent_groups({"g": game.possible_agents})

    register_env("zombies", make)
    algorithm = build(algorithm_name, "zombies", env_config={})
    assert _train_until_updated(algorithm)["env_runners"]["episode_len_mean"] > 10
    algorithm.stop()


def test_rware_trains() -> None:
    pytest.importorskip("rware")
    config = {"task": "rware:rware-tiny-2ag-v2", "max_episode_steps": 20}
    algorithm = build("QMIX", "gymnasium", env_config=config)
    assert _train_until_updated(algorithm)["env_runners"]["episode_len_mean"] == 20
    algorithm.stop()
