"""Pictures of observations, and of what was foreseen under what happened: arrays, no display.

Shapes: L steps of an episode, N agents, D observation numbers, K horizon.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rllib_mmsa.method.foresight import Foresight

#: Observations (N, D) to a picture (height, width, 3) uint8.
Painter = Callable[[np.ndarray], np.ndarray]

GAP = 6  # pixels between pictures
LABEL_WIDTH, LABEL_HEIGHT = 56, 14  # pixels; PIL's own font is 11 high
PAPER, INK = np.array([250, 248, 240]), np.array([24, 58, 120])


def painter(env: Any, seen: np.ndarray) -> tuple[Painter, bool]:
    """How an environment's observations are drawn.

    Args:
        env: an environment; one with a method ``draw_observations`` draws them itself.
        seen: (L+1, N, D), an episode, which tells the range of each number.

    Returns:
        The painter; and whether it draws the field, as opposed to a table of numbers as shades.
    """
    draw = getattr(env, "draw_observations", None)
    if draw is not None and draw(seen[0]) is not None:
        return draw, True
    low, high = seen.min((0, 1)), seen.max((0, 1))
    return lambda obs: heatmap(obs, low, high), False


def heatmap(obs: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """A table of agents (rows) by numbers (columns): dark is high.

    Args:
        obs: (N, D).
        low: (D,), what is drawn palest.
        high: (D,), what is drawn darkest.

    Returns:
        (height, width, 3) uint8, 8 pixels per number and more for short tables.
    """
    cell = max(8, 256 // obs.shape[1])
    shade = np.clip((obs - low) / np.where(high > low, high - low, 1), 0, 1)[..., None]
    colours = ((1 - shade) * PAPER + shade * INK).astype(np.uint8)
    return np.kron(colours, np.ones((cell, cell, 1), np.uint8))


def pairs(
    foresight: Foresight, step: int, paint: Painter
) -> list[tuple[np.ndarray | None, np.ndarray]]:
    """What happened and what was foreseen, for every depth.

    Args:
        foresight: of an episode.
        step: the step t that foresees.
        paint: see ``painter``.

    Returns:
        For depth 0..K the picture of step t + k, None past the end of the episode, and the
        picture of what step t foresaw for it.
    """
    seen = foresight.seen
    return [
        (paint(seen[step + k]) if step + k < len(seen) else None, paint(imagined))
        for k, imagined in enumerate(foresight.imagined[step])
    ]


def sheet(foresight: Foresight, steps: Sequence[int], paint: Painter) -> np.ndarray:
    """For each step a row of what happened and under it one of what was foreseen.

    Args:
        foresight: of an episode.
        steps: the steps that foresee.
        paint: see ``painter``.

    Returns:
        (height, width, 3) uint8; depth grows to the right, and a blank is past the end. Rows and
        columns are named.
    """
    rows = []
    for step in steps:
        happened, foreseen = zip(*pairs(foresight, step, paint), strict=True)
        blank = np.full_like(foreseen[0], 255)
        for name, row in (("seen", happened), ("foreseen", foreseen)):
            cells = [_label(f"step {step}\n{name}", blank.shape[0], LABEL_WIDTH)]
            cells += [blank if picture is None else picture for picture in row]
            rows.append(cells)
    names = [f"t + {depth}" if depth else "t" for depth in range(len(rows[0]) - 1)]
    width = rows[0][1].shape[1]
    above = [_label(name, LABEL_HEIGHT, width) for name in names]
    rows.insert(0, [_label("", LABEL_HEIGHT, LABEL_WIDTH), *above])
    framed = [np.hstack([np.pad(p, _FRAME, constant_values=255) for p in row]) for row in rows]
    return np.vstack(framed)


_FRAME = ((0, GAP), (0, GAP), (0, 0))


def _label(text: str, height: int, width: int) -> np.ndarray:
    """Words on white, (height, width, 3) uint8."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(picture).multiline_text((2, 1), text, fill="black")
    return np.asarray(picture)


def to_png(picture: np.ndarray) -> bytes:
    """(height, width, 3) uint8 as a PNG file's content."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG")
    return content.getvalue()


def spread_steps(length: int, count: int = 3) -> list[int]:
    """``count`` different steps spread over an episode of ``length`` steps, from the first on."""
    return sorted({round(i * (length - 1) / count) for i in range(count)})
