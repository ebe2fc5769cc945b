"""What one agent sees and does, in the contract's terms.

Shape legend: d numbers that the agent observes, g numbers that its action has, a actions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from env_registry.contract.base import ACTION_MASK
from env_registry.contract.old_gym import refuse_gym_space
from env_registry.discretise import Values, box_values
from env_registry.errors import broken

MAX_OBSERVATION = 10_000  # numbers: replay keeps whole episodes in memory


class Member:
    """One agent: its observation as one row, its discrete action as what its space takes.

    An observation is a Box of any shape, anything that gymnasium flattens (Discrete one-hot, Dict,
    Tuple ...), or a Dict that also has an "action_mask". An action is Discrete, MultiDiscrete,
    MultiBinary or a Box with finite bounds.
    """

    def __init__(self, agent: Any, observation: spaces.Space, action: spaces.Space, n_levels: int):
        """Reads the agent's spaces.

        Args:
            agent: Its id.
            observation: Its observation space.
            action: Its action space.
            n_levels: Values for each number of a continuous action.

        Raises:
            ContractError: If a space cannot be used, and what could be.
        """
        refuse_gym_space(observation, f"the observation space of agent {agent!r}")
        refuse_gym_space(action, f"the action space of agent {agent!r}")
        self.agent = agent
        self._masked = isinstance(observation, spaces.Dict) and ACTION_MASK in observation.spaces
        self._keys: tuple[str, ...] = ()
        if isinstance(observation, spaces.Dict) and self._masked:
            rest = {k: v for k, v in observation.spaces.items() if k != ACTION_MASK}
            self._keys = tuple(rest)
            observation = next(iter(rest.values())) if len(rest) == 1 else spaces.Dict(rest)
        self._observation = observation
        self.obs_size = self._count(observation)
        self._action = action
        self.values = self._list_values(action, n_levels)

    def observe(self, value: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """Reads what the agent observes.

        Args:
            value: Of its observation space.

        Returns:
            (d,) float32, and the action mask (a,) if the observation has one.

        Raises:
            ContractError: If the value is not of the space's size.
        """
        mask = None
        if self._masked:
            mask, value = self._split(value)
        try:
            if not isinstance(self._observation, spaces.Box):
                value = spaces.flatten(self._observation, value)
            row = np.asarray(value, np.float32).reshape(-1)
        except (ValueError, IndexError, TypeError, KeyError, AttributeError) as error:
            raise self._misfit(value) from error
        if value is None:
            raise self._misfit(value)
        if row.size != self.obs_size:
            raise broken(
                f"agent {self.agent!r} observes {row.size} numbers",
                f"its space, {self._observation}, has {self.obs_size}",
                "correct the environment, or the space that it declares",
            )
        return row, mask

    def _split(self, value: Any) -> tuple[Any, Any]:
        """The mask, and what else there is."""
        missing = [key for key in (ACTION_MASK, *self._keys) if key not in (value or ())]
        if missing:
            raise broken(
                f"agent {self.agent!r} observes {value!r}",
                f"its space has {missing[0]!r}",
                "return what the space says, in reset and in every step",
            )
        rest = {key: value[key] for key in self._keys}
        return value[ACTION_MASK], rest[self._keys[0]] if len(rest) == 1 else rest

    def _misfit(self, value: Any) -> Exception:
        return broken(
            f"agent {self.agent!r} observes {value!r}",
            f"it must be in its space, {self._observation}",
            "correct the environment, or the space that it declares",
        )

    def act(self, numbers: np.ndarray) -> Any:
        """Turns the numbers of its action, (g,) float64, into what its space takes."""
        if isinstance(self._action, spaces.Discrete):
            return int(numbers[0])
        return numbers.astype(self._action.dtype).reshape(self._action.shape)

    def _count(self, space: spaces.Space) -> int:
        if not space.is_np_flattenable:
            raise broken(
                f"agent {self.agent!r} observes {space}",
                "an observation is a fixed number of numbers",
                "let the environment return a Box, or pad what varies in length",
            )
        size = spaces.flatdim(space)
        if size > MAX_OBSERVATION:
            raise broken(
                f"agent {self.agent!r} observes {size} numbers, {space}",
                f"an observation has at most {MAX_OBSERVATION}: replay keeps whole episodes, and "
                "the networks have no layers for images",
                "make it smaller in the environment; with env: pettingzoo, wrappers: "
                "[{color_reduction_v0: {mode: B}}, {resize_v1: {x_size: 20, y_size: 20}}]",
            )
        return size

    def _list_values(self, space: spaces.Space, n_levels: int) -> Values:
        """For each number of the action, the values that it takes."""
        if isinstance(space, spaces.Discrete):
            return [int(space.start) + np.arange(int(space.n))]
        if isinstance(space, spaces.MultiDiscrete):
            pairs = zip(space.start.ravel(), space.nvec.ravel(), strict=True)
            return [np.arange(int(low), int(low) + int(n)) for low, n in pairs]
        if isinstance(space, spaces.MultiBinary):
            return [np.arange(2)] * int(np.prod(space.shape))
        if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
            return box_values(space, n_levels, self.agent)
        raise broken(
            f"the actions of agent {self.agent!r} are {space}",
            "they are Discrete, MultiDiscrete, MultiBinary or a Box of floating-point numbers",
            "give the environment such an action space",
        )
