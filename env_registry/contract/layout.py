"""How an observation is laid out: which numbers are of one thing, and how its absence looks.

Optional. Whoever judges a forecast of observations can then tell what moved, vanished, appeared and
stayed as it was (rllib_mmsa/method/kinds.py).

Shape legend: N agents, D numbers of an observation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from env_registry.contract.base import OBS, TEAM
from env_registry.errors import broken


class Entity(NamedTuple):
    """One place for a thing in every agent's observation, (D,).

    What stands there may change: a game that fills gaps moves a later thing up.

    Attributes:
        kind: What stands there, such as "food", "player", "ally", "enemy", "self".
        start: Index of its first number.
        size: How many numbers it has, 1 or more.
        absent: The numbers, `size` of them, of a place where nothing is, as they are observed;
            None: something is always there.
    """

    kind: str
    start: int
    size: int
    absent: tuple[float, ...] | None = None


Layout = tuple[Entity, ...]


def in_a_row(kind: str, count: int, start: int, absent: Sequence[float]) -> list[Entity]:
    """Places of one kind, one behind the other.

    Args:
        kind: See `Entity`.
        count: How many.
        start: Index of the first one's first number.
        absent: See `Entity`; its length is each one's size.

    Returns:
        `count` of them.
    """
    size, numbers = len(absent), tuple(map(float, absent))
    return [Entity(kind, start + i * size, size, numbers) for i in range(count)]


def find_layout(env: Any) -> Layout | None:
    """The `observation_layout` of an environment, or of what it wraps (`env`).

    Args:
        env: Any environment.

    Returns:
        The outermost that says one; None where none does.
    """
    while env is not None:
        if hasattr(env, "observation_layout"):
            layout = env.observation_layout
            return None if layout is None else tuple(Entity(*entity) for entity in layout)
        env = getattr(env, "env", None)
    return None


def checked_layout(env: Any) -> Layout | None:
    """The layout of an environment that follows the contract.

    Args:
        env: One with the team's spaces.

    Returns:
        See `find_layout`.

    Raises:
        ContractError: If a place is outside the observation, or absent in another number of numbers
            than it has.
    """
    layout = find_layout(env)
    obs_size = env.observation_spaces[TEAM][OBS].shape[1]
    for entity in layout or ():
        end = entity.start + entity.size
        if entity.size < 1 or entity.start < 0 or end > obs_size:
            raise broken(
                f"observation_layout: {entity} covers the numbers {entity.start} to {end - 1}",
                f"an entity covers some of the {obs_size} numbers of an observation",
                "correct its start and size; a wrapper that changes observations says its own "
                "observation_layout, or observation_layout = None",
            )
        if entity.absent is not None and len(entity.absent) != entity.size:
            raise broken(
                f"observation_layout: {entity} has {len(entity.absent)} numbers where it is absent",
                f"they are as many as it has, {entity.size}",
                "give one for each number, or None if it is always there",
            )
    return layout
