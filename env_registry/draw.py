"""Pictures of small grid games as arrays: no display, no font file, no dependency besides numpy."""

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
    rows, cols = field.shape
    picture = np.empty((rows * cell + 1, cols * cell + 1, 3), np.uint8)
    picture[:] = BACKGROUND
    picture[::cell] = LINE
    picture[:, ::cell] = LINE
    margin = cell // 8
    for row, col in np.argwhere(field):
        inner = _cell(picture, row, col, cell)[margin:-margin, margin:-margin]
        inner[:] = FOOD
        _write(inner, int(field[row, col]))
    axis = np.arange(cell - 1) - (cell - 2) / 2
    disc = axis[:, None] ** 2 + axis[None, :] ** 2 <= (cell / 2 - margin / 2) ** 2
    for row, col, level in players:
        inner = _cell(picture, row, col, cell)
        inner[disc] = PLAYER
        _write(inner, int(level))
    return picture


def _cell(picture: np.ndarray, row: int, col: int, cell: int) -> np.ndarray:
    """The inside of a cell, as a view."""
    return picture[row * cell + 1 : (row + 1) * cell, col * cell + 1 : (col + 1) * cell]


def _write(patch: np.ndarray, number: int) -> None:
    """Writes a number into the middle of a patch (height, width, 3), in place."""
    glyphs = [np.array(list(_DIGITS[int(digit)]), int).reshape(5, 3) for digit in str(number)]
    blank = np.zeros((5, 1), int)
    text = np.hstack([part for glyph in glyphs for part in (glyph, blank)][:-1])
    scale = max(1, min(patch.shape[0] // 8, patch.shape[1] // (text.shape[1] + 2)))
    text = np.kron(text, np.ones((scale, scale), int)).astype(bool)
    top, left = ((patch.shape[axis] - text.shape[axis]) // 2 for axis in (0, 1))
    patch[top : top + text.shape[0], left : left + text.shape[1]][text] = INK
