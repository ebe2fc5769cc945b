"""The contract around such a program: one environment, or all of a runner's in one call.

Shape legend: E slots, N agents, L numbers in a row of `env_registry.jax_slots.game`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from ray.rllib.env.vector.vector_multi_agent_env import VectorMultiAgentEnv

from env_registry.contract import TEAM, GroupedEnv, Observation, StepResult
from env_registry.jax_slots.game import Game, Slots

Reset = tuple[dict[str, Observation], dict[str, dict[str, Any]]]


class SlotEnv(GroupedEnv):
    """One environment: a slot of its own, or one of several. A subclass reads the rows."""

    def __init__(self, game: Game):
        """Makes the environment. The first reset and the first step compile, once in a process.

        Args:
            game: What is played.
        """
        self._game = game
        super().__init__(**game.sizes())
        self._slots: Slots | None = None
        self._index = 0

    @property
    def game(self) -> Any:
        """What is played."""
        return self._game

    def attach(self, slots: Slots, index: int) -> None:
        """Makes this environment one slot of several that are stepped together."""
        self._slots, self._index = slots, index

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        """Starts an episode; the same seed gives the same episode, whatever was played before."""
        super().reset(seed=seed)
        if seed is None:
            seed = int(self.np_random.integers(2**32))
        if self._slots is None:
            self._slots = Slots(self._game, 1)
        return self.observed(self._slots.reset(self._index, seed)), {TEAM: {}}

    def step(self, action_dict: dict[str, np.ndarray]) -> StepResult:
        """Plays one step: {"team": (N,) int} in, the contract's five dictionaries out."""
        if self._slots is None:
            raise RuntimeError("step before reset")
        (row,) = self._slots.step([self._index], np.asarray(action_dict[TEAM])[None])
        return self.result(row)

    def observed(self, row: np.ndarray) -> dict[str, Observation]:
        """What a row (L,) shows."""
        raise NotImplementedError

    def result(self, row: np.ndarray) -> StepResult:
        """A step's row (L,) as the contract's five dictionaries."""
        raise NotImplementedError

    def _state(self) -> Any:
        """The package's state of this episode, as numpy arrays."""
        if self._slots is None:
            raise RuntimeError("render before reset")
        return self._slots.state(self._index)


class SlotVectorEnv(VectorMultiAgentEnv):
    """All sub-environments of a runner, stepped by one call of one compiled program.

    The interface is that of `rllib_mmsa.rllib.vector_env`. An error in the program concerns all
    slots, so `step_slots` raises it and returns none for single slots.
    """

    env_class: type[SlotEnv]

    def __init__(self, num_envs: int, **env_config: Any):
        """Makes E slots; compiles at the first reset and step, once in a process.

        Args:
            num_envs: E.
            **env_config: As the single environment.
        """
        super().__init__()
        self.num_envs = num_envs
        self.envs = [self.env_class(**env_config) for _ in range(num_envs)]
        first = self.envs[0]
        self._slots = Slots(first.game, num_envs)
        for index, env in enumerate(self.envs):
            env.attach(self._slots, index)
        self.metadata, self.render_mode = first.metadata, first.render_mode
        self.single_observation_spaces = first.observation_spaces
        self.single_action_spaces = first.action_spaces
        self.single_observation_space = spaces.Dict({**first.observation_spaces})
        self.single_action_space = spaces.Dict({**first.action_spaces})

    def reset_slot(self, index: int, seed: int) -> Reset:
        """Starts an episode in one slot; the others play on."""
        return self.envs[index].reset(seed=seed)

    def step_slots(self, indices: Sequence[int], actions: np.ndarray) -> list[StepResult]:
        """Steps K slots at once: actions (K, N) -> K results."""
        rows = self._slots.step(indices, actions)
        return [self.envs[index].result(row) for index, row in zip(indices, rows, strict=True)]

    def restart_slot(self, index: int) -> None:
        """Nothing to make anew: a slot holds only its episode, which the next reset replaces."""

    def close_extras(self, **kwargs: Any) -> None:
        """Nothing is open."""
