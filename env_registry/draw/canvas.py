"""A picture that is drawn four times as large and then reduced, so that its edges are smooth."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FINE = 4  # times as large
BACKGROUND = (250, 248, 240)
DARK = (60, 60, 60)
Colour = tuple[int, ...]


class Canvas:
    """Shapes in pixels of the finished picture, as fractions where they must lie between two.

    Args:
        width: Pixels.
        height: Pixels.
        ground: What is drawn on.
    """

    def __init__(self, width: int, height: int, ground: Colour = BACKGROUND):
        self._image = Image.new("RGB", (width * FINE, height * FINE), ground)
        self._draw = ImageDraw.Draw(self._image)

    def rectangle(
        self, left: float, top: float, right: float, bottom: float, colour: Colour
    ) -> None:
        """A filled rectangle; one without a width or a height is not drawn."""
        box = [round(side * FINE) for side in (left, top, right, bottom)]
        if box[2] > box[0] and box[3] > box[1]:
            self._draw.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=colour)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """A filled disc around a point."""
        sides = (x - radius, y - radius, x + radius, y + radius)
        self._draw.ellipse([side * FINE for side in sides], fill=colour)

    def line(
        self, start: tuple[float, float], end: tuple[float, float], colour: Colour, width: float
    ) -> None:
        """A straight line between two points (x, y)."""
        ends = [value * FINE for value in (*start, *end)]
        self._draw.line(ends, fill=colour, width=round(width * FINE))

    def text(
        self, x: float, y: float, words: str, size: float, colour: Colour, anchor: str = "mm"
    ) -> None:
        """Words at a point, which Pillow's anchor says how: "mm" is their middle."""
        font = ImageFont.load_default(size=size * FINE)
        self._draw.text((x * FINE, y * FINE), words, fill=colour, font=font, anchor=anchor)

    def array(self) -> np.ndarray:
        """The picture: (height, width, 3) uint8, RGB."""
        return np.array(self._image.reduce(FINE))


def text_width(words: str, size: float) -> float:
    """How many pixels words take."""
    return float(ImageFont.load_default(size=size * FINE).getlength(words)) / FINE
