"""MAMuJoCo's four tasks of the paper and a PettingZoo game train and are evaluated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import env_registry
from env_registry.tasks.mamujoco import TABLE_9
from tests.algorithms import build, learner, weights

pytestmark = pytest.mark.usefixtures("ray_session")

LIMIT = 25  # env steps
RUNS: list[tuple[str, dict[str, Any]]] = [
    *(("mamujoco", {"task": task, "max_episode_steps": LIMIT}) for task in TABLE_9),
    ("pettingzoo", {"task": "mpe2.simple_spread_v3"}),
]


@pytest.mark.parametrize("name", ["MMSA", "QMIX"])
@pytest.mark.parametrize(("env", "env_config"), RUNS, ids=lambda value: str(value))
def test_ten_updates_and_an_evaluation(name: str, env: str, env_config: dict[str, Any]) -> None:
    if not env_registry.installed(env)[0]:
        pytest.skip(env_registry.installed(env)[1])
    algorithm = build(
        name,
        env,
        env_config=env_config,
        train_batch_episodes=2,
        learning_starts_episodes=2,
        evaluation_interval_env_steps=10 * LIMIT,
        evaluation_duration=2,
        evaluation_num_envs=2,
    )
    before = weights(learner(algorithm).team_module)
    while learner(algorithm)._num_updates < 10:
        result = algorithm.train()
    evaluated = result
    for _ in range(10):  # until the next evaluation is due
        if "evaluation" in evaluated:
            break
        evaluated = algorithm.train()
    runners = evaluated["evaluation"]["env_runners"]
    assert np.isfinite(runners["episode_return_mean"])
    assert 1 <= runners["episode_len_mean"] <= LIMIT
    after = weights(learner(algorithm).team_module)
    assert all(np.isfinite(value).all() for value in after.values())
    assert any((after[key] != before[key]).any() for key in before)
    algorithm.stop()
