"""How the time of one update and the bytes of replay grow as the work grows (random numbers)."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.bench import build_algorithm, sizes_of, timed_update
from benchmarks.random_numbers import RandomNumbersEnv, random_episode
from benchmarks.replay_memory import held_bytes
from benchmarks.sizes import EPISODES_PER_UPDATE, Shape
from rllib_mmsa.rllib.algorithm import QLearning

_OBS, _STATE, _ACTIONS = 30, 60, 8  # the same everywhere, so that one thing grows at a time


def point_key(algorithm: str, point: dict[str, int]) -> str:
    """A name for an algorithm of certain sizes."""
    return " ".join([algorithm, *(f"{name}={value}" for name, value in point.items())])


def build_point(algorithm: str, point: dict[str, int]) -> QLearning:
    """Builds an algorithm of the given sizes with a replay full of random numbers."""
    settings: dict[str, Any] = {"train_batch_episodes": EPISODES_PER_UPDATE}
    settings["num_envs_per_env_runner"] = 1  # it only gives the spaces
    if algorithm == "MMSA":
        settings |= {"rollout_horizon": point["horizon"], "latent_dim": point["latent"]}
    env_config = {"agents": point["agents"], "obs": _OBS, "state": _STATE, "actions": _ACTIONS}
    built = build_algorithm(
        algorithm,
        "random_numbers",
        {**env_config, "steps": point["steps"]},
        settings,
    )
    rng = np.random.default_rng(0)
    sizes = sizes_of(built)
    built.replay.add(
        [random_episode(sizes, point["steps"], rng) for _ in range(EPISODES_PER_UPDATE)]
    )
    return built


class GrowthBench:
    """Answers questions about one algorithm after another, all kept: rounds alternate."""

    def __init__(self) -> None:
        from ray.tune.registry import register_env

        register_env("random_numbers", lambda context: RandomNumbersEnv(**context))
        self._built: dict[str, QLearning] = {}

    def build(self, algorithm: str, point: dict[str, int]) -> dict[str, float]:
        """Builds an algorithm once and updates it once: bytes of replay per episode."""
        key = point_key(algorithm, point)
        if key not in self._built:
            self._built[key] = build_point(algorithm, point)
            timed_update(self._built[key])
        built = self._built[key]
        shape = Shape(key, sizes_of(built), point["steps"], EPISODES_PER_UPDATE)
        return {"bytes_per_episode": held_bytes(shape, EPISODES_PER_UPDATE) / EPISODES_PER_UPDATE}

    def update(self, algorithm: str, point: dict[str, int]) -> dict[str, float]:
        """Milliseconds of one update."""
        return {"ms": timed_update(self._built[point_key(algorithm, point)])["total"]}

    def stop(self) -> None:
        """Ends the algorithms."""
        for built in self._built.values():
            built.stop()
