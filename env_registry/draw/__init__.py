"""Pictures of environments as arrays: no display, no font file, no dependency besides numpy."""

from env_registry.draw.shapes import FOOD, PLAYER, draw_grid, draw_things, draw_units

__all__ = ["FOOD", "PLAYER", "draw_grid", "draw_things", "draw_units"]
