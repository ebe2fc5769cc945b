"""Games that take longer than they do: what learning costs beside a slow one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ray.rllib.env.env_context import EnvContext
from ray.tune.registry import register_env

from rllib_mmsa.rllib.vector_env import find_creator, make_at_once


def register_slower(env: str, step_ms: float) -> str:
    """Registers an environment again, each of whose steps keeps a core busy for a while first.

    Args:
        env: a registered name.
        step_ms: milliseconds that a step of one sub-environment takes longer; 0 changes nothing.

    Returns:
        The name to build an algorithm with.
    """
    if not step_ms:
        return env
    name = f"{env}_{step_ms:g}_ms_slower"
    register_env(name, _Slower(find_creator(env), step_ms / 1000))
    return name


class _Slower:
    """A creator of environments, alone or many in one, that take longer."""

    def __init__(self, create: Callable[[EnvContext], Any], seconds: float):
        self._create, self._seconds = create, seconds

    def __call__(self, context: EnvContext) -> Any:
        env = self._create(context)
        step = env.step

        def slow_step(actions: dict[str, Any]) -> Any:
            _stay_busy(self._seconds)
            return step(actions)

        env.step = slow_step
        return env

    def make_vec(self, num_envs: int, context: EnvContext) -> Any:
        """See ``common/vector_env.py``; None where the creator makes them one by one."""
        env = make_at_once(self._create, num_envs, context)
        if env is None:
            return None
        step_slots = env.step_slots

        def slow_step_slots(indices: Sequence[int], actions: np.ndarray) -> Any:
            _stay_busy(self._seconds * len(indices))
            return step_slots(indices, actions)

        env.step_slots = slow_step_slots
        return env


def _stay_busy(seconds: float) -> None:
    """A loop, not a sleep: a game computes, and whoever shares its core waits."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
