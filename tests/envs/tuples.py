"""A gymnasium environment of several agents, in the forms that such environments have."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class Tuples(gymnasium.Env):
    """Two agents with Tuple spaces; a test says in which form values come back."""

    def __init__(
        self,
        rewards: Any = (1.0, 10.0),
        ends: Any = None,
        info: Any = None,
        observations: Any = None,
        actions: spaces.Space | None = None,
        length: int = 3,
    ):
        one = spaces.Box(-99, 99, (2,))
        self.observation_space: Any = spaces.Tuple((one, spaces.Discrete(3)))
        self.action_space: Any = actions or spaces.Tuple((spaces.Discrete(2), spaces.Discrete(3)))
        self.rewards, self.ends, self.info = rewards, ends, info
        self.observations, self.length = observations, length
        self.taken: list[Any] = []

    def _observe(self) -> Any:
        return self.observations or (np.array([self.t, 1], np.float32), 2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.t, self.taken = 0, []
        return self._observe(), {}

    def step(self, actions: Any) -> Any:
        assert self.action_space.contains(actions), actions
        self.taken.append(actions)
        self.t += 1
        over = self.ends[self.t - 1] if self.ends else self.t >= self.length
        return self._observe(), self.rewards, over, False, self.info


class TuplesWithState(Tuples):
    """Tells its state, under EPyMARL's name."""

    def get_state(self) -> Any:
        return [[self.t, 5], [6, 7]]
