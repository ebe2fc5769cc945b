"""SMAX as compiled JAX programs: reset one slot, step all slots, one row of numbers per slot.

The rules, the units and the heuristic enemy are the package's own. This file names the scenario,
tells a time limit from an end and a win from a draw, brings what a step returns into one array,
and runs that for many episodes at once.

Shape legend: E slots (episodes side by side), N allied units, M enemy units, A = M + 5 actions
(north, east, south, west, stop, attack enemy 0 ... M - 1), D numbers that a unit observes, S
numbers of the world state, L = N * D + N * A + S + 4 numbers in a row.

Source: https://github.com/FLAIROx/JaxMARL (jaxmarl 0.2.0, environments/smax); Rutherford et al.
2024, "JaxMARL".
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from env_registry.smax.spaces import obs_bounds, state_bounds

# Before JAX is imported; what the user has set stays. The GPU and its memory are left to torch. A
# pool of one thread: these programs are many small operations, and handing each to a larger pool
# cost more processor time than it saved.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("NPROC", "1")  # the size of that pool

import jax
import jax.numpy as jnp


@contextlib.contextmanager
def _streams_kept() -> Iterator[None]:
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


with _streams_kept():
    from jaxmarl.environments.smax import HeuristicEnemySMAX, map_name_to_scenario


STOP = 4  # the action that is always legal, and the only one of a unit that died
N_MOVES = 5
N_FLAGS = 4  # reward, terminated, truncated, win

Carry = tuple[jax.Array, Any]  # an episode's random key and the package's state


class SmaxGame:
    """One scenario with its options, as functions of arrays. Get it from `smax_game`."""

    def __init__(
        self,
        task: str,
        *,
        max_episode_steps: int,
        scale_state: bool,
        **arguments: Any,
    ):
        """Builds the package's environment; nothing is compiled yet.

        Args:
            task: Name of a scenario of the package.
            max_episode_steps: Time limit, env steps.
            scale_state: Bring the world state to [0, 1].
            **arguments: Of `jaxmarl.environments.smax.HeuristicEnemySMAX`.
        """
        self.env = HeuristicEnemySMAX(
            scenario=map_name_to_scenario(task), max_steps=max_episode_steps, **arguments
        )
        self.max_episode_steps = max_episode_steps
        self.scale_state = scale_state
        self.n_agents: int = self.env.num_allies
        self.n_actions: int = self.env.num_enemies + N_MOVES
        self.obs_size: int = self.env.obs_size
        self.state_size: int = self.env.state_size
        # One compiled program each (the last two: one for each number of slots).
        self.reset = jax.jit(self._reset)
        self.put = jax.jit(self._put)
        self.step = jax.jit(self._step_slots)

    def sizes(self) -> dict[str, Any]:
        """The arguments of `GroupedEnv`: N, A, D, S, and the bounds (D,) and (S,)."""
        return {
            "n_agents": self.n_agents,
            "n_actions": self.n_actions,
            "obs_size": self.obs_size,
            "state_size": self.state_size,
            "obs_bounds": obs_bounds(self.env),
            "state_bounds": state_bounds(self.env, self.scale_state),
        }

    def attacks(self, units: dict[str, np.ndarray]) -> list[tuple[int, int]]:
        """Who attacked whom within range in the last step, as indices of units, allies first.

        Args:
            units: Of a slot, as `SmaxSlots.units` returns them.
        """
        places, kinds, health = (units[f"unit_{name}"] for name in ("positions", "types", "health"))
        reach = np.asarray(self.env.unit_type_attack_ranges)[kinds]  # (N + M,)
        found = []
        for who in np.flatnonzero(units["prev_attack_actions"] >= N_MOVES):
            number = int(units["prev_attack_actions"][who]) - N_MOVES
            # The package counts an enemy's targets from the last ally to the first.
            whom = self.n_agents + number if who < self.n_agents else self.n_agents - 1 - number
            near = np.linalg.norm(places[who] - places[whom]) < reach[who]
            if near and health[who] > 0:
                found.append((int(who), whom))
        return found

    def _reset(self, key: jax.Array) -> tuple[jax.Array, Carry]:
        """An episode's first row (L,) and carry, from a key (2,) uint32."""
        key, reset_key = jax.random.split(key)
        obs, state = self.env.reset(reset_key)
        return self._row(obs, state, jnp.zeros(N_FLAGS)), _strong((key, state))

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
        """One step of one episode: actions (N,) -> row (L,) and carry."""
        key, state = carry
        key, step_key = jax.random.split(key)
        named = {agent: actions[i] for i, agent in enumerate(self.env.agents)}
        # `step_env`, not `step`: the latter puts the next episode's first observation in the place
        # of the last one.
        obs, state, rewards, _, _ = self.env.step_env(step_key, state, named)
        alive = state.state.unit_alive
        allies, enemies = alive[: self.n_agents].any(), alive[self.n_agents :].any()
        terminated = ~allies | ~enemies
        # The package looks at the clock before it advances it, and so plays one step more.
        truncated = (state.state.step >= self.max_episode_steps) & ~terminated
        win = allies & ~enemies  # as the package's own bonus for it; both sides dead is a draw
        reward = rewards[self.env.agents[0]]  # the team's; the package gives it to every unit
        flags = jnp.stack([reward, terminated, truncated, win])
        return self._row(obs, state, flags), _strong((key, state))

    def _row(self, obs: dict[str, jax.Array], state: Any, flags: jax.Array) -> jax.Array:
        """All that one slot returns, in one array (L,): one transfer for all slots together."""
        masks = self.env.get_avail_actions(state)
        world_state = self._scaled(state.state) if self.scale_state else obs["world_state"]
        parts = [
            *(obs[agent] for agent in self.env.agents),
            *(masks[agent] for agent in self.env.agents),
            world_state,
            flags,
        ]
        return jnp.concatenate([part.astype(jnp.float32).ravel() for part in parts])

    def _scaled(self, state: Any) -> jax.Array:
        """The package's world state, (S,), with every number brought to [0, 1].

        Positions by the map's size, cooldowns by the longest, unit types by their number. A
        weapon that is ready shows 0 (the package counts on below 0, without effect). A unit that
        was pushed over the border for the moment shows at the border.
        """
        env = self.env
        world = env._env.get_world_state(state)
        units = env.num_allies + env.num_enemies
        features = world[: -2 * units].reshape(units, -1)
        teams, types = world[-2 * units : -units], world[-units:]
        size = jnp.array([env.map_width, env.map_height])
        longest = jnp.max(env.unit_type_weapon_cooldowns) + 2 * env.time_per_step
        features = features.at[:, 1:3].set(jnp.clip(features[:, 1:3] / size, 0, 1))
        features = features.at[:, 3].set(jnp.clip(features[:, 3] / longest, 0, 1))
        return jnp.concatenate([features.ravel(), teams, types / (env.unit_type_bits - 1)])


def _strong(carry: Carry) -> Carry:
    """Drops JAX's weak types, which would compile the step a second time for its own result."""
    return jax.tree.map(
        lambda leaf: jax.lax.convert_element_type(leaf, jnp.result_type(leaf)), carry
    )


@functools.cache
def smax_game(task: str, **options: Any) -> SmaxGame:
    """The game of a scenario and its options, made and compiled once in a process."""
    return SmaxGame(task, **options)


class SmaxSlots:
    """E episodes side by side on one game: numpy in, numpy out.

    The key of an episode is that of `jax.random.PRNGKey(seed)`; reset and each step take a key
    split off it. What is drawn depends on nothing else.
    """

    def __init__(self, game: SmaxGame, num_envs: int):
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
        every = np.full((self.num_envs, self.game.n_agents), STOP, np.int32)
        busy = np.zeros(self.num_envs, bool)
        every[indices], busy[indices] = actions, True
        rows, self._carries = self.game.step(self._carries, every, busy)
        return np.asarray(rows)[indices]

    def units(self, index: int) -> dict[str, np.ndarray]:
        """Positions, health, types and so on of a slot's units, allies first (N + M, ...)."""
        assert self._carries is not None, "reset first"
        state = self._carries[1].state
        names = (
            "unit_positions",
            "unit_alive",
            "unit_health",
            "unit_types",
            "prev_attack_actions",
        )
        return {name: np.asarray(getattr(state, name))[index] for name in names}
