"""Replay of episodes, whole or in sequences: bytes known, state saved and restored."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from rllib_mmsa.rllib.batch import PER_OBSERVATION, PER_STEP, TeamEpisode, Window


class EpisodeReplay:
    """Keeps the last ``capacity_episodes`` episodes and draws some of them evenly.

    An episode is kept at its own length, so the memory is that of the steps played.

    Args:
        capacity_episodes: episodes kept (5000, Table 6); the oldest goes first.
        seed: of the draws; None draws one.
        max_seq_len: steps of the sequences drawn; None draws whole episodes.
        burn_in: steps before a sequence that are drawn for the hidden state alone.
        capacity_bytes: the oldest episodes also go when the arrays would exceed this.
    """

    def __init__(
        self,
        capacity_episodes: int,
        seed: int | None = None,
        max_seq_len: int | None = None,
        burn_in: int = 0,
        capacity_bytes: int | None = None,
    ):
        self.capacity_episodes, self.capacity_bytes = capacity_episodes, capacity_bytes
        self.max_seq_len, self.burn_in = max_seq_len, burn_in
        self._episodes: deque[TeamEpisode] = deque()
        self._rng = np.random.default_rng(seed)
        self.num_episodes_added = 0
        self.num_left_out = 0  # of the state that was restored last: not finite
        self.num_env_steps = 0  # stored
        self.nbytes = 0  # of the stored arrays
        # Sums over every reward ever added, for the running deviation.
        self._reward_count, self._reward_sum, self._reward_square_sum = 0, 0.0, 0.0

    def __len__(self) -> int:
        return len(self._episodes)

    def add(self, episodes: list[TeamEpisode]) -> None:
        """Stores episodes."""
        for episode in map(TeamEpisode.owned, episodes):
            self._store(episode)
            self.num_episodes_added += 1
            self._count_rewards(episode)

    def _count_rewards(self, episode: TeamEpisode) -> None:
        self._reward_count += len(episode)
        self._reward_sum += float(episode.rewards.sum(dtype=np.float64))
        self._reward_square_sum += float((episode.rewards.astype(np.float64) ** 2).sum())

    def _store(self, episode: TeamEpisode) -> None:
        while self._episodes and self._is_full(episode.nbytes):
            oldest = self._episodes.popleft()
            self.num_env_steps -= len(oldest)
            self.nbytes -= oldest.nbytes
        self._episodes.append(episode)
        self.num_env_steps += len(episode)
        self.nbytes += episode.nbytes

    def _is_full(self, incoming: int) -> bool:
        limit = self.capacity_bytes
        too_large = limit is not None and self.nbytes + incoming > limit
        return too_large or len(self._episodes) >= self.capacity_episodes

    @property
    def nbytes_when_full(self) -> int:
        """Bytes that the arrays will take once full, from the episodes stored so far."""
        full = self.nbytes * self.capacity_episodes // max(1, len(self))
        return full if self.capacity_bytes is None else min(full, self.capacity_bytes)

    def worth(self, episode: TeamEpisode) -> int:
        """How many whole episodes, or sequences, an episode gives to learn from once."""
        return 1 if self.max_seq_len is None else -(-len(episode) // self.max_seq_len)

    def can_draw(self, count: int) -> bool:
        """Whether ``sample(count)`` has enough to draw from."""
        return len(self) >= (count if self.max_seq_len is None else 1)

    def sample(self, count: int) -> list[Window]:
        """Draws so that no stored step is less likely than others.

        Whole episodes are drawn evenly and are all different. Sequences are drawn from episodes in
        proportion to their length.

        Raises:
            ValueError: not enough episodes are stored.
        """
        if not self.can_draw(count):
            raise ValueError(
                f"cannot draw {count} episodes from the {len(self)} stored; "
                "sample more episodes first (learning_starts_episodes)"
            )
        if self.max_seq_len is None:
            rows = self._rng.choice(len(self), count, replace=False)
            return [Window.whole(self._episodes[row]) for row in rows]
        ends = np.cumsum([len(episode) for episode in self._episodes])
        rows = np.searchsorted(ends, self._rng.integers(ends[-1], size=count), side="right")
        return [self._sequence(self._episodes[row], self.max_seq_len) for row in rows]

    def _sequence(self, episode: TeamEpisode, length: int) -> Window:
        """A sequence of the episode and its burn-in.

        It is drawn from all that touch the episode and moved inside it: a last step is as likely
        as one in the middle.
        """
        length = min(length, len(episode))
        start = int(self._rng.integers(1 - length, len(episode)))
        start = min(max(start, 0), len(episode) - length)
        return Window(episode, max(start - self.burn_in, 0), start, start + length)

    @property
    def reward_deviation(self) -> float:
        """Standard deviation of every step reward ever added; 1 before there is one."""
        if self._reward_count == 0:
            return 1.0
        mean = self._reward_sum / self._reward_count
        variance = self._reward_square_sum / self._reward_count - mean**2
        return float(np.sqrt(variance)) if variance > 1e-12 else 1.0

    def get_state(self, with_episodes: bool = True) -> dict[str, Any]:
        """State for a checkpoint.

        Args:
            with_episodes: whether the episodes are part of it.
        """
        state: dict[str, Any] = {
            "rng": self._rng.bit_generator.state,
            "num_episodes_added": self.num_episodes_added,
            "rewards": (self._reward_count, self._reward_sum, self._reward_square_sum),
        }
        if with_episodes and self._episodes:
            episodes = list(self._episodes)
            # One array per field: thousands of small ones pickle slowly.
            state["fields"] = {
                name: np.concatenate([getattr(e, name) for e in episodes])
                for name in (*PER_OBSERVATION, *PER_STEP)
            }
            state["lengths"] = np.array([len(e) for e in episodes])
            state["terminated"] = np.array([e.terminated for e in episodes])
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what ``get_state`` returned, except episodes that are not finite.

        Older versions stored such episodes; their sums over rewards begin anew with what is stored.
        """
        self._rng.bit_generator.state = state["rng"]
        self.num_episodes_added = state["num_episodes_added"]
        self._episodes.clear()
        self.num_env_steps = self.nbytes = self.num_left_out = 0
        if "fields" in state:
            self._restore_episodes(state)
        self._reward_count, self._reward_sum, self._reward_square_sum = state["rewards"]
        if not np.isfinite(state["rewards"]).all():
            self._reward_count, self._reward_sum, self._reward_square_sum = 0, 0.0, 0.0
            for episode in self._episodes:
                self._count_rewards(episode)

    def _restore_episodes(self, state: dict[str, Any]) -> None:
        ends = {
            name: np.cumsum(state["lengths"] + (name in PER_OBSERVATION))[:-1]
            for name in state["fields"]
        }
        columns = {name: np.split(values, ends[name]) for name, values in state["fields"].items()}
        for row, terminated in enumerate(state["terminated"]):
            # Copies: a view would keep the whole field alive after the episode has gone.
            fields = {name: column[row].copy() for name, column in columns.items()}
            episode = TeamEpisode(**fields, terminated=bool(terminated))
            if episode.is_finite():
                self._store(episode)
            else:
                self.num_left_out += 1
