"""JaxMARL's MPE and Overcooked under the contract: one, or all of a runner's in one program.

Shape legend: N agents, D observation size, L numbers in a row of `env_registry.jaxmarl_env.game`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from env_registry.contract import Observation, StepResult
from env_registry.jax_slots.env import SlotEnv, SlotVectorEnv
from env_registry.jaxmarl_env.game import jaxmarl_game
from env_registry.rows.jaxmarl import DEFAULT
from env_registry.tasks.jaxmarl import check_config, check_task


class JaxmarlEnv(SlotEnv):
    """One task of jaxmarl; options as in `env_registry.rows`."""

    def __init__(
        self,
        task: str = DEFAULT,
        *,
        max_episode_steps: int | None = None,
        shaped_reward: float = 0.0,
        env_kwargs: dict[str, Any] | None = None,
    ):
        """Makes the environment. The first reset and the first step compile, once in a process.

        Args:
            task: jaxmarl's name; "overcooked:LAYOUT" or "overcooked_v2:LAYOUT".
            max_episode_steps: Time limit, env steps; reported as truncation. None: jaxmarl's.
            shaped_reward: Overcooked: weight of the reward for steps on the way to a soup.
            env_kwargs: Arguments of jaxmarl's environment itself.

        Raises:
            TaskError: If there is no such task, or the game does not take its arguments.
        """
        check_task(task)
        env_kwargs = env_kwargs or {}
        check_config({"task": task, "shaped_reward": shaped_reward, "env_kwargs": env_kwargs})
        arguments = tuple(sorted(env_kwargs.items()))
        super().__init__(jaxmarl_game(task, max_episode_steps, float(shaped_reward), arguments))

    def observed(self, row: np.ndarray) -> dict[str, Observation]:
        """What a row (L,) shows; the state is all observations in a row."""
        seen = self.n_agents * self.obs_size
        return self._observation(row[:seen].reshape(self.n_agents, -1), self.game.legal.copy())

    def result(self, row: np.ndarray) -> StepResult:
        """A step's row (L,) as the contract's five dictionaries. Time alone ends these games."""
        *each, truncated = row[self.n_agents * self.obs_size :]
        return self._transition(
            self.observed(row), each, terminated=False, truncated=bool(truncated)
        )


class JaxmarlVectorEnv(SlotVectorEnv):
    """All environments of a runner, stepped by one call; options as `JaxmarlEnv`."""

    env_class = JaxmarlEnv
