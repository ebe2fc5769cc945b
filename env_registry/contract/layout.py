"""How an observation is laid out: which numbers are of one thing, and how its absence looks.

Optional. Whoever judges a forecast of observations can then tell what moved, vanished, appeared and
stayed as it was (rllib_mmsa/method/kinds.py), and agents can read things as a set
(rllib_mmsa/method/entities.py).

Shape legend: N agents, A actions, D numbers of an observation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from env_registry.contract.base import ACTION_MASK, OBS, TEAM
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
        action: The action that is done to what stands there, such as the attack on this enemy;
            None: there is none.
    """

    kind: str
    start: int
    size: int
    absent: tuple[float, ...] | None = None
    action: int | None = None


Layout = tuple[Entity, ...]


class LaidOut(spaces.Box):
    """The space of the agents' observations, (N, D), with their layout.

    A space is what RLlib hands to every module and saves with it. Equal to any other `Box` of the
    same bounds.

    Attributes:
        layout: See `checked_layout`.
    """

    def __init__(self, box: spaces.Box, layout: Layout | None):
        """Adds a layout to a space.

        Args:
            box: The space.
            layout: What its numbers are of; None: it is not said.
        """
        super().__init__(box.low, box.high, box.shape, np.float32)
        self.layout = layout


def in_a_row(
    kind: str,
    count: int,
    start: int,
    absent: Sequence[float],
    first_action: int | None = None,
) -> list[Entity]:
    """Places of one kind, one behind the other.

    Args:
        kind: See `Entity`.
        count: How many.
        start: Index of the first one's first number.
        absent: See `Entity`; its length is each one's size.
        first_action: The first one's action; the others' follow it. None: they have none.

    Returns:
        `count` of them.
    """
    size, numbers = len(absent), tuple(map(float, absent))
    actions = [None if first_action is None else first_action + i for i in range(count)]
    return [
        Entity(kind, start + i * size, size, numbers, action) for i, action in enumerate(actions)
    ]


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
            return None if layout is None else tuple(_plain(*entity) for entity in layout)
        env = getattr(env, "env", None)
    return None


def _plain(
    kind: str,
    start: int,
    size: int,
    absent: Sequence[float] | None = None,
    action: int | None = None,
) -> Entity:
    """An entity of Python's own numbers, which JSON holds."""
    numbers = None if absent is None else tuple(map(float, absent))
    return Entity(kind, int(start), int(size), numbers, None if action is None else int(action))


def checked_layout(env: Any) -> Layout | None:
    """The layout of an environment that follows the contract.

    Args:
        env: One with the team's spaces.

    Returns:
        See `find_layout`.

    Raises:
        ContractError: If a place is outside the observation, or absent in another number of numbers
            than it has; if an action does not exist, or belongs to two places.
    """
    layout = find_layout(env)
    observed = env.observation_spaces[TEAM]
    for entity in layout or ():
        _check_numbers(entity, observed[OBS].shape[1])
    actions = [entity.action for entity in layout or () if entity.action is not None]
    if actions:
        _check_actions(actions, observed[ACTION_MASK].shape[1])
    return layout


def _check_numbers(entity: Entity, obs_size: int) -> None:
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


def _check_actions(actions: list[int], num_actions: int) -> None:
    for place, action in enumerate(actions):
        if not 0 <= action < num_actions:
            raise broken(
                f"observation_layout: an entity has the action {action}",
                f"actions are 0 to {num_actions - 1}",
                "correct its action, or leave it out where nothing is done to the thing",
            )
        if action in actions[:place]:
            raise broken(
                f"observation_layout: two entities have the action {action}",
                "an action is done to one thing at most",
                "leave it out where it depends on the agent which thing it is done to",
            )
