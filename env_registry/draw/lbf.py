"""Level-Based Foraging drawn from what its players observe, seen or foreseen.

Shape legend: N players, F foods, D numbers that a player observes, in the game's units.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from env_registry.draw.canvas import BACKGROUND
from env_registry.draw.shapes import CELL, draw_things

THERE = 0.5  # a level from which on something is drawn; what is not there shows level 0
Things = list[tuple[float, float, float]]  # row, column, level


def draw_observations(game: Any, obs: np.ndarray) -> np.ndarray:
    """Draws the field where all of it is seen, and otherwise what each player sees, side by side.

    Args:
        game: The package's environment; its sizes and options are read.
        obs: (N, D), unscaled; any numbers, such as a model's.

    Returns:
        (height, width, 3) uint8, RGB.
    """
    if game._grid_observation:
        return _side_by_side([_draw_layers(one, game.sight) for one in obs])
    foods, own, others = _split(game, obs)
    rows, cols = game.field.shape
    if game.sight >= max(rows, cols) - 1:  # coordinates are the field's, and all see the same
        return draw_things((rows, cols), _there(foods.mean(0)), _levelled(own))
    width = 2 * game.sight + 1
    views = (
        draw_things((width, width), _there(food), _levelled([me, *_there(seen)]))
        for food, me, seen in zip(foods, own, others, strict=True)
    )
    return _side_by_side(list(views))


def _split(game: Any, obs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Foods (N, F, 3), oneself (N, 3) and the others (N, N - 1, 3); level 1 where none is shown."""
    n_players, n_foods = len(obs), game.max_num_food
    foods = obs[:, : 3 * n_foods].reshape(n_players, n_foods, 3)
    players = obs[:, 3 * n_foods :].reshape(n_players, n_players, -1)
    if players.shape[-1] == 2:  # a player that is out of sight is shown at (-1, -1)
        level = (players.min(-1, keepdims=True) > -THERE).astype(obs.dtype)
        players = np.concatenate([players, level], -1)
    return foods, players[:, 0], players[:, 1:]


def _there(things: np.ndarray) -> Things:
    """Those of (X, 3) that have a level."""
    return [tuple(thing) for thing in things if thing[2] >= THERE]


def _levelled(players: Any) -> Things:
    """Players as they are: each is there, whatever its level seems to be."""
    return [(row, col, max(level, 0)) for row, col, level in players]


def _draw_layers(obs: np.ndarray, sight: int) -> np.ndarray:
    """A player's three layers (players, foods, free cells) as a picture."""
    width = 2 * sight + 1
    players, foods, _ = obs.reshape(3, width, width)

    def levels(layer: np.ndarray) -> Things:
        return [(row, col, layer[row, col]) for row, col in np.argwhere(layer >= THERE)]

    return draw_things((width, width), levels(foods), levels(players))


def _side_by_side(pictures: list[np.ndarray]) -> np.ndarray:
    """Pictures of one height in a row, with a gap."""
    gap = np.empty((pictures[0].shape[0], CELL // 2, 3), np.uint8)
    gap[:] = BACKGROUND
    return np.hstack([part for picture in pictures for part in (picture, gap)][:-1])
