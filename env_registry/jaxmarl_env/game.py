"""JaxMARL's MPE and Overcooked as compiled JAX programs.

The rules, observations and rewards are the package's own. This file names the game, ends it by the
time limit after exactly so many steps, and brings what a step returns into one array.

Shape legend: N agents, A actions of the one that has most, D numbers in the longest observation,
L = N * D + N + 1 numbers in a row: observations, the agents' rewards, truncated.

Source: https://github.com/FLAIROx/JaxMARL (jaxmarl 0.2.0; environments/mpe, overcooked and
overcooked_v2); Rutherford et al. 2024, "JaxMARL".
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from env_registry.jax_slots.game import Game, in_one_row, streams_kept
from env_registry.tasks.jaxmarl import MPE

with streams_kept():
    from jaxmarl import make
    from jaxmarl.environments import overcooked_layouts

_MOVES = ("stay", "left", "right", "down", "up")
ACTION_NAMES = {  # of the games whose agents all have the same few actions
    "MPE_simple_spread_v3": _MOVES,
    "overcooked": ("up", "down", "right", "left", "stay", "interact"),
    "overcooked_v2": ("right", "down", "left", "up", "stay", "interact"),
}


class JaxmarlGame(Game):
    """A task with its options, as functions of arrays. Get it from `jaxmarl_game`."""

    def __init__(
        self,
        task: str,
        max_episode_steps: int | None,
        shaped_reward: float,
        env_kwargs: dict[str, Any],
    ):
        """Builds the package's environment; nothing is compiled yet.

        Args:
            task: A task of `env_registry.tasks.jaxmarl`.
            max_episode_steps: Time limit, env steps; None: the package's.
            shaped_reward: Weight of Overcooked's shaped rewards.
            env_kwargs: Further arguments of the package's environment.
        """
        super().__init__()
        limit = {} if max_episode_steps is None else {"max_steps": max_episode_steps}
        self.env = _build(task, {**env_kwargs, **limit})
        self.max_episode_steps: int = self.env.max_steps
        self.shaped_reward = shaped_reward
        self.each_gets_the_teams = task not in MPE
        self.action_names = ACTION_NAMES.get(task.partition(":")[0], ())
        self.agents: list[str] = self.env.agents
        self.n_agents = len(self.agents)
        shown, _ = jax.eval_shape(self.env.reset, jax.random.PRNGKey(0))
        self.obs_size = max(int(np.prod(shown[agent].shape)) for agent in self.agents)
        counts = [self.env.action_space(agent).n for agent in self.agents]
        self.legal = (np.arange(max(counts)) < np.array(counts)[:, None]).astype(np.int8)  # (N, A)

    def sizes(self) -> dict[str, Any]:
        """The arguments of `GroupedEnv`: N, A, D, S = N * D, bounds, names."""
        spaces = [self.env.observation_space(agent) for agent in self.agents]
        bounds = (
            min(float(np.min(space.low)) for space in spaces),
            max(float(np.max(space.high)) for space in spaces),
        )
        return {
            "n_agents": self.n_agents,
            "n_actions": self.legal.shape[1],
            "obs_size": self.obs_size,
            "state_size": self.n_agents * self.obs_size,
            "obs_bounds": bounds,
            "state_bounds": bounds,
            "agent_names": self.agents,
            "action_names": self.action_names,
        }

    def _begin(self, key: jax.Array) -> tuple[jax.Array, Any]:
        obs, state = self.env.reset(key)
        return self._row(obs, jnp.zeros(self.n_agents), jnp.array(False)), state

    def _play(self, key: jax.Array, state: Any, actions: jax.Array) -> tuple[jax.Array, Any]:
        named = {agent: actions[i] for i, agent in enumerate(self.agents)}
        # `step_env`, not `step`: the latter puts the next episode's first observation in the place
        # of the last one.
        obs, state, rewards, _, infos = self.env.step_env(key, state, named)
        each = jnp.stack([rewards[agent] for agent in self.agents])
        if self.each_gets_the_teams:
            each = each / self.n_agents
        if self.shaped_reward:
            shaped = infos["shaped_reward"]
            each += self.shaped_reward * jnp.stack([shaped[agent] for agent in self.agents])
        # MPE looks at the clock before it advances it, and so plays one step more.
        return self._row(obs, each, state.step >= self.max_episode_steps), state

    def _row(self, obs: dict[str, jax.Array], each: jax.Array, truncated: jax.Array) -> jax.Array:
        """What all agents observe, flattened and filled up with zeros, and the rest: (L,)."""
        flat = [obs[agent].ravel() for agent in self.agents]
        return in_one_row(
            [*(jnp.pad(one, (0, self.obs_size - len(one))) for one in flat), each, truncated]
        )


def _build(task: str, arguments: dict[str, Any]) -> Any:
    """The package's environment."""
    game, _, layout = task.partition(":")
    if game == "overcooked":
        arguments["layout"] = overcooked_layouts[layout]
    elif layout:
        arguments["layout"] = layout
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # "OvercookedV2 is now released"
        return make(game, **arguments)


@functools.cache
def jaxmarl_game(
    task: str,
    max_episode_steps: int | None,
    shaped_reward: float,
    env_kwargs: tuple[tuple[str, Any], ...],
) -> JaxmarlGame:
    """The game of a task and its options, made and compiled once in a process."""
    return JaxmarlGame(task, max_episode_steps, shaped_reward, dict(env_kwargs))
