"""SMACv2 and SMAC on the real `smacv2` package and StarCraft II (`env: smacv2`, `env: smac`).

Shape legend: N agents, A actions (no-op of the dead, stop, 4 moves, one per target), D numbers that
an agent observes, S numbers of smacv2's state.

Source: https://github.com/oxwhirl/smacv2 (Ellis et al. 2023).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from smacv2.env.starcraft2.distributions import Distribution, get_distribution

from env_registry.contract import TEAM, GroupedEnv, Observation, StepResult
from env_registry.starcraft2.game import Game
from env_registry.starcraft2.global_random import OwnGlobalRandom
from env_registry.starcraft2.layout import obs_layout


class SmacEnv(GroupedEnv):
    """A StarCraft II battle under the contract; options as in `env_registry.rows`.

    The team reward is smacv2's one reward; each agent's share of it is an equal part. `win` is
    smacv2's `battle_won`. An action that the mask forbids is played as "stop" (the dead: no-op).

    Seeds: `reset(seed)` sets all that smacv2 draws (teams, places, what is seen) and the dice of
    the next game that is started. A running game goes on with its own dice (weapon delays), so the
    same battle may end otherwise; `exact_seeds` starts a new game for each seeded reset.
    """

    backend = "starcraft2"

    def __init__(
        self,
        map_name: str,
        *,
        capability_config: dict[str, Any] | None = None,
        episode_limit: int | None = None,
        exact_seeds: bool = False,
        reward_scale_by: str = "episode",
        reset_timeout_s: float = 180.0,
        **settings: Any,
    ):
        """Makes the environment; the first reset starts the game.

        Args:
            map_name: smacv2's name of the map.
            capability_config: What is drawn for each episode, as smacv2 takes it; None: nothing.
            episode_limit: Time limit, env steps (truncation); None: the map's.
            exact_seeds: Start a new game for each reset with a seed.
            reward_scale_by: "episode": scale rewards so that each episode's enemies are worth
                `reward_scale_rate`; "first_episode": as smacv2, by the first episode's enemies.
            reset_timeout_s: After so many seconds a reset has failed, and the game is ended.
            **settings: Further arguments of `smacv2.env.StarCraft2Env`.
        """
        capability_config = capability_config or {}
        self._game = Game(
            map_name=map_name,
            capability_config=_with_sizes(capability_config),
            continuing_episode=True,  # only makes smacv2 say when the time limit cut an episode
            reset_timeout_s=reset_timeout_s,
            scale_by_episode=reward_scale_by == "episode",
            **settings,
        )
        if episode_limit is not None:
            self._game.episode_limit = episode_limit
        self._distributions = _distributions(self._game.capability_config)
        self._exact_seeds = exact_seeds
        self._mask = np.zeros((0, 0), np.int8)
        self._reseed(np.random.SeedSequence())
        super().__init__(
            n_agents=self._game.n_agents,
            n_actions=self._game.get_total_actions(),
            obs_size=self._game.get_obs_size(),
            state_size=self._game.get_state_size(),
        )
        self.observation_layout = obs_layout(self._game)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Observation], dict[str, dict[str, Any]]]:
        """Starts an episode, and the game where none runs.

        Raises:
            EnvFailure: If the game died, did not answer in time, or lost units.
        """
        if seed is not None:
            game_seed = self._reseed(np.random.SeedSequence(seed))
            if self._exact_seeds:
                self._game.start_anew(game_seed)
        with self._own_random():
            drawn: dict[str, Any] = {}
            for distribution in self._distributions:
                drawn |= distribution.generate()
            self._game.begin(drawn)
            return self._observe(), {TEAM: {}}

    def step(self, action_dict: dict[str, np.ndarray]) -> StepResult:
        """Plays one step: {"team": (N,) int} in, the contract's five dictionaries out.

        Raises:
            EnvFailure: If the game died.
        """
        actions = np.asarray(action_dict[TEAM])  # (N,)
        legal = self._mask[np.arange(self.n_agents), actions] == 1
        actions = np.where(legal, actions, self._mask.argmax(axis=1))
        with self._own_random():
            reward, over, info = self._game.play(actions.tolist())
            observation = self._observe()
        cut = bool(info.get("episode_limit", False))
        return self._transition(
            observation,
            np.full(self.n_agents, reward / self.n_agents),
            terminated=over and not cut,
            truncated=over and cut,
            team_reward=reward,
            **({"win": bool(info["battle_won"])} if over else {}),
        )

    def close(self) -> None:
        """Ends the game."""
        if hasattr(self, "_game"):
            self._game.close()

    def __del__(self) -> None:
        # The interpreter may be half gone: modules are None then, contextlib among them.
        try:  # noqa: SIM105
            self.close()
        except Exception:
            pass

    @property
    def game_pid(self) -> int | None:
        """The process id of the game; None before the first reset and after `close`."""
        return self._game.pid

    def _observe(self) -> dict[str, Observation]:
        obs = np.stack(self._game.get_obs()).astype(np.float32)
        self._mask = np.array(self._game.get_avail_actions(), np.int8)
        state = np.asarray(self._game.get_state(), np.float32)
        return self._observation(obs, self._mask.copy(), state)

    def _reseed(self, seed: np.random.SeedSequence) -> int:
        """Seeds all that smacv2 draws from; returns the seed of the next game."""
        generators = list(_generators(self._distributions))
        own, game, *others = seed.spawn(2 + len(generators))
        self._own_random = OwnGlobalRandom(own)
        for generator, sequence in zip(generators, others, strict=True):
            generator.rng = np.random.default_rng(sequence)
        game_seed = int(game.generate_state(1)[0] >> 1)
        self._game.set_seed(game_seed)
        return game_seed


def _with_sizes(config: dict[str, Any]) -> dict[str, Any]:
    """Each part with the team sizes beside it, as smacv2's wrapper hands it on; a copy."""
    sizes: dict[str, Any] = {key: config[key] for key in ("n_units", "n_enemies") if key in config}
    parts = {key: {**part, **sizes, "env_key": key} for key, part in config.items()
             if key not in sizes}  # fmt: skip
    return {**sizes, **parts}


def _distributions(config: dict[str, Any]) -> list[Distribution]:
    parts = [part for part in config.values() if isinstance(part, dict)]
    return [get_distribution(part["dist_type"])(part) for part in parts]


def _generators(distributions: list[Distribution]) -> Iterator[Any]:
    """Every object inside the distributions that draws from an `rng` of its own."""
    for distribution in distributions:
        if hasattr(distribution, "rng"):
            yield distribution
        inner = [value for value in vars(distribution).values() if isinstance(value, Distribution)]
        yield from _generators(inner)
