"""A PettingZoo environment of which a test knows every number."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from env_registry.contract import ALL, TEAM


class FixedLives(ParallelEnv):
    """Agents with a life of given length; every number says where it comes from.

    An agent observes [t + 1, place], earns 1, 10, 100 ... a step, and ends by termination, or
    by truncation if its name says so.
    """

    metadata = {"name": "fixed_lives_v0", "is_parallelizable": True}

    def __init__(self, lives: dict[str, int], win: bool | None = None, masks: Any = None) -> None:
        self.possible_agents = list(lives)
        self.agents: list[str] = []
        self.lives, self.win, self.masks = lives, win, masks
        self.taken: list[dict[str, Any]] = []

    def observation_space(self, agent: str) -> spaces.Space:
        return spaces.Box(0, 100, (2,), np.float64)

    def action_space(self, agent: str) -> spaces.Space:
        return spaces.Discrete(2 + self.possible_agents.index(agent))

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        self.t, self.taken, self.agents = 0, [], list(self.possible_agents)
        return self._observe(), self._infos()

    def step(self, actions: dict[str, Any]) -> Any:
        assert list(actions) == self.agents
        self.taken.append(actions)
        self.t += 1
        ended = {agent: self.t >= self.lives[agent] for agent in self.agents}
        result = (
            self._observe(),
            {agent: 10.0 ** self.possible_agents.index(agent) for agent in self.agents},
            {agent: end and "late" not in agent for agent, end in ended.items()},
            {agent: end and "late" in agent for agent, end in ended.items()},
            self._infos(),
        )
        self.agents = [agent for agent in self.agents if not ended[agent]]
        return result

    def _observe(self) -> dict[str, Any]:
        return {a: np.array([self.t + 1, self.possible_agents.index(a)]) for a in self.agents}

    def _infos(self) -> dict[str, dict[str, Any]]:
        infos: dict[str, dict[str, Any]] = {agent: {} for agent in self.agents}
        for agent in self.agents:
            if self.win is not None:
                infos[agent]["battle_won"] = self.win
            if self.masks:
                infos[agent]["action_mask"] = np.array(self.masks[agent])
        return infos


def play(env: Any) -> list[Any]:
    """All that `step` returned until the end, with every agent's highest action."""
    env.reset(seed=0)
    steps = []
    while not steps or not (steps[-1][2][ALL] or steps[-1][3][ALL]):
        steps.append(env.step({TEAM: np.arange(env.n_agents) + 1}))
        assert len(steps) < 50
    return steps
