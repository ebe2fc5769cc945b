"""What the contract is made of: names, types, and the base class of every adapter.

Shape legend: N agents, A actions of the agent that has most, D length of the longest observation,
S length of the global state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from ray.rllib.env.multi_agent_env import MultiAgentEnv

TEAM = "team"
OBS = "obs"
ACTION_MASK = "action_mask"
STATE = "state"
AGENT_REWARDS = "agent_rewards"
WIN = "win"
WIN_KEYS = (WIN, "battle_won")  # what games of others call it
ALL = "__all__"

Observation = dict[str, np.ndarray]
StepResult = tuple[
    dict[str, Observation],
    dict[str, float],
    dict[str, bool],
    dict[str, bool],
    dict[str, dict[str, Any]],
]


class GroupedEnv(MultiAgentEnv):
    """Base class of the adapters: holds the spaces and builds what `reset` and `step` return.

    A subclass calls `super().__init__` with its sizes and implements `reset` and `step` with the
    help of `_observation` and `_transition`. docs/environments.md has a worked example.
    """

    metadata: dict[str, Any] = {"render_modes": []}
    #: Which numbers of an observation are of one thing (`contract.layout`); None: it is not said.
    observation_layout: Sequence[Any] | None = None

    def __init__(
        self,
        *,
        n_agents: int,
        n_actions: int,
        obs_size: int,
        state_size: int,
        obs_bounds: tuple[Any, Any] = (-np.inf, np.inf),
        state_bounds: tuple[Any, Any] = (-np.inf, np.inf),
        agent_names: Sequence[str] | None = None,
        action_names: Sequence[str] = (),
    ):
        """Builds the spaces of the team agent.

        Args:
            n_agents: N.
            n_actions: A.
            obs_size: D.
            state_size: S.
            obs_bounds: Lowest and highest observation, numbers or arrays that broadcast to (N, D).
            state_bounds: Lowest and highest state, numbers or arrays that broadcast to (S,).
            agent_names: (N,) what the agents are called, in the order of the arrays' rows; None:
                agent_0, agent_1, ...
            action_names: (A,) what the actions are called, where they have names.
        """
        self.agents = [TEAM]
        self.possible_agents = [TEAM]
        self._agent_ids = {TEAM}
        super().__init__()
        # Ray's vector environment writes into this dictionary: it must not be the class's own.
        self.metadata = dict(self.metadata)
        self.observation_spaces = {
            TEAM: spaces.Dict(
                {
                    OBS: _box(obs_bounds, (n_agents, obs_size)),
                    ACTION_MASK: spaces.Box(0, 1, (n_agents, n_actions), np.int8),
                    STATE: _box(state_bounds, (state_size,)),
                }
            )
        }
        self.action_spaces = {TEAM: spaces.MultiDiscrete([n_actions] * n_agents)}
        self._all_legal = np.ones((n_agents, n_actions), np.int8)
        self._obs_size, self._state_size = obs_size, state_size
        self._agent_names = tuple(agent_names or (f"agent_{i}" for i in range(n_agents)))
        self._action_names = tuple(action_names)

    @property
    def n_agents(self) -> int:
        """N. (`num_agents` is Ray's, and counts the team as the one agent it is to Ray.)"""
        return self._all_legal.shape[0]

    @property
    def n_actions(self) -> int:
        """A, the number of actions of the agent that has most."""
        return self._all_legal.shape[1]

    @property
    def obs_size(self) -> int:
        """D, the length of the longest observation."""
        return self._obs_size

    @property
    def state_size(self) -> int:
        """S, the length of the global state."""
        return self._state_size

    @property
    def agent_names(self) -> tuple[str, ...]:
        """(N,) the agents in the order of the arrays' rows: what a row learned is theirs."""
        return self._agent_names

    @property
    def action_names(self) -> tuple[str, ...]:
        """(A,) what the actions are called; () where they have no names."""
        return self._action_names

    def _observation(
        self,
        obs: np.ndarray,
        action_mask: np.ndarray | None = None,
        state: np.ndarray | None = None,
    ) -> dict[str, Observation]:
        """Puts one observation of the team together.

        Args:
            obs: (N, D) float32. Not copied: hand over a new array each step.
            action_mask: (N, A) int8, 1 = legal; None = everything is legal.
            state: (S,) float32; None = the concatenated observations.

        Returns:
            {"team": {"obs", "action_mask", "state"}}.
        """
        if action_mask is None:
            action_mask = self._all_legal.copy()
        if state is None:
            state = concat_state(obs)
        return {TEAM: {OBS: obs, ACTION_MASK: action_mask, STATE: state}}

    @staticmethod
    def _transition(
        observation: dict[str, Observation],
        agent_rewards: Sequence[float] | np.ndarray,
        *,
        terminated: bool,
        truncated: bool,
        team_reward: float | None = None,
        **info: Any,
    ) -> StepResult:
        """Puts together what `step` returns.

        Args:
            observation: What `_observation` returned.
            agent_rewards: (N,) one reward per agent.
            terminated: The game came to its own end: there is no future, targets do not bootstrap.
            truncated: The time limit cut the game: there would have been a future, targets do
                bootstrap. Never both: a game that ends on its last permitted step has terminated.
            team_reward: The reward to learn from; None = the sum of `agent_rewards`.
            **info: Further entries of infos["team"], such as `win`.

        Returns:
            Observations, rewards, terminateds, truncateds and infos, as RLlib orders them.
        """
        if team_reward is None:
            team_reward = sum(agent_rewards)
        terminated, truncated = bool(terminated), bool(truncated and not terminated)
        info[AGENT_REWARDS] = np.array(agent_rewards, np.float32)
        return (
            observation,
            {TEAM: float(team_reward)},
            {TEAM: terminated, ALL: terminated},
            {TEAM: truncated, ALL: truncated},
            {TEAM: info},
        )


def pad_rows(rows: Sequence[np.ndarray], size: int, dtype: Any = np.float32) -> np.ndarray:
    """Stacks vectors of different lengths, filled up with zeros at the end.

    Serves observations (to D) and action masks (to A: an action that an agent lacks is illegal).

    Args:
        rows: N vectors, none longer than `size`.
        size: Length of the result's rows.
        dtype: Of the result.

    Returns:
        (N, size), a new array.
    """
    padded = np.zeros((len(rows), size), dtype)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return padded


def concat_state(obs: np.ndarray) -> np.ndarray:
    """The state of a game that has none: all observations in a row.

    Args:
        obs: (N, D).

    Returns:
        (N * D,), a copy, so that nobody changes the observations through it.
    """
    return obs.flatten()


def keep_one_legal(action_mask: np.ndarray, no_op: int = 0) -> np.ndarray:
    """Makes `no_op` legal for every agent that has no legal action (one that died).

    Args:
        action_mask: (N, A), changed in place.
        no_op: The action to permit.

    Returns:
        The same array.
    """
    action_mask[~action_mask.any(axis=1), no_op] = 1
    return action_mask


def _box(bounds: tuple[Any, Any], shape: tuple[int, ...]) -> spaces.Box:
    low, high = (np.broadcast_to(np.asarray(b, np.float32), shape).copy() for b in bounds)
    return spaces.Box(low, high, shape, np.float32)
