"""An environment as people wrote them for RLlib's old QMIX: the two-step game, grouped.

Nothing in it knows the contract or Ray's new API stack. It sets only what RLlib asked for then
(`observation_space`, `action_space`, `_agent_ids`), no `possible_agents`, no spaces by agent id.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, Tuple
from ray.rllib.env.multi_agent_env import MultiAgentEnv

AGENTS = [0, 1]
BEST_RETURN = 8.0
PAYOFF_2B = ((0.0, 1.0), (1.0, 8.0))
PARTS = ("box", "obs", "action_mask", "state")


class OldTwoStepGame(MultiAgentEnv):
    """Agent 0 picks the second state; its matrix pays 7 everywhere or up to 8 (QMIX, section 5)."""

    def __init__(self, parts: str = "state"):
        """Makes the ungrouped game.

        Args:
            parts: What an agent observes: "box" a bare array, "obs" a Dict with it, "action_mask"
                that and a mask, "state" that and the one-hot state.
        """
        super().__init__()
        assert parts in PARTS, parts
        self._agent_ids = set(AGENTS)
        self.action_space = Discrete(2)
        observed = Box(0.0, 1.0, (5,), np.float32)  # one-hot state (3), one-hot agent (2)
        self.keys = PARTS[1 : PARTS.index(parts) + 1]
        spaces = {"obs": observed, "action_mask": Box(0, 1, (2,)), "state": Box(0.0, 1.0, (3,))}
        self.observation_space = Dict({k: spaces[k] for k in self.keys}) if self.keys else observed
        self.place = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Back to the first state."""
        self.place = 0
        return self._observe(), {agent: {} for agent in AGENTS}

    def step(self, action_dict: dict[int, int]) -> Any:
        """The first step picks the matrix, the second is paid; each agent gets half."""
        first, second = action_dict[0], action_dict[1]
        reward, done = 0.0, self.place > 0
        if self.place == 0:
            self.place = 1 + first
        else:
            reward = 7.0 if self.place == 1 else PAYOFF_2B[first][second]
        return (
            self._observe(),
            {agent: reward / 2 for agent in AGENTS},
            {"__all__": done},
            {"__all__": False},
            {agent: {} for agent in AGENTS},
        )

    def _observe(self) -> dict[int, Any]:
        state = np.eye(3, dtype=np.float32)[self.place]
        observed = {}
        for agent in AGENTS:
            obs = np.concatenate([state, np.eye(2, dtype=np.float32)[agent]])
            parts = {"obs": obs, "action_mask": np.ones(2, np.float32), "state": state}
            observed[agent] = {k: parts[k] for k in self.keys} if self.keys else obs
        return observed


def make_env(config: dict[str, Any]) -> MultiAgentEnv:
    """What a user gave to `register_env` then.

    Args:
        config: "parts" as in `OldTwoStepGame`; "infer_spaces": leave the Tuples to RLlib.

    Returns:
        The grouped game.
    """
    env = OldTwoStepGame(config.get("parts", "state"))
    groups = {"group_1": list(AGENTS)}
    if config.get("infer_spaces", False):
        return env.with_agent_groups(groups)
    return env.with_agent_groups(
        groups,
        obs_space=Tuple([env.observation_space] * len(AGENTS)),
        act_space=Tuple([env.action_space] * len(AGENTS)),
    )
