"""An environment of the contract as RLlib's own algorithms know environments: agent by agent.

Shape legend: N agents, A actions of the agent that has most, D length of the longest observation,
S length of the global state.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from ray.rllib.env.multi_agent_env import MultiAgentEnv

from env_registry.contract.base import ACTION_MASK, AGENT_REWARDS, ALL, OBS, STATE, TEAM, GroupedEnv

#: Which agent it is, one-hot: what one network for all agents tells them apart by.
AGENT_ID = "agent_id"

Reset = tuple[dict[str, dict[str, np.ndarray]], dict[str, dict[str, Any]]]


class UngroupedEnv(MultiAgentEnv):
    """A team's environment whose agents are agents to RLlib, each with its own spaces.

    observation_spaces[agent]   Dict {"obs": Box (D,) float32,
                                      "action_mask": Box(0, 1, (A,), int8),
                                      "state": Box (S,) float32, the same for all agents,
                                      "agent_id": Box(0, 1, (N,), float32), one-hot}
    action_spaces[agent]        Discrete(A)
    rewards[agent]              the team's reward / N

    RLlib's return of an episode is the sum over agents. With an N-th of the team's reward for each,
    it is the team's return, which the grouped environment reports. What all agents share is
    EPyMARL's `common_reward`; an algorithm that standardises advantages does not notice the N.

    All agents act in every step, and their episodes end together: one that died has a no-op.
    """

    def __init__(self, env: GroupedEnv, *, limit_is_end: bool = False):
        """Wraps an environment.

        Args:
            env: One that follows the contract.
            limit_is_end: The time limit is a rule of the game: it terminates the episode, so that
                nobody bootstraps from its last observation. False: it truncates.
        """
        self.env = env
        self.agents = self.possible_agents = list(env.agent_names)
        super().__init__()
        self.metadata = dict(env.metadata)  # Ray's vector environment writes into it
        self.render_mode = getattr(env, "render_mode", None)
        self._limit_is_end = limit_is_end
        self._ids = np.eye(len(self.agents), dtype=np.float32)
        self.observation_spaces: dict[str, spaces.Space] = {
            agent: agent_space(env.observation_spaces[TEAM], i)
            for i, agent in enumerate(self.agents)
        }
        n_actions = env.n_actions
        self.action_spaces: dict[str, spaces.Space] = {
            agent: spaces.Discrete(n_actions) for agent in self.agents
        }

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        """Starts an episode.

        Args:
            seed: As the environment takes it.
            options: The same.

        Returns:
            Observations and infos by agent.
        """
        observations, infos = self.env.reset(seed=seed, options=options)
        return self._split(observations[TEAM]), self._infos(infos.get(TEAM) or {})

    def step(self, action_dict: dict[str, int]) -> tuple[dict, dict, dict, dict, dict]:
        """Plays one step.

        Args:
            action_dict: Agent -> action; all agents act.

        Returns:
            Observations, rewards, terminateds, truncateds and infos by agent.
        """
        actions = np.array([action_dict[agent] for agent in self.agents], np.int64)
        observations, rewards, terminateds, truncateds, infos = self.env.step({TEAM: actions})
        terminated, truncated = bool(terminateds[ALL]), bool(truncateds[ALL])
        if self._limit_is_end:
            terminated, truncated = terminated or truncated, False
        share = float(rewards[TEAM]) / len(self.agents)
        return (
            self._split(observations[TEAM]),
            dict.fromkeys(self.agents, share),
            dict.fromkeys((*self.agents, ALL), terminated),
            dict.fromkeys((*self.agents, ALL), truncated),
            self._infos(infos.get(TEAM) or {}),
        )

    def render(self) -> Any:
        """Draws the environment as it draws itself."""
        return self.env.render()

    def close(self) -> None:
        """Closes the environment."""
        self.env.close()

    def _split(self, team: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
        """Each agent's observation: rows of the team's arrays, not copied."""
        return {
            agent: {
                OBS: team[OBS][i],
                ACTION_MASK: team[ACTION_MASK][i],
                STATE: team[STATE],
                AGENT_ID: self._ids[i],
            }
            for i, agent in enumerate(self.agents)
        }

    def _infos(self, team: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """The team's infos for each agent, without the others' own rewards."""
        shared = {key: value for key, value in team.items() if key != AGENT_REWARDS}
        own = team.get(AGENT_REWARDS)
        return {
            agent: shared if own is None else {**shared, "agent_reward": float(own[i])}
            for i, agent in enumerate(self.agents)
        }


def agent_space(team: Any, i: int) -> spaces.Dict:
    """The space of one agent's observation.

    Args:
        team: The team's, of the contract.
        i: Which agent, 0 to N - 1.

    Returns:
        {"obs" (D,), "action_mask" (A,), "state" (S,), "agent_id" (N,)}.
    """
    n_agents = team[OBS].shape[0]
    return spaces.Dict(
        {
            OBS: _row(team[OBS], i),
            ACTION_MASK: _row(team[ACTION_MASK], i),
            STATE: team[STATE],
            AGENT_ID: spaces.Box(0.0, 1.0, (n_agents,), np.float32),
        }
    )


def _row(box: spaces.Box, i: int) -> spaces.Box:
    """The space of one agent in a space of all."""
    return spaces.Box(box.low[i], box.high[i], box.shape[1:], box.low.dtype.type)
