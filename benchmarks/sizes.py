"""Sizes of what is stored and of what grows; nothing heavy is imported here."""

from __future__ import annotations

from typing import NamedTuple

EPISODES_PER_UPDATE = 8  # so that 1000 steps fit in time and memory
BASE = {"agents": 3, "steps": 50, "horizon": 3, "latent": 16}


class Sizes(NamedTuple):
    """Sizes of a team's data.

    Attributes:
        agents: N.
        obs: D, numbers an agent observes.
        state: S, numbers in the global state.
        actions: A.
    """

    agents: int
    obs: int
    state: int
    actions: int

    def raw_bytes(self, steps: int) -> int:
        """The least an episode of ``steps`` takes, its last observation included.

        Observations, state and rewards as float32, a mask entry and an action as one byte.
        """
        per_observation = 4 * self.agents * self.obs + self.agents * self.actions + 4 * self.state
        return (steps + 1) * per_observation + steps * (self.agents + 4)


class Shape(NamedTuple):
    """Episodes to store: ``count`` of ``steps`` each."""

    title: str
    sizes: Sizes
    steps: int
    count: int


SHAPES = (
    Shape("SMACv2, 5 units", Sizes(5, 92, 120, 11), 60, 5000),
    Shape("LBF 10x10-3p-3f", Sizes(3, 18, 54, 6), 50, 5000),
    Shape("MAMuJoCo Hopper_3x1", Sizes(3, 6, 11, 5), 1000, 200),
)


class Axis(NamedTuple):
    """One thing that grows.

    Attributes:
        name: key of ``BASE``.
        title: for the tables.
        values: of it.
        time_order: least and greatest expected exponent of the time of an update.
        bytes_order: the same of the bytes of replay per episode.
        algorithms: that have such a thing.
    """

    name: str
    title: str
    values: tuple[int, ...]
    time_order: tuple[float, float]
    bytes_order: tuple[float, float]
    algorithms: tuple[str, ...]


AXES = (
    # Per agent one row of everything; the joint latent (N L numbers) meets itself in linear maps.
    Axis("agents", "agents", (3, 10, 27), (0, 2), (0, 1), ("QMIX", "MMSA")),
    Axis("steps", "episode length", (50, 200, 1000), (0, 1), (1, 1), ("QMIX", "MMSA")),
    Axis("horizon", "horizon", (1, 3, 10), (0, 1), (0, 0), ("MMSA",)),
    Axis("latent", "latent size", (8, 16, 32), (0, 2), (0, 0), ("MMSA",)),
)
