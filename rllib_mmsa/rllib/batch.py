"""The batch contract: every field's name, shape and dtype, and the only conversion to it.

Shapes: B windows (whole episodes, or sequences of them), T steps of the longest window in the
batch, N agents, A actions, D observation numbers, S state numbers. A window of L steps has L + 1
observations.

========================  ==================  =======  =======================================
field                     shape               dtype    meaning
========================  ==================  =======  =======================================
``obs``                   (B, T+1, N, D)      float32  observations, the last one included
``action_mask``           (B, T+1, N, A)      int8     1 where an action is legal
``state``                 (B, T+1, S)         float32  global state, for training only
``actions``               (B, T, N)           int64    actions taken
``rewards``               (B, T)              float32  team rewards
``terminated``            (B, T)              bool     the episode ended here (not: was cut off)
``truncated``             (B, T)              bool     a limit cut the episode off here
``loss_mask``             (B, T)              float32  1 on steps to learn from: really played, and
                                                       not there for the hidden state alone
========================  ==================  =======  =======================================

The learner adds ``noise`` where there is a world model: (2, B', T+1, J) float32, standard normal,
for the latents of posterior and prior of the B' episodes that it learns from.

Padding repeats nothing: observations, states, actions and rewards are 0, masks are 1, so that
a maximum over padded steps stays finite.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from ray.rllib.env.multi_agent_episode import MultiAgentEpisode
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch

from env_registry.contract import ACTION_MASK, AGENT_REWARDS, OBS, STATE, TEAM, ContractError
from rllib_mmsa.rllib.received import (
    LARGEST,
    cast,
    is_finite,
    not_finite,
    read_agent_rewards,
    unplayable,
    unreadable_observation,
)

ACTIONS = "actions"
REWARDS = "rewards"
TERMINATED = "terminated"
TRUNCATED = "truncated"
LOSS_MASK = "loss_mask"
NOISE = "noise"

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
        actions: (L, N), the smallest unsigned integers that hold them.
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

    def owned(self) -> TeamEpisode:
        """The same with arrays of this process: those that Ray lends keep its object store full."""
        lent = {
            name: value.copy()
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray) and not value.flags.writeable
        }
        return replace(self, **lent) if lent else self

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

    def is_finite(self) -> bool:
        """Whether all its numbers are, and small enough to learn from (received.py)."""
        return all(is_finite(getattr(self, name)) for name in (OBS, STATE, REWARDS))

    @property
    def nbytes(self) -> int:
        """Bytes of the stored arrays."""
        return sum(getattr(self, name).nbytes for name in (*PER_OBSERVATION, *PER_STEP))


class Window(NamedTuple):
    """Steps ``first`` to ``stop`` of an episode, of which those from ``start`` on are learned from.

    The steps before ``start`` are its burn-in: they give the recurrent networks a hidden state
    (Kapturowski et al., 2019, "R2D2").
    """

    episode: TeamEpisode
    first: int
    start: int
    stop: int

    @classmethod
    def whole(cls, episode: TeamEpisode) -> Window:
        """The whole episode, without burn-in."""
        return cls(episode, 0, 0, len(episode))


class Recording:
    """The episode a sub-environment is playing, in arrays that grow by doubling.

    What does not have the shapes of the space raises a ``ContractError``, and a number that is not
    finite ``NotFinite`` (received.py): nothing of such an episode is used.

    Args:
        first: the observation that ``reset`` returned.
        capacity: steps to make room for at first.
        shapes: of the fields of an observation.
    """

    def __init__(
        self,
        first: dict[str, np.ndarray],
        capacity: int,
        shapes: Mapping[str, tuple[int, ...]],
    ):
        self.length = 0
        self.started = time.perf_counter()
        self._shapes = {name: tuple(shapes[name]) for name in PER_OBSERVATION}
        agents, num_actions = self._shapes[ACTION_MASK]
        # Observations and states lie side by side: one look says whether a step is finite.
        width = math.prod(self._shapes[OBS]) + math.prod(self._shapes[STATE])
        self._numbers = np.empty((capacity + 1, width), np.float32)
        self._masks = np.empty((capacity + 1, agents, num_actions), np.int8)
        self._set_fields()
        self._actions = np.empty((capacity, agents), np.min_scalar_type(num_actions - 1))
        self._rewards = np.empty(capacity, np.float32)
        self.agent_returns = np.zeros(agents, np.float32)
        self.rllib_episode: MultiAgentEpisode | None = None
        self._observe(first)

    def _set_fields(self) -> None:
        """The fields of an observation, with their shapes and dtypes, as views of the arrays."""
        split = math.prod(self._shapes[OBS])
        views = {
            OBS: self._numbers[:, :split].reshape(-1, *self._shapes[OBS]),
            ACTION_MASK: self._masks,
            STATE: self._numbers[:, split:].reshape(-1, *self._shapes[STATE]),
        }
        self._per_observation = views
        self._fields = [(name, v, self._shapes[name], v.dtype) for name, v in views.items()]

    def _observe(self, observation: dict[str, np.ndarray]) -> None:
        at = self.length
        try:
            for name, values, shape, dtype in self._fields:
                given = observation[name]
                if given.shape != shape:
                    raise ValueError(name)
                values[at] = given if given.dtype is dtype else cast(name, given, dtype)
        except ContractError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
            raise unreadable_observation(observation, self._shapes) from error
        if not is_finite(self._numbers[at]):
            fields = {name: self.observation(name) for name in (OBS, STATE)}
            name = next((name for name, values in fields.items() if not is_finite(values)), STATE)
            raise not_finite(name, fields[name], at)

    def observation(self, name: str) -> np.ndarray:
        """The newest observation's entry ``name``."""
        return self._per_observation[name][self.length]

    def add(
        self, actions: np.ndarray, reward: float, observation: dict[str, np.ndarray], info: dict
    ) -> None:
        """Adds a step: the actions, the team reward and what they led to."""
        if self.length == len(self._rewards):
            self._grow()
        if not abs(reward) <= LARGEST:
            raise not_finite("the team reward", reward, self.length + 1)
        self._actions[self.length], self._rewards[self.length] = actions, reward
        if AGENT_REWARDS in info:
            given = info[AGENT_REWARDS]
            known = type(given) is np.ndarray and given.shape == self.agent_returns.shape
            self.agent_returns += given if known else read_agent_rewards(info, len(actions))
        self.length += 1
        self._observe(observation)

    def _grow(self) -> None:
        def double(values: np.ndarray, rows: int) -> np.ndarray:
            grown = np.empty((rows, *values.shape[1:]), values.dtype)
            grown[: len(values)] = values
            return grown

        rows = 2 * len(self._rewards)
        self._actions, self._rewards = double(self._actions, rows), double(self._rewards, rows)
        self._numbers = double(self._numbers, rows + 1)
        self._masks = double(self._masks, rows + 1)
        self._set_fields()

    def finish(self, terminated: bool, win: bool | None) -> TeamEpisode:
        """The episode, in arrays of its own length.

        Raises:
            ContractError: the last observation, which a cut off episode's target looks past, has
                an agent without a legal action.
            NotFinite: an agent's return is not finite.
        """
        steps = self.length
        if not np.isfinite(self.agent_returns).all():
            raise not_finite(AGENT_REWARDS, self.agent_returns, steps)
        if not terminated:
            for wrong in unplayable(self._per_observation[ACTION_MASK][None, steps]).values():
                raise wrong
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


def to_arrays(windows: Sequence[Window]) -> dict[str, np.ndarray]:
    """Pads windows to the longest one and stacks them into the fields above."""
    first, start, stop = np.array([window[1:] for window in windows]).T
    lengths = stop - first
    longest, count = int(lengths.max()), len(windows)
    batch = {}
    for name in (*PER_OBSERVATION, *PER_STEP):
        example = getattr(windows[0].episode, name)
        extra = int(name in PER_OBSERVATION)
        fill = np.ones if name == ACTION_MASK else np.zeros
        dtype = np.int64 if name == ACTIONS else example.dtype  # indices, for the networks
        field = fill((count, longest + extra, *example.shape[1:]), dtype)
        for row, window in zip(field, windows, strict=True):
            values = getattr(window.episode, name)[window.first : window.stop + extra]
            row[: len(values)] = values
        batch[name] = field
    steps = np.arange(longest)
    batch[LOSS_MASK] = ((steps >= (start - first)[:, None]) & (steps < lengths[:, None])).astype(
        np.float32
    )
    ended = np.array([w.stop == len(w.episode) for w in windows])
    terminated = ended & np.array([w.episode.terminated for w in windows])
    for name, values in ((TERMINATED, terminated), (TRUNCATED, ended & ~terminated)):
        batch[name] = np.zeros((count, longest), bool)
        batch[name][np.arange(count), lengths - 1] = values
    return batch


def to_train_batch(windows: Sequence[Window], reward_scale: float = 1.0) -> MultiAgentBatch:
    """Windows to what ``LearnerGroup.update(batch=...)`` takes, one module: the team.

    Args:
        windows: B whole episodes or sequences.
        reward_scale: factor on the rewards (``standardise_rewards``).
    """
    batch = to_arrays(windows)
    if reward_scale != 1.0:
        batch[REWARDS] = batch[REWARDS] * np.float32(reward_scale)
    env_steps = int(batch[LOSS_MASK].sum())
    return MultiAgentBatch({TEAM: SampleBatch(batch)}, env_steps=env_steps)
