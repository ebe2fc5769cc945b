"""smacv2's game with its rough edges taken off; rules, rewards and observations are smacv2's own.

What differs from `smacv2.env.StarCraft2Env`, each because training on it would hang, stop or learn
from episodes that never happened:

* A game that died raises. smacv2 starts another one in the middle of the episode, whose last step
  then looks like an end with reward 0.
* A game is closed before another one is started. smacv2 starts one for each reset until a first
  episode has finished, and leaves the old ones to the garbage collector.
* A reset waits for the units that it killed to be gone, not for an empty map. The fixed maps (3m,
  8m, ...) put everybody back at once, and smacv2 then waits for ever (its issues 2 and 55).

Source: https://github.com/oxwhirl/smacv2, `smacv2/env/starcraft2/starcraft2.py`.
"""

from __future__ import annotations

import contextlib
from typing import Any

from pysc2.lib import protocol, remote_controller
from smacv2.env.starcraft2.starcraft2 import CannotResetException, StarCraft2Env

from env_registry.errors import EnvFailure
from env_registry.starcraft2.process import GameProcess, time_limit, watch_starts

LOST = (protocol.ConnectionError, protocol.ProtocolError, remote_controller.ConnectError)


class Game(StarCraft2Env):
    """One StarCraft II process and the scenario that is played in it."""

    def __init__(self, *, reset_timeout_s: float, scale_by_episode: bool, **arguments: Any):
        """Makes the scenario; the first reset starts the game.

        Args:
            reset_timeout_s: Seconds after which a reset has failed.
            scale_by_episode: Scale rewards by what the episode's own enemies are worth, not by
                what those of the first episode were.
            **arguments: Those of `smacv2.env.StarCraft2Env`.
        """
        self._process: GameProcess | None = None
        self._episode_count: int
        self._obs: Any
        self._reset_timeout_s = reset_timeout_s
        self._scale_by_episode = scale_by_episode
        super().__init__(**arguments)

    def begin(self, episode_config: dict[str, Any]) -> None:
        """Starts an episode, and the game where none runs.

        Args:
            episode_config: What the episode's distributions drew, as smacv2's `reset` takes it.

        Raises:
            EnvFailure: If the game died, did not answer in time, or lost units.
        """
        try:
            with time_limit(
                self._reset_timeout_s,
                self._kill,
                f"{self.map_name}: a reset took longer than reset_timeout_s allows",
            ):
                self._begin(episode_config)
        except EnvFailure:
            self._forget()
            raise
        if self._scale_by_episode or self._episode_count == 0:
            self.max_reward = self._worth_of_enemies()

    def _begin(self, episode_config: dict[str, Any]) -> None:
        """smacv2's reset, in which everything that can befall a game is an EnvFailure."""
        if self._process is not None:
            # Or else smacv2 would start another game until a first episode has finished.
            self._episode_count = max(self._episode_count, 1)
        try:
            result = self.reset(episode_config)
        except CannotResetException:
            raise EnvFailure(f"{self.map_name}: the game did not make all units") from None
        except LOST as error:
            raise EnvFailure(f"{self.map_name}: no game in reset: {_line(error)}") from None
        if result is None:
            raise EnvFailure(f"{self.map_name}: smacv2's reset returned nothing")

    def play(self, actions: list[int]) -> tuple[float, bool, dict[str, Any]]:
        """Plays one step: reward, whether the episode is over, smacv2's info.

        Raises:
            EnvFailure: If the game died.
        """
        try:
            reward, over, info = self.step(actions)
            if over and "battle_won" not in info:  # what smacv2 makes of a game that died
                raise EnvFailure(f"{self.map_name}: the game died in a step")
        except LOST as error:
            self._forget()
            raise EnvFailure(f"{self.map_name}: no game in step: {_line(error)}") from None
        except EnvFailure:
            self._forget()
            raise
        return float(reward), bool(over), info

    def start_anew(self, seed: int) -> None:
        """Makes the next reset start a new game, with dice of its own.

        Args:
            seed: 0 to 2**31 - 1.
        """
        self._forget()
        self.set_seed(seed)

    def set_seed(self, seed: int) -> None:
        """The seed of the next game that is started; one that runs goes on with its own."""
        self._seed = seed

    @property
    def pid(self) -> int | None:
        """The game's process id, None where none runs."""
        return self._process.pid if self._process else None

    def close(self) -> None:
        """Ends the game. Never fails; may be called again."""
        with contextlib.suppress(Exception):  # a game that died fails in many ways, and is gone
            super().close()
        self._sc2_proc = None
        if self._process is not None:
            self._process.release()
            self._process = None

    def _forget(self) -> None:
        self.close()
        self._episode_count = 0  # smacv2's sign that no game runs yet

    def full_restart(self) -> None:
        """Where smacv2 would start another game within the episode.

        Raises:
            EnvFailure: Always.
        """
        raise EnvFailure(f"{self.map_name}: the game died") from None

    def _launch(self) -> None:
        self.close()
        with watch_starts(self._started):
            super()._launch()

    def _started(self, process: GameProcess) -> None:
        if self._process is not None:
            self._process.release()
        self._process = process

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def _kill_all_units(self) -> None:
        """Removes every unit on the map, so that the map's own rule starts the next episode."""
        old = {unit.tag for unit in self._obs.observation.raw_data.units}
        self._kill_units(list(old))
        while any(unit.tag in old for unit in self._obs.observation.raw_data.units):
            self._controller.step(2)
            self._obs = self._controller.observe()

    def _worth_of_enemies(self) -> float:
        """What a win pays before scaling, as smacv2 counts it in the first episode."""
        health = sum(unit.health_max + unit.shield_max for unit in self.enemies.values())
        return self.n_enemies * self.reward_death_value + self.reward_win + health


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
