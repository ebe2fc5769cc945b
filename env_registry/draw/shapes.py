"""Shapes from which pictures of games are drawn: grids, discs, digits."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

CELL = 32  # pixels
BACKGROUND, LINE = (250, 248, 240), (205, 200, 190)
FOOD, PLAYER, INK = (214, 64, 58), (52, 101, 190), (255, 255, 255)
# Digits 0-9 in 3 x 5 pixels, one string of rows per digit.
_DIGITS = [
    "111101101101111",
    "010110010010111",
    "111001111100111",
    "111001111001111",
    "101101111001001",
    "111100111001111",
    "111100111101111",
    "111001001001001",
    "111101111101111",
    "111101111001111",
]


def draw_grid(
    field: np.ndarray, players: Iterable[tuple[int, int, int]], cell: int = CELL
) -> np.ndarray:
    """Draws foods (red squares) and players (blue discs), each with its level.

    Args:
        field: (rows, columns) integers, the level of the food in each cell, 0 = none.
        players: (row, column, level) of each player.
        cell: Pixels along the side of a cell, 16 at least.

    Returns:
        (rows * cell + 1, columns * cell + 1, 3) uint8, RGB.
    """
    foods = [(row, col, field[row, col]) for row, col in np.argwhere(field)]
    return draw_things(field.shape, foods, players, cell)


def draw_things(
    shape: tuple[int, ...],
    foods: Iterable[tuple[float, float, float]],
    players: Iterable[tuple[float, float, float]],
    cell: int = CELL,
) -> np.ndarray:
    """The same for things that may lie between the cells, as what is foreseen does.

    Args:
        shape: Rows and columns of the field.
        foods: (row, column, level) of each food; levels are rounded, places are not.
        players: The same of each player.
        cell: Pixels along the side of a cell, 16 at least.

    Returns:
        (rows * cell + 1, columns * cell + 1, 3) uint8, RGB. What would lie outside the field is
        drawn at its border.
    """
    rows, cols = shape
    picture = np.empty((rows * cell + 1, cols * cell + 1, 3), np.uint8)
    picture[:] = BACKGROUND
    picture[::cell] = LINE
    picture[:, ::cell] = LINE
    margin = cell // 8
    for row, col, level in foods:
        place = min(max(row, 0), rows - 1), min(max(col, 0), cols - 1)
        inner = _cell(picture, *place, cell)[margin:-margin, margin:-margin]
        inner[:] = FOOD
        _write(inner, round(level))
    axis = np.arange(cell - 1) - (cell - 2) / 2
    disc = axis[:, None] ** 2 + axis[None, :] ** 2 <= (cell / 2 - margin / 2) ** 2
    for row, col, level in players:
        place = min(max(row, 0), rows - 1), min(max(col, 0), cols - 1)
        inner = _cell(picture, *place, cell)
        inner[disc] = PLAYER
        _write(inner, round(level))
    return picture


def draw_units(
    size: tuple[float, float],
    positions: np.ndarray,
    radii: np.ndarray,
    health: np.ndarray,
    n_allies: int,
    scale: int = 10,
) -> np.ndarray:
    """Draws units on a map (discs, allies blue, enemies red): pale is hurt, not there is dead.

    Args:
        size: Width and height of the map.
        positions: (U, 2), x to the right, y upwards, allies first.
        radii: (U,) in the map's units.
        health: (U,) from 0, dead, to 1.
        n_allies: How many of the units are allies.
        scale: Pixels per unit of length.

    Returns:
        (height * scale, width * scale, 3) uint8, RGB.
    """
    width, height = (int(side * scale) for side in size)
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = BACKGROUND
    y, x = np.mgrid[height - 0.5 : 0 : -1, 0.5:width] / scale
    for i in np.flatnonzero(health > 0):
        disc = (x - positions[i, 0]) ** 2 + (y - positions[i, 1]) ** 2 <= radii[i] ** 2
        colour = np.array(PLAYER if i < n_allies else FOOD)
        strength = 0.25 + 0.75 * health[i]
        picture[disc] = strength * colour + (1 - strength) * np.array(BACKGROUND)
    return picture


def _cell(picture: np.ndarray, row: float, col: float, cell: int) -> np.ndarray:
    """The inside of a cell, as a view; of a place between cells, as much."""
    top, left = round(row * cell) + 1, round(col * cell) + 1
    return picture[top : top + cell - 1, left : left + cell - 1]


def _write(patch: np.ndarray, number: int) -> None:
    """Writes a number into the middle of a patch (height, width, 3), in place."""
    digits = str(max(number, 0))
    glyphs = [np.array(list(_DIGITS[int(digit)]), int).reshape(5, 3) for digit in digits]
    blank = np.zeros((5, 1), int)
    text = np.hstack([part for glyph in glyphs for part in (glyph, blank)][:-1])
    scale = max(1, min(patch.shape[0] // 8, patch.shape[1] // (text.shape[1] + 2)))
    text = np.kron(text, np.ones((scale, scale), int)).astype(bool)
    top, left = ((patch.shape[axis] - text.shape[axis]) // 2 for axis in (0, 1))
    patch[top : top + text.shape[0], left : left + text.shape[1]][text] = INK
