"""Level-Based Foraging on the real `lbforaging` package.

The rules (movement, collisions, loading, rewards) are the package's own; this file names the game,
lays its observations out as one array, tells a time limit from an end, and draws it.

Shape legend: N players, F foods, A = 6 actions (none, north, south, west, east, load), D numbers
that a player observes (3 F + 3 N; a grid id: 3 layers of (1 + 2 sight)^2 cells), S = N * D.

Source: https://github.com/uoe-agents/lb-foraging (lbforaging 2.0.0; 1.1.1 for v2's levels).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from lbforaging.foraging.environment import Action, ForagingEnv, Player

from env_registry.contract import (
    TEAM,
    Entity,
    GroupedEnv,
    Layout,
    Observation,
    StepResult,
    concat_state,
    in_a_row,
)
from env_registry.draw import FORAGING, draw_grid, with_legend
from env_registry.draw.lbf import draw_observations
from env_registry.tasks.lbf import parse_task

ACTIONS = tuple(Action)
HIDDEN = (-1, -1, 0)  # row, column, level that the package shows for what is out of sight
Foods = list[tuple[int, int, int]]  # row, column, level


class ForagingGame(ForagingEnv):
    """The package's game with its observations as one array, and 1.x's levels on request.

    `_make_gym_obs` and `_gen_valid_moves` give what the package's own give without an
    `Observation` object per player, at two to three times the speed; tests/unit/test_env_lbf.py
    compares them step by step.
    """

    def __init__(self, *, exclusive_levels: bool, **arguments: Any):
        """Makes the game.

        Args:
            exclusive_levels: Draw levels below their maximum (lbforaging 1.x), not up to it (2.x).
            **arguments: Those of `lbforaging.foraging.environment.ForagingEnv`.
        """
        self._exclusive_levels = exclusive_levels
        super().__init__(**arguments)

    def spawn_players(self, min_player_levels: np.ndarray, max_player_levels: np.ndarray) -> None:
        """Places the players.

        Source: lbforaging 1.1.1 `spawn_players`: level = randint(1, max_player_level), exclusive.
        Deviation: the board is cleared first. The package leaves the last episode's positions
        standing while it places players, so that reset(seed) would depend on the past.
        """
        for player in self.players:
            player.position = None
        if self._exclusive_levels:
            max_player_levels = np.maximum(max_player_levels - 1, min_player_levels)
        super().spawn_players(min_player_levels, max_player_levels)
        for player in self.players:  # numpy integers make all that follows slower
            player.position = (int(player.position[0]), int(player.position[1]))
            player.level = int(player.level)

    def spawn_food(self, max_num_food: int, min_levels: np.ndarray, max_levels: np.ndarray) -> None:
        """Places the food.

        Source: lbforaging 1.1.1 `spawn_food`: level = randint(1, team's level), exclusive; in
        "coop" games the team's level itself.
        """
        if self._exclusive_levels and self.max_food_level is None and not self.force_coop:
            max_levels = np.maximum(max_levels - 1, min_levels)
        super().spawn_food(max_num_food, min_levels, max_levels)

    def _get_observation_space(self) -> spaces.Box:
        """One player's space. (For grids the package itself fails: it asks for a shape of (3,).)"""
        if not self._grid_observation:
            return super()._get_observation_space()
        width = 1 + 2 * self.sight
        agent = max(self.max_player_level) if self._observe_agent_levels else 1
        three_lowest = sum(sorted(self.max_player_level)[:3])
        food = three_lowest if self.max_food_level is None else max(self.max_food_level)
        high = np.empty((3, width, width), np.float32)
        high[:] = np.array([agent, food, 1]).reshape(3, 1, 1)
        return spaces.Box(np.zeros_like(high), high, dtype=np.float32)

    def _make_gym_obs(self) -> np.ndarray:
        """All players' observations, (N, D) float32."""
        if self._grid_observation:
            return np.stack(super()._make_gym_obs()).reshape(len(self.players), -1)
        rows, cols = self.field.nonzero()
        levels = self.field[rows, cols]
        foods = list(zip(rows.tolist(), cols.tolist(), levels.tolist(), strict=True))
        return np.array([self._observe(player, foods) for player in self.players], np.float32)

    def _observe(self, me: Player, foods: Foods) -> list[int]:
        """What one player sees: foods in reading order, itself, the others; D numbers.

        Coordinates count from the corner of what it sees. Players are seen up to 2 * sight from
        that corner, so near the top and left edges farther than foods are: the package's rule.
        """
        sight = self.sight
        row, col = me.position
        top, left = max(row - sight, 0), max(col - sight, 0)
        seen: list[int] = []
        for food_row, food_col, level in foods:
            if top <= food_row <= row + sight and left <= food_col <= col + sight:
                seen += (food_row - top, food_col - left, level)
        seen += HIDDEN * (self.max_num_food - len(seen) // 3)
        size = 3 if self._observe_agent_levels else 2
        seen += (row - top, col - left, me.level)[:size]
        hidden = 0
        for other in self.players:
            if other is me:
                continue
            y, x = other.position[0] - top, other.position[1] - left
            if 0 <= y <= 2 * sight and 0 <= x <= 2 * sight:
                seen += (y, x, other.level)[:size]
            else:
                hidden += 1
        return seen + list(HIDDEN[:size]) * hidden

    def _gen_valid_moves(self) -> None:
        """Notes each player's possible actions: a free cell to go to, a food beside it to load."""
        none, north, south, west, east, load = ACTIONS
        field = self.field.tolist()
        last_row, last_col = self.rows - 1, self.cols - 1
        self._valid_actions = {}
        for player in self.players:
            row, col = player.position
            around = (
                (north, row > 0 and field[row - 1][col]),
                (south, row < last_row and field[row + 1][col]),
                (west, col > 0 and field[row][col - 1]),
                (east, col < last_col and field[row][col + 1]),
            )  # False: outside the field; 0: free; above 0: food
            valid = [none, *(move for move, cell in around if cell is not False and cell == 0)]
            if any(cell for _, cell in around):
                valid.append(load)
            self._valid_actions[player] = valid


class LBFEnv(GroupedEnv):
    """Level-Based Foraging under the contract; options as in `env_registry.rows`."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}
    render_mode = "rgb_array"
    picture_legend = FORAGING  # of `draw_observations`

    def __init__(
        self,
        task: str = "8x8-2p-2f-v2",
        *,
        scale_observations: bool = True,
        mask_invalid_actions: bool = False,
        max_episode_steps: int = 50,
        state: str = "observations",
        exclusive_levels: bool = False,
        normalize_reward: bool = True,
        observe_agent_levels: bool = True,
        min_player_level: int | None = None,
        max_player_level: int | None = None,
        min_food_level: int | None = None,
        max_food_level: int | None = None,
        penalty: float | None = None,
    ):
        """Makes the environment; None = as the task id says.

        Args:
            task: A v2 or v3 id (`env_registry.tasks.lbf`).
            scale_observations: Bring every number to [0, 1] by the bounds of the game's space.
            mask_invalid_actions: Mask what the game would turn into "none": walking into a food or
                out of the field, loading where there is nothing. Off: all six are always legal.
            max_episode_steps: Time limit, env steps; reported as truncation.
            state: "observations", the only one: lbforaging has no global state.
            exclusive_levels: Whether drawn levels stay below their maximum, as lbforaging 1.x
                drew them, or reach it, as 2.x does.
            normalize_reward: Divide rewards so that a team that collects all food earns 1.
            observe_agent_levels: Show the players' levels.
            min_player_level: Lowest level of a player.
            max_player_level: Highest level of a player (never reached if `exclusive_levels`).
            min_food_level: Lowest level of a food.
            max_food_level: Highest level of a food.
            penalty: What a player loses by a failed attempt to load.

        Raises:
            TaskError: If `task` names no game.
        """
        given = {
            "min_player_level": min_player_level,
            "max_player_level": max_player_level,
            "min_food_level": min_food_level,
            "max_food_level": max_food_level,
            "penalty": penalty,
        }
        arguments = parse_task(task) | {k: v for k, v in given.items() if v is not None}
        self._game = ForagingGame(
            exclusive_levels=exclusive_levels,
            max_episode_steps=max_episode_steps,
            normalize_reward=normalize_reward,
            observe_agent_levels=observe_agent_levels,
            **arguments,
        )
        self._mask_invalid = mask_invalid_actions
        self._set_scale(scale_observations)

    def _set_scale(self, scale_observations: bool) -> None:
        """Builds the spaces, scaled or as they are."""
        space = self._game.observation_space[0]
        low, high = space.low.reshape(-1), space.high.reshape(-1)  # (D,)
        self._low, self._inverse_range = None, None
        if scale_observations:
            self._low, self._inverse_range = low, 1 / (high - low)
            low, high = np.zeros_like(low), np.ones_like(high)
        n_agents = self._game.n_agents
        super().__init__(
            n_agents=n_agents,
            n_actions=len(ACTIONS),
            action_names=[action.name.lower() for action in ACTIONS],
            obs_size=low.size,
            state_size=n_agents * low.size,
            obs_bounds=(low, high),
            state_bounds=(np.tile(low, n_agents), np.tile(high, n_agents)),
        )
        self.observation_layout = self._layout()

    def _layout(self) -> Layout | None:
        """Foods, the player itself, and the others; a grid's cells are of no thing for long."""
        game = self._game
        if game._grid_observation:
            return None
        n_foods, size = game.max_num_food, 3 if game._observe_agent_levels else 2
        hidden = np.array(HIDDEN * n_foods + HIDDEN[:size] * game.n_agents, np.float32)
        absent, own = self._scaled(hidden).tolist(), 3 * n_foods
        return (
            *in_a_row("food", n_foods, 0, absent[:3]),
            Entity("self", own, size),
            *in_a_row("player", game.n_agents - 1, own + size, absent[own : own + size]),
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Observation], dict[str, dict[str, Any]]]:
        """Starts an episode; the same seed gives the same episode, whatever was played before."""
        obs, _ = self._game.reset(seed=seed)
        return self._grouped(obs), {TEAM: {}}

    def step(self, action_dict: dict[str, np.ndarray]) -> StepResult:
        """Plays one step: {"team": (N,) int} in, the contract's five dictionaries out."""
        game = self._game
        obs, agent_rewards, over, _, _ = game.step(np.asarray(action_dict[TEAM]).tolist())
        # The package calls a time limit an end; only an empty field is one.
        terminated = not game.field.any()
        return self._transition(
            self._grouped(obs), agent_rewards, terminated=terminated, truncated=over
        )

    def render(self) -> np.ndarray:
        """Draws the field and its legend: (height, width, 3) uint8. Needs no display."""
        players = [(*player.position, player.level) for player in self._game.players]
        return with_legend(draw_grid(self._game.field, players), FORAGING)

    def draw_observations(self, obs: np.ndarray) -> np.ndarray:
        """Draws the field as observations (N, D) tell it: (height, width, 3) uint8."""
        if self._low is not None:
            obs = obs / self._inverse_range + self._low
        return draw_observations(self._game, obs)

    def _scaled(self, obs: np.ndarray) -> np.ndarray:
        """Observations (..., D) as they are shown; changed in place."""
        if self._low is not None:
            obs -= self._low
            obs *= self._inverse_range
            # 1 / range is rounded: an observation at its bound may come out as 1.0000001.
            np.minimum(obs, 1.0, out=obs)
        return obs

    def _grouped(self, obs: np.ndarray) -> dict[str, Observation]:
        obs = self._scaled(obs)
        mask = self._valid_mask() if self._mask_invalid else None
        return self._observation(obs, mask, concat_state(obs))

    def _valid_mask(self) -> np.ndarray:
        mask = np.zeros((self.n_agents, len(ACTIONS)), np.int8)
        for i, player in enumerate(self._game.players):
            mask[i, [action.value for action in self._game._valid_actions[player]]] = 1
        return mask
