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

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch

from env_registry.contract import ACTION_MASK, OBS, STATE, TEAM

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
