"""Pictures of environments as arrays: no display, no font file, no dependency besides Pillow."""

from env_registry.draw.legend import BATTLE, FORAGING, with_legend, with_words
from env_registry.draw.shapes import FOOD, PLAYER, draw_grid, draw_things, draw_units

__all__ = [
    "BATTLE",
    "FOOD",
    "FORAGING",
    "PLAYER",
    "draw_grid",
    "draw_things",
    "draw_units",
    "with_legend",
    "with_words",
]
