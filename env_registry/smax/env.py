"""SMAX on the real `jaxmarl` package: one environment, or all of a runner's in one program.

Shape legend: E slots, N allied units, A actions, D observation size, S state size, L numbers in a
row of `env_registry.smax.game`.
"""

from __future__ import annotations

import numpy as np

from env_registry.contract import Observation, StepResult
from env_registry.draw import BATTLE, draw_units, with_legend
from env_registry.draw.smax import draw_observations
from env_registry.errors import EnvConfigError
from env_registry.jax_slots.env import SlotEnv, SlotVectorEnv
from env_registry.rows import SMAX_TASKS
from env_registry.smax.game import N_FLAGS, smax_game
from env_registry.smax.spaces import obs_layout

RENDER_SCALE = 14  # pixels per unit of length
UNITS = ("unit_positions", "unit_alive", "unit_health", "unit_types", "prev_attack_actions")


class SmaxEnv(SlotEnv):
    """SMAX against the heuristic enemy under the contract; options as in `env_registry.rows`."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}
    render_mode = "rgb_array"
    picture_legend = BATTLE[:-1]  # of `draw_observations`, which show no attack
    backend: str | None = None  # set where it stands in for another game

    def __init__(
        self,
        task: str = "3m",
        *,
        max_episode_steps: int = 100,
        scale_state: bool = True,
        observation_type: str = "unit_list",
        see_enemy_actions: bool = True,
        walls_cause_death: bool = True,
        won_battle_bonus: float = 1.0,
        attack_mode: str = "closest",
        enemy_shoots: bool = True,
        map_width: int = 32,
        map_height: int = 32,
        world_steps_per_env_step: int = 8,
    ):
        """Makes the environment. The first reset and the first step compile, once in a process.

        Args:
            task: Name of a scenario.
            max_episode_steps: Time limit, env steps; reported as truncation.
            scale_state: Bring the world state to [0, 1]; off, it is as the package returns it.
            observation_type: "unit_list" (every other unit in a place of its own) or "conic" (the
                two nearest in each of 32 directions).
            see_enemy_actions: Show the last actions of enemies in sight.
            walls_cause_death: A unit that touches the border dies.
            won_battle_bonus: Reward for a win, beside up to 1 for the enemies' lost health.
            attack_mode: Which of the units in range an enemy shoots at, "closest" or "random".
            enemy_shoots: Off, enemies only walk.
            map_width: Of the map, in the game's units of length.
            map_height: The same.
            world_steps_per_env_step: Steps of 1/16 s that one action lasts.

        Raises:
            EnvConfigError: If there is no such scenario.
        """
        if task not in SMAX_TASKS:
            raise EnvConfigError(f"smax has no task {task!r}; valid: {', '.join(SMAX_TASKS)}")
        game = smax_game(
            task,
            scale_state=scale_state,
            observation_type=observation_type,
            see_enemy_actions=see_enemy_actions,
            walls_cause_death=walls_cause_death,
            won_battle_bonus=won_battle_bonus,
            attack_mode=attack_mode,
            enemy_shoots=enemy_shoots,
            max_episode_steps=max_episode_steps,
            map_width=map_width,
            map_height=map_height,
            world_steps_per_env_step=world_steps_per_env_step,
        )
        super().__init__(game)
        self.observation_layout = obs_layout(game.env)

    def observed(self, row: np.ndarray) -> dict[str, Observation]:
        """What a row (L,) shows."""
        return self._unpack(row)[0]

    def result(self, row: np.ndarray) -> StepResult:
        """A step's row (L,) as the contract's five dictionaries.

        The team reward is the reward that the package gives to every unit, once; a unit's reward
        is its equal share.
        """
        observation, (reward, terminated, truncated, win) = self._unpack(row)
        over = bool(terminated or truncated)
        return self._transition(
            observation,
            np.full(self.n_agents, reward / self.n_agents),
            terminated=bool(terminated),
            truncated=bool(truncated),
            team_reward=float(reward),
            **({"win": bool(win)} if over else {}),
        )

    def render(self) -> np.ndarray:
        """Draws the battle and its legend: (height, width, 3) uint8. Needs no display."""
        units, env = self.units(), self.game.env
        picture = draw_units(
            (env.map_width, env.map_height),
            units["unit_positions"],
            np.asarray(env.unit_type_radiuses)[units["unit_types"]],
            units["unit_health"] / np.asarray(env.unit_type_health)[units["unit_types"]],
            self.n_agents,
            RENDER_SCALE,
            self.game.attacks(units),
        )
        return with_legend(picture, BATTLE)

    def units(self) -> dict[str, np.ndarray]:
        """Positions, health, types and so on of all units, allies first (N + M, ...)."""
        state = self._state().state
        return {name: getattr(state, name) for name in UNITS}

    def draw_observations(self, obs: np.ndarray) -> np.ndarray | None:
        """Draws the map as observations (N, D) tell it: (height, width, 3) uint8.

        None where they are conic: those tell no unit from another.
        """
        env = self.game.env
        return draw_observations(env, obs) if env.observation_type == "unit_list" else None

    def _unpack(self, row: np.ndarray) -> tuple[dict[str, Observation], np.ndarray]:
        """A row (L,) -> the observation, and reward, terminated, truncated, win (4,)."""
        n_agents = self.n_agents
        masks = n_agents * self.obs_size
        state = masks + n_agents * self.n_actions
        observation = self._observation(
            row[:masks].reshape(n_agents, -1),
            row[masks:state].astype(np.int8).reshape(n_agents, -1),
            row[state:-N_FLAGS],
        )
        return observation, row[-N_FLAGS:]


class SmaxVectorEnv(SlotVectorEnv):
    """All battles of a runner, stepped by one call; options as `SmaxEnv`."""

    env_class = SmaxEnv
