"""The batch contract: every field's name, shape and dtype, and the only conversion to it.

Shapes: B episodes, T steps of the longest episode in the batch, N agents, A actions,
D observation numbers, S state numbers. An episode of L steps has L + 1 observations.

========================  ==================  =======  =======================================
field                     shape               dtype    meaning
========================  ==================  =======  =======================================
``obs``                   (B, T+1, N, D)      float32  observations, the last one included
``action_mask``           (B, T+1, N, A)      int8     1 where an action is legal
``state``                 (B, T+1, S)         float32  global state, for training only
``actions``               (B, T, N)           int64    actions taken
``rewards``               (B, T)              float32  team rewards
``terminated``            (B, T)              bool     the episode ended here (not: was cut off)
``loss_mask``             (B, T)              float32  1 on steps that were really played
========================  ==================  =======  =======================================

Padding repeats nothing: observations, states, actions and rewards are 0, masks are 1, so that
a maximum over padded steps stays finite.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ray.rllib.env.multi_agent_episode import MultiAgentEpisode
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch

from env_registry.contract import ACTION_MASK, AGENT_REWARDS, OBS, STATE, TEAM

ACTIONS = "actions"
REWARDS = "rewards"
TERMINATED = "terminated"
LOSS_MASK = "loss_mask"

#: Fields with one entry more than the episode has steps, and fields with one per step.
PER_OBSERVATION = (OBS, ACTION_MASK, STATE)
PER_STEP = (ACTIONS, REWARDS)


@dataclass
class TeamEpisode:
    """One whole episode of the team, L steps.

    Attributes:
        obs: (L+1, N, D) float32.
        action_mask: (L+1, N, A) int8.
        state: (L+1, S) float32.
        actions: (L, N) int64.
        rewards: (L,) float32.
        terminated: whether the last step ended the episode; False if a limit cut it off.
        agent_returns: (N,) float32, per-agent returns; not used for learning.
        win: whether the game was won; None where a game has no such thing.
        duration_s: wall-clock seconds it took to play.
    """

    obs: np.ndarray
    action_mask: np.ndarray
    state: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: bool
    agent_returns: np.ndarray | None = None
    win: bool | None = None
    duration_s: float = 0.0

    def __len__(self) -> int:
        return len(self.rewards)

    def env_steps(self) -> int:
        """Environment steps played (RLlib's evaluation asks for this)."""
        return len(self)

    def agent_steps(self) -> int:
        """Steps of the one team agent."""
        return len(self)

    @property
    def episode_return(self) -> float:
        """Undiscounted sum of the team rewards."""
        return float(self.rewards.sum(dtype=np.float64))

    @property
    def nbytes(self) -> int:
        """Bytes of the stored arrays."""
        return sum(getattr(self, name).nbytes for name in (*PER_OBSERVATION, *PER_STEP))


class Recording:
    """The episode a sub-environment is playing, in arrays that grow by doubling.

    Args:
        first: the observation that ``reset`` returned.
        capacity: steps to make room for at first.
    """

    def __init__(self, first: dict[str, np.ndarray], capacity: int):
        self.length = 0
        self.started = time.perf_counter()
        self._per_observation = {
            name: np.empty((capacity + 1, *first[name].shape), dtype)
            for name, dtype in ((OBS, np.float32), (ACTION_MASK, np.int8), (STATE, np.float32))
        }
        self._actions = np.empty((capacity, first[OBS].shape[0]), np.int64)
        self._rewards = np.empty(capacity, np.float32)
        self.agent_returns = np.zeros(first[OBS].shape[0], np.float32)
        self.rllib_episode: MultiAgentEpisode | None = None
        self._observe(first)

    def _observe(self, observation: dict[str, np.ndarray]) -> None:
        for name, values in self._per_observation.items():
            values[self.length] = observation[name]

    def observation(self, name: str) -> np.ndarray:
        """The newest observation's entry ``name``."""
        return self._per_observation[name][self.length]

    def add(
        self, actions: np.ndarray, reward: float, observation: dict[str, np.ndarray], info: dict
    ) -> None:
        """Adds a step: the actions, the team reward and what they led to."""
        if self.length == len(self._rewards):
            self._grow()
        self._actions[self.length], self._rewards[self.length] = actions, reward
        if AGENT_REWARDS in info:
            self.agent_returns += info[AGENT_REWARDS]
        self.length += 1
        self._observe(observation)

    def _grow(self) -> None:
        def double(values: np.ndarray, rows: int) -> np.ndarray:
            grown = np.empty((rows, *values.shape[1:]), values.dtype)
            grown[: len(values)] = values
            return grown

        rows = 2 * len(self._rewards)
        self._actions, self._rewards = double(self._actions, rows), double(self._rewards, rows)
        self._per_observation = {
            name: double(values, rows + 1) for name, values in self._per_observation.items()
        }

    def finish(self, terminated: bool, win: bool | None) -> TeamEpisode:
        """The episode, in arrays of its own length."""
        steps = self.length
        fields = {name: v[: steps + 1].copy() for name, v in self._per_observation.items()}
        return TeamEpisode(
            actions=self._actions[:steps].copy(),
            rewards=self._rewards[:steps].copy(),
            terminated=terminated,
            agent_returns=self.agent_returns,
            win=win,
            duration_s=time.perf_counter() - self.started,
            **fields,
        )


def to_arrays(episodes: Sequence[TeamEpisode]) -> dict[str, np.ndarray]:
    """Pads episodes to the longest one and stacks them into the fields above."""
    lengths = np.array([len(episode) for episode in episodes])
    longest, count = int(lengths.max()), len(episodes)
    batch = {}
    for name in (*PER_OBSERVATION, *PER_STEP):
        first = getattr(episodes[0], name)
        steps = longest + (name in PER_OBSERVATION)
        fill = np.ones if name == ACTION_MASK else np.zeros
        field = fill((count, steps, *first.shape[1:]), first.dtype)
        for row, episode in zip(field, episodes, strict=True):
            values = getattr(episode, name)
            row[: len(values)] = values
        batch[name] = field
    played = np.arange(longest) < lengths[:, None]  # (B, T)
    batch[TERMINATED] = np.zeros(played.shape, bool)
    batch[TERMINATED][np.arange(count), lengths - 1] = [e.terminated for e in episodes]
    batch[LOSS_MASK] = played.astype(np.float32)
    return batch


def to_train_batch(episodes: Sequence[TeamEpisode], reward_scale: float = 1.0) -> MultiAgentBatch:
    """Episodes to what ``LearnerGroup.update(batch=...)`` takes, one module: the team.

    Args:
        episodes: B whole episodes.
        reward_scale: factor on the rewards (``standardise_rewards``).
    """
    batch = to_arrays(episodes)
    if reward_scale != 1.0:
        batch[REWARDS] = batch[REWARDS] * np.float32(reward_scale)
    env_steps = int(batch[LOSS_MASK].sum())
    return MultiAgentBatch({TEAM: SampleBatch(batch)}, env_steps=env_steps)
