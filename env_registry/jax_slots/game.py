"""A game of jaxmarl as compiled JAX programs: reset one slot, step all slots, one row per slot.

Shape legend: E slots (episodes side by side), N agents, L numbers in a row: all that one step of
one episode returns.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

# What the user has set stays. The GPU and its memory are left to torch. A pool of one thread: these
# programs are many small operations, and handing each to a larger pool cost more processor time
# than it saved.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("NPROC", "1")  # the size of that pool

import jax
import jax.numpy as jnp

if jax.config.values["jax_platforms"] is None:  # RLlib imported JAX, before the line above
    jax.config.update("jax_platforms", os.environ["JAX_PLATFORMS"])

Carry = tuple[jax.Array, Any]  # an episode's random key and the package's state


@contextlib.contextmanager
def streams_kept() -> Iterator[None]:
    """What jaxmarl's import does to the streams stays without effect.

    It prints which of its other games are missing, and puts `sys.stdout` and `sys.stderr` back to
    what Python started with, past whatever has redirected them.
    """
    kept = {name: getattr(sys, name) for name in ("stdout", "stderr", "__stdout__")}
    vars(sys).update(stdout=io.StringIO(), __stdout__=io.StringIO())
    try:
        yield
    finally:
        vars(sys).update(kept)


class Game:
    """A game as functions of arrays. A subclass says what an episode does: `_begin`, `_play`."""

    n_agents: int

    def __init__(self) -> None:
        """Nothing is compiled yet."""
        # One compiled program each (the last two: one for each number of slots).
        self.reset = jax.jit(self._reset)
        self.put = jax.jit(self._put)
        self.step = jax.jit(self._step_slots)

    def sizes(self) -> dict[str, Any]:
        """The arguments of `GroupedEnv`."""
        raise NotImplementedError

    def _begin(self, key: jax.Array) -> tuple[jax.Array, Any]:
        """An episode's first row (L,) and state, from a key (2,) uint32."""
        raise NotImplementedError

    def _play(self, key: jax.Array, state: Any, actions: jax.Array) -> tuple[jax.Array, Any]:
        """One step of one episode: key (2,), state, actions (N,) int32 -> row (L,) and state."""
        raise NotImplementedError

    def _reset(self, key: jax.Array) -> tuple[jax.Array, Carry]:
        key, reset_key = jax.random.split(key)
        row, state = self._begin(reset_key)
        return row, _strong((key, state))

    def _put(self, carries: Carry, carry: Carry, index: jax.Array) -> Carry:
        """Writes one episode's carry into the slots'."""
        return jax.tree.map(lambda all_, one: all_.at[index].set(one), carries, carry)

    def _step_slots(
        self, carries: Carry, actions: jax.Array, busy: jax.Array
    ) -> tuple[jax.Array, Carry]:
        """Steps all slots: actions (E, N) int32, busy (E,) bool -> rows (E, L) and carries.

        Slots that are not busy are computed with the others and keep their carry.
        """
        rows, stepped = jax.vmap(self._step)(carries, actions)

        def keep(new: jax.Array, old: jax.Array) -> jax.Array:
            return jnp.where(busy.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        return rows, jax.tree.map(keep, stepped, carries)

    def _step(self, carry: Carry, actions: jax.Array) -> tuple[jax.Array, Carry]:
        key, state = carry
        key, step_key = jax.random.split(key)
        row, state = self._play(step_key, state, actions)
        return row, _strong((key, state))


def in_one_row(parts: Sequence[jax.Array]) -> jax.Array:
    """All that one slot returns, in one array (L,): one transfer for all slots together."""
    return jnp.concatenate([jnp.asarray(part).astype(jnp.float32).ravel() for part in parts])


def _strong(carry: Carry) -> Carry:
    """Drops JAX's weak types, which would compile the step a second time for its own result."""
    return jax.tree.map(
        lambda leaf: jax.lax.convert_element_type(leaf, jnp.result_type(leaf)), carry
    )


class Slots:
    """E episodes side by side on one game: numpy in, numpy out.

    The key of an episode is that of `jax.random.PRNGKey(seed)`; reset and each step take a key
    split off it. What is drawn depends on nothing else.
    """

    def __init__(self, game: Game, num_envs: int):
        """Makes E idle slots.

        Args:
            game: What is played.
            num_envs: E.
        """
        self.game = game
        self.num_envs = num_envs
        self._carries: Carry | None = None

    def reset(self, index: int, seed: int) -> np.ndarray:
        """Starts an episode in a slot.

        Args:
            index: The slot.
            seed: 0 to 2**64 - 1.

        Returns:
            (L,) float32, the first row.
        """
        key = np.array([seed >> 32, seed & 0xFFFFFFFF], np.uint32)
        row, carry = self.game.reset(key)
        if self._carries is None:
            self._carries = jax.tree.map(
                lambda leaf: jnp.zeros((self.num_envs, *leaf.shape), leaf.dtype), carry
            )
        self._carries = self.game.put(self._carries, carry, np.int32(index))
        return np.array(row)

    def step(self, indices: Sequence[int], actions: np.ndarray) -> np.ndarray:
        """Plays one step in some slots; the others stay as they are.

        Args:
            indices: K slots.
            actions: (K, N) integers.

        Returns:
            (K, L) float32.
        """
        every = np.zeros((self.num_envs, self.game.n_agents), np.int32)
        busy = np.zeros(self.num_envs, bool)
        every[indices], busy[indices] = actions, True
        rows, self._carries = self.game.step(self._carries, every, busy)
        return np.asarray(rows)[indices]

    def state(self, index: int) -> Any:
        """The package's state of a slot's episode, as numpy arrays."""
        assert self._carries is not None, "reset first"
        return jax.tree.map(lambda leaf: np.asarray(leaf)[index], self._carries[1])
