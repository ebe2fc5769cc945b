"""All agents' observations of a MuJoCo robot in one gather.

The package builds each agent's observation number by number, in Python, every step. Which number
of the simulation stands where is always the same: it is found once, by letting the package observe
numbers that say where they come from.

Shape legend: N agents, D length of the longest observation, Z numbers of the simulation that any
agent can see.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from gymnasium_robotics.envs.multiagent_mujoco.mujoco_multi import MultiAgentMujocoEnv
from gymnasium_robotics.envs.multiagent_mujoco.obsk import build_obs

from env_registry.contract import pad_rows

_FAR = 1e9  # beyond every bound to which the package clips


class ObservationGather:
    """Reads the observations of all agents from the simulation.

    Holds for robots whose observations are numbers of the simulation, clipped at most. The result
    equals the package's `_get_obs`, rounded to float32; tests/unit/test_env_mamujoco.py compares
    them step by step.
    """

    def __init__(self, game: MultiAgentMujocoEnv):
        """Finds out what each agent sees, and where the simulation clips it.

        Args:
            game: The package's environment. Its simulation's arrays are kept and read each call.
        """
        data = game.single_agent_env.unwrapped.data
        seen = [name for categories in game.local_categories for name in categories]
        names = list(dict.fromkeys([*game.global_categories, *seen]))
        self._parts = [getattr(data, name).reshape(-1) for name in names]  # views
        shapes = {name: getattr(data, name).shape for name in names}
        size = sum(part.size for part in self._parts)
        # Numbers in (0, 1), which nothing clips, that say their place.
        rows = _observe(game, shapes, (np.arange(size) + 1) / (size + 1))
        longest = max(len(row) for row in rows)
        places = [np.rint(row * (size + 1)).astype(np.int64) - 1 for row in rows]
        self._index = np.full((len(rows), longest), size)  # (N, D); place Z holds the padding, 0
        for i, place in enumerate(places):
            self._index[i, : len(place)] = place
        lows, highs = (_observe(game, shapes, np.full(size, bound)) for bound in (-_FAR, _FAR))
        self._clips = any((row > -_FAR).any() for row in lows)
        self._low, self._high = pad_rows(lows, longest), pad_rows(highs, longest)  # padding: 0 to 0
        self._source = np.zeros(size + 1, np.float32)  # (Z + 1,)

    def __call__(self) -> np.ndarray:
        """What the agents see now: (N, D) float32, a new array."""
        np.concatenate(self._parts, out=self._source[:-1], casting="same_kind")
        obs = self._source[self._index]
        if self._clips:
            np.clip(obs, self._low, self._high, out=obs)
        return obs


def _observe(
    game: MultiAgentMujocoEnv, shapes: dict[str, tuple[int, ...]], numbers: np.ndarray
) -> list[np.ndarray]:
    """What the package shows each agent of a simulation that holds `numbers` (Z,)."""
    ends = np.cumsum([np.prod(shape, dtype=int) for shape in shapes.values()])
    parts = np.split(numbers, ends[:-1])
    data = SimpleNamespace(
        **{name: part.reshape(shapes[name]) for name, part in zip(shapes, parts, strict=True)}
    )
    return [
        build_obs(data, joints, game.local_categories, game.mujoco_globals, game.global_categories)
        for joints in game.k_dicts
    ]
