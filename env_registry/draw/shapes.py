"""Shapes from which pictures of games are drawn: grids with things on them, maps with units."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from env_registry.draw.canvas import BACKGROUND, Canvas

CELL = 32  # pixels
LINE = (205, 200, 190)
FOOD, PLAYER, INK = (214, 64, 58), (52, 101, 190), (255, 255, 255)
BAR, BAR_GROUND = (46, 140, 70), (214, 208, 196)  # of health
Attack = tuple[int, int]  # who, whom


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
    width, height = cols * cell + 1, rows * cell + 1
    canvas = Canvas(width, height)
    for k in range(rows + 1):
        canvas.rectangle(0, k * cell, width, k * cell + 1, LINE)
    for k in range(cols + 1):
        canvas.rectangle(k * cell, 0, k * cell + 1, height, LINE)
    half = (cell - 1) / 2
    for things, colour in ((foods, FOOD), (players, PLAYER)):
        for row, col, level in things:
            x = min(max(float(col), 0), cols - 1) * cell + 1 + half
            y = min(max(float(row), 0), rows - 1) * cell + 1 + half
            if colour is FOOD:
                side = half - cell / 8
                canvas.rectangle(x - side, y - side, x + side, y + side, FOOD)
            else:
                canvas.disc(x, y, half - cell / 16, PLAYER)
            canvas.text(x, y, str(max(round(float(level)), 0)), cell / 2, INK)
    return canvas.array()


def draw_units(
    size: tuple[float, float],
    positions: np.ndarray,
    radii: np.ndarray,
    health: np.ndarray,
    n_allies: int,
    scale: int = 10,
    attacks: Sequence[Attack] = (),
) -> np.ndarray:
    """Draws units on a map, allies blue and enemies red, their health as bars, who attacks whom.

    Args:
        size: Width and height of the map.
        positions: (U, 2), x to the right, y upwards, allies first.
        radii: (U,) in the map's units.
        health: (U,) from 0, dead and not drawn, to 1; the hurt are paler, too.
        n_allies: How many of the units are allies.
        scale: Pixels per unit of length.
        attacks: Who attacks whom, as indices of units; drawn as lines, over a target that died too.

    Returns:
        (height * scale, width * scale, 3) uint8, RGB.
    """
    width, height = (int(side * scale) for side in size)
    canvas = Canvas(width, height)
    for left, top, right, bottom in (  # the border
        (0, 0, width, 1), (0, height - 1, width, height),
        (0, 0, 1, height), (width - 1, 0, width, height),
    ):  # fmt: skip
        canvas.rectangle(left, top, right, bottom, LINE)
    points = [(float(x) * scale, height - float(y) * scale) for x, y in positions]
    for who, whom in attacks:
        colour = PLAYER if who < n_allies else FOOD
        aside = _aside(points[who], points[whom], 0.15 * scale)
        ends = ((x + aside[0], y + aside[1]) for x, y in (points[who], points[whom]))
        canvas.line(next(ends), next(ends), colour, max(1.0, scale / 10))
    there = np.flatnonzero(health > 0)
    for i in there:
        strength = 0.25 + 0.75 * float(health[i])
        full = np.array(PLAYER if i < n_allies else FOOD)
        shade = strength * full + (1 - strength) * np.array(BACKGROUND)
        canvas.disc(*points[i], float(radii[i]) * scale, tuple(int(part) for part in shade))
    for i in there:
        _health_bar(canvas, points[i], float(radii[i]) * scale, float(health[i]), scale)
    return canvas.array()


def _aside(start: tuple[float, float], end: tuple[float, float], by: float) -> tuple[float, float]:
    """A step to the left of a line, so that two units that attack each other make two lines."""
    along = np.subtract(end, start)
    length = max(float(np.hypot(*along)), 1e-9)
    return float(along[1]) / length * by, -float(along[0]) / length * by


def _health_bar(
    canvas: Canvas, point: tuple[float, float], radius: float, health: float, scale: int
) -> None:
    """A bar over a unit, as long as the unit is healthy."""
    x, y = point
    half, thick = max(radius, 0.5 * scale), 0.22 * scale
    bottom = y - radius - 0.15 * scale
    canvas.rectangle(x - half, bottom - thick, x + half, bottom, BAR_GROUND)
    full = x - half + 2 * half * min(health, 1.0)
    canvas.rectangle(x - half, bottom - thick, full, bottom, BAR)
