"""A game whose agents a test lets leave, come, take turns: every step is written down."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete, Space
from ray.rllib.env.multi_agent_env import MultiAgentEnv

ALL = "__all__"


def flags(**by_agent: bool) -> dict[Any, bool]:
    """{"a": True, "__all__": False}; `over` stands for "__all__"."""
    over = by_agent.pop("over", False)
    return {**by_agent, ALL: over}


class Written(MultiAgentEnv):
    """Plays back what `step` is to return; agent i of `ids` observes [t, i + 1]."""

    def __init__(
        self,
        there: list[list[Any]],
        ends: list[Any] | None = None,
        cuts: list[Any] | None = None,
        ids: Any = ("a", "b"),
        space: Space | None = None,
    ):
        """Takes the script.

        Args:
            there: Who is observed at reset and after each step.
            ends: `terminateds` of each step; None: over at the last.
            cuts: `truncateds` of each step; None: nobody's.
            ids: All agents.
            space: Of every observation, for tests that give others.
        """
        super().__init__()
        length = len(there) - 1
        self.there = there
        self.ends = ends or [flags(over=t + 1 == length) for t in range(length)]
        self.cuts = cuts or [flags()] * length
        self.possible_agents = self.agents = list(ids)
        self.observation_spaces = {agent: space or Box(0, 99, (2,)) for agent in ids}
        self.action_spaces = {agent: Discrete(3, start=5) for agent in ids}
        self.taken: list[dict[Any, int]] = []
        self.asked: list[int] = []  # what an environment finds that asks for every agent's action
        self.seeds: list[int | None] = []

    def observe(self, agent: Any) -> Any:
        """What an agent sees."""
        return np.array([self.t, self.possible_agents.index(agent) + 1], np.float32)

    def rewards(self) -> Any:
        """1, 10, 100 ... for those that acted."""
        return {agent: 10.0 ** self.possible_agents.index(agent) for agent in self.taken[-1]}

    def infos(self) -> Any:
        """None at all."""
        return {}

    def _observe(self) -> dict[Any, Any]:
        return {agent: self.observe(agent) for agent in self.there[self.t]}

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.t, self.taken, self.asked = 0, [], []
        self.seeds.append(seed)
        return self._observe(), {}

    def step(self, action_dict: Any) -> Any:
        self.taken.append(dict(action_dict))
        self.asked.append([action_dict[agent] for agent in self.possible_agents])
        self.t += 1
        ends, cuts = self.ends[self.t - 1], self.cuts[self.t - 1]
        return self._observe(), self.rewards(), ends, cuts, self.infos()

    def grouped(self, members: Any = None) -> MultiAgentEnv:
        """As users group."""
        return self.with_agent_groups({"g": self.possible_agents if members is None else members})


class Seeing(Written):
    """Observes what a test says."""

    value: Any = None

    def observe(self, agent: Any) -> Any:
        return self.value
