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

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from env_registry.jax_slots.game import Game, in_one_row, streams_kept
from env_registry.smax.spaces import obs_bounds, state_bounds

with streams_kept():
    from jaxmarl.environments.smax import HeuristicEnemySMAX, map_name_to_scenario


STOP = 4  # the action that is always legal, and the only one of a unit that died
N_MOVES = 5
N_FLAGS = 4  # reward, terminated, truncated, win


class SmaxGame(Game):
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
        super().__init__()

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
            units: As `SmaxEnv.units` returns them.
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

    def _begin(self, key: jax.Array) -> tuple[jax.Array, Any]:
        obs, state = self.env.reset(key)
        return self._row(obs, state, jnp.zeros(N_FLAGS)), state

    def _play(self, key: jax.Array, state: Any, actions: jax.Array) -> tuple[jax.Array, Any]:
        named = {agent: actions[i] for i, agent in enumerate(self.env.agents)}
        # `step_env`, not `step`: the latter puts the next episode's first observation in the place
        # of the last one.
        obs, state, rewards, _, _ = self.env.step_env(key, state, named)
        alive = state.state.unit_alive
        allies, enemies = alive[: self.n_agents].any(), alive[self.n_agents :].any()
        terminated = ~allies | ~enemies
        # The package looks at the clock before it advances it, and so plays one step more.
        truncated = (state.state.step >= self.max_episode_steps) & ~terminated
        win = allies & ~enemies  # as the package's own bonus for it; both sides dead is a draw
        reward = rewards[self.env.agents[0]]  # the team's; the package gives it to every unit
        flags = jnp.stack([reward, terminated, truncated, win])
        return self._row(obs, state, flags), state

    def _row(self, obs: dict[str, jax.Array], state: Any, flags: jax.Array) -> jax.Array:
        """What all units observe and may do, the world state, and the flags: (L,)."""
        masks = self.env.get_avail_actions(state)
        world_state = self._scaled(state.state) if self.scale_state else obs["world_state"]
        parts = [
            *(obs[agent] for agent in self.env.agents),
            *(masks[agent] for agent in self.env.agents),
            world_state,
            flags,
        ]
        return in_one_row(parts)

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


@functools.cache
def smax_game(task: str, **options: Any) -> SmaxGame:
    """The game of a scenario and its options, made and compiled once in a process."""
    return SmaxGame(task, **options)
