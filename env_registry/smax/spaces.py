"""Bounds of what SMAX shows: true where they are known, infinite where the game keeps none.

Shape legend: D numbers that a unit observes, S numbers of the world state, U units of both sides,
K types of units.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from env_registry.contract.layout import Layout, in_a_row

Bounds = tuple[np.ndarray, np.ndarray]
INFINITE = np.inf
# Units that overlap push each other apart, also over the border for the moment, and smacv2_*
# scenarios may place a unit beyond it: positions on the map have no bounds. Offsets do: what is
# farther than the sight is not shown.
_OTHER = [(0, 1), (-1, 1), (-1, 1), (-1, 1), (-1, 1), (0, 1), (0, 1)]
_SELF = [(0, 1), (-INFINITE, INFINITE), (-INFINITE, INFINITE), (0, 1)]
# In the world state the cooldown is in seconds, and falls on below 0 when the weapon is ready.
_UNIT = [(0, 1), (-INFINITE, INFINITE), (-INFINITE, INFINITE), (-INFINITE, INFINITE)]


def obs_bounds(env: Any) -> Bounds:
    """Bounds of one unit's observation.

    Args:
        env: The package's environment.

    Returns:
        Lowest and highest, (D,) float32 each: for every other unit its health, offset (2), last
        movement (2), last target, cooldown, type (K); then the unit's own health, position (2),
        cooldown, type (K).
    """
    bits = [(0, 1)] * env.unit_type_bits
    others = (env.obs_size - len(_SELF) - len(bits)) // (len(_OTHER) + len(bits))
    return _bounds((_OTHER + bits) * others + _SELF + bits)


def obs_layout(env: Any) -> Layout | None:
    """Which numbers of a unit's observation are of which unit.

    Args:
        env: The package's environment.

    Returns:
        The allies, the enemies and the unit itself; a unit that died or is out of sight shows
        zeros, and so does everything to a unit that died. The attack on an enemy is that enemy's
        action. None where observations are conic: those tell no unit from another.
    """
    if env.observation_type != "unit_list":
        return None
    nothing, allies = [0.0] * (len(_OTHER) + env.unit_type_bits), env.num_allies - 1
    # To the allied side, enemies are observed and attacked in the order of the units. (To the other
    # side both orders are turned around.)
    attack = env.num_movement_actions
    own = [0.0] * (len(_SELF) + env.unit_type_bits)
    return (
        *in_a_row("ally", allies, 0, nothing),
        *in_a_row("enemy", env.num_enemies, allies * len(nothing), nothing, attack),
        *in_a_row("self", 1, (allies + env.num_enemies) * len(nothing), own),
    )


def state_bounds(env: Any, scaled: bool) -> Bounds:
    """Bounds of the world state.

    Args:
        env: The package's environment.
        scaled: Whether `SmaxGame` brings it to [0, 1].

    Returns:
        Lowest and highest, (S,) float32 each: for every unit its health, position (2), cooldown,
        type (K); then the teams (U), then the types' numbers (U).
    """
    units = env.num_allies + env.num_enemies
    bits = [(0, 1)] * env.unit_type_bits
    if scaled:
        return _bounds([(0, 1)] * ((len(_UNIT) + len(bits) + 2) * units))
    types = [(0, env.unit_type_bits - 1)] * units
    return _bounds((_UNIT + bits) * units + [(0, 1)] * units + types)


def _bounds(pairs: list[Any]) -> Bounds:
    low, high = np.array(pairs, np.float32).T
    return low, high
