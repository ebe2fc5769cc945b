"""What stands below a picture: what its shapes mean, and a line of words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from env_registry.draw.canvas import BACKGROUND, DARK, Canvas, Colour, text_width
from env_registry.draw.shapes import BAR, FOOD, PLAYER

SIZE, LINE_HEIGHT, MARK, GAP = 11, 16, 9, 12  # pixels
Entry = tuple[str, Colour, str]  # what it means, its colour, its shape

FORAGING: tuple[Entry, ...] = (
    ("player and its level", PLAYER, "disc"),
    ("food and its level", FOOD, "square"),
)
BATTLE: tuple[Entry, ...] = (
    ("ally", PLAYER, "disc"),
    ("enemy", FOOD, "disc"),
    ("health", BAR, "bar"),
    ("attacks", DARK, "line"),
)


def with_legend(picture: np.ndarray, entries: Sequence[Entry]) -> np.ndarray:
    """A picture with the meaning of its shapes below it, on as many lines as that takes.

    Args:
        picture: (height, width, 3) uint8.
        entries: What it means, colour, and "disc", "square", "bar" or "line".

    Returns:
        (more height, width, 3) uint8.
    """
    width = picture.shape[1]
    lines: list[list[tuple[float, Entry]]] = []
    x = float(width)
    for entry in entries:
        takes = MARK + 4 + text_width(entry[0], SIZE)
        if x + takes > width - 2 or not lines:
            lines.append([])
            x = 4.0
        lines[-1].append((x, entry))
        x += takes + GAP
    canvas = Canvas(width, LINE_HEIGHT * len(lines) + 4)
    for n, line in enumerate(lines):
        middle = 2 + LINE_HEIGHT * (n + 0.5)
        for left, (words, colour, shape) in line:
            _mark(canvas, left, middle, colour, shape)
            canvas.text(left + MARK + 4, middle, words, SIZE, DARK, "lm")
    return np.vstack([picture, canvas.array()])


def _mark(canvas: Canvas, left: float, middle: float, colour: Colour, shape: str) -> None:
    """A small picture of a shape."""
    if shape == "disc":
        canvas.disc(left + MARK / 2, middle, MARK / 2, colour)
    else:
        half = {"square": MARK / 2, "bar": MARK / 4, "line": 0.75}[shape]
        canvas.rectangle(left, middle - half, left + MARK, middle + half, colour)


def with_words(picture: np.ndarray, words: str) -> np.ndarray:
    """A picture with a line of words above it; cut where the picture is too narrow for them.

    Args:
        picture: (height, width, 3) uint8.
        words: One line.

    Returns:
        (more height, width, 3) uint8.
    """
    canvas = Canvas(picture.shape[1], LINE_HEIGHT + 4, BACKGROUND)
    size = float(SIZE)
    while size > 7 and text_width(words, size) > picture.shape[1] - 8:
        size -= 1
    canvas.text(4, LINE_HEIGHT / 2 + 2, words, size, DARK, "lm")
    return np.vstack([canvas.array(), picture])
