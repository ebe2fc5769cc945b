"""A game of several agents of which a test writes down every number, to be grouped."""

from __future__ import annotations

from typing import Any

from gymnasium.spaces import Box, Discrete, Space
from ray.rllib.env.multi_agent_env import MultiAgentEnv

from env_registry.contract import ALL


class Scripted(MultiAgentEnv):
    """An ungrouped game whose spaces, observations, ends and infos a test writes down."""

    def __init__(
        self,
        observation_spaces: list[Space],
        action_spaces: list[Space],
        observations: Any = None,
        length: int = 3,
        ends_by: str = "terminated",
        info: dict[str, Any] | None = None,
    ):
        super().__init__()
        ids = [f"a{i}" for i in range(len(observation_spaces))]
        self.possible_agents = self.agents = ids
        self.observation_spaces = dict(zip(ids, observation_spaces, strict=True))
        self.action_spaces = dict(zip(ids, action_spaces, strict=True))
        self.observations = observations or self._sample
        self.length, self.ends_by, self.info = length, ends_by, info or {}
        self.t, self.actions, self.seeds = 0, [], []

    def _sample(self, t: int) -> list[Any]:
        return [space.sample() for space in self.observation_spaces.values()]

    def _by_agent(self, values: Any) -> dict[str, Any]:
        return dict(zip(self.agents, values, strict=True))

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.t = 0
        self.seeds.append(seed)
        return self._by_agent(self.observations(0)), {}

    def step(self, action_dict: dict[str, int]) -> Any:
        self.actions.append(tuple(action_dict.values()))
        self.t += 1
        over = self.t >= self.length
        flags = [{ALL: over and self.ends_by in (end, "both")} for end in ("terminated", "cut")]
        rewards = self._by_agent(float(i) for i in range(len(self.agents)))
        return (
            self._by_agent(self.observations(self.t)),
            rewards,
            *flags,
            self._by_agent(dict(self.info) if over else {} for _ in self.agents),
        )

    def grouped(self) -> MultiAgentEnv:
        return self.with_agent_groups({"all": self.agents})


BOXES = ([Box(-1, 1, (2,))] * 2, [Discrete(2)] * 2)
