"""Discrete actions for agents whose actions are continuous, or have several parts.

Each dimension of an agent's action takes one of a few values; the agent's discrete actions are
all combinations of them, so an agent with d dimensions of n values has n^d. Nothing that the
values can express is lost, and an agent with one dimension, as in the paper's MAMuJoCo tasks,
has exactly n actions.

Shape legend: N agents, A actions of the agent that has most, G dimensions of all agents together.

Source: the paper, Appendix B.2: "the action space is discretized into N equally spaced atomic
actions, where N is an adjustable number".
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from gymnasium import spaces

from env_registry.errors import broken

MAX_ACTIONS = 4096  # of one agent: each is an output of the network and a number in every mask
Values = list[np.ndarray]  # of one agent: for each dimension, the values it may take


def count_combinations(sizes: Sequence[int], agent: object) -> int:
    """The number of an agent's discrete actions, which a network must be able to have as outputs.

    Args:
        sizes: The number of values of each dimension.
        agent: Named in the error.

    Raises:
        ContractError: If there are more than MAX_ACTIONS.
    """
    count = math.prod(sizes)
    if count > MAX_ACTIONS:
        raise broken(
            f"{agent} has {len(sizes)} action dimensions of {max(sizes)} values: "
            f"{count} combinations",
            f"an agent has at most {MAX_ACTIONS} discrete actions",
            "lower n_actions (values per continuous dimension), or choose a task whose agents have "
            "fewer dimensions each",
        )
    return count


def box_values(space: spaces.Box, n_levels: int, agent: object) -> Values:
    """Equally spaced values for every dimension of a continuous action.

    Args:
        space: The agent's action space, with finite bounds. Any shape; its numbers are taken in
            the order of `ravel()`.
        n_levels: Values per dimension, the two bounds included: at least 2.
        agent: Named in the error.

    Returns:
        One array of `n_levels` values, of the space's dtype, for each number of the action.

    Raises:
        ContractError: If `n_levels` is below 2 or a bound is not finite.
    """
    if n_levels < 2:
        raise broken(
            f"n_actions is {n_levels}",
            "a continuous action takes at least 2 values, its two bounds",
            "leave n_actions at its default, or raise it",
        )
    low, high = space.low.ravel().astype(np.float64), space.high.ravel().astype(np.float64)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise broken(
            f"the actions of agent {agent!r} are {space}",
            "equal steps need a lowest and a highest value of each number",
            "give the Box finite bounds, or scale the actions in the environment",
        )
    steps = np.linspace(low, high, n_levels).astype(space.dtype)  # (n, d)
    return list(steps.T)


class JointActions:
    """Turns one discrete action per agent into the numbers that the environment takes.

    The last dimension of an agent counts fastest: with values (a, b) and (c, d), actions 0 to 3
    are ac, ad, bc, bd.
    """

    def __init__(self, agents: Sequence[Values]):
        """Lays out the combinations.

        Args:
            agents: For each agent, the values of each of its dimensions.

        Raises:
            ContractError: If an agent would have more than MAX_ACTIONS actions.
        """
        sizes_of = [[len(values) for values in agent] for agent in agents]
        self.n_actions = np.array(
            [count_combinations(sizes, f"agent {i}") for i, sizes in enumerate(sizes_of)]
        )  # (N,)
        flat = [values for agent in agents for values in agent]
        self._agent = np.repeat(np.arange(len(agents)), [len(agent) for agent in agents])  # (G,)
        self._base = np.array([len(values) for values in flat], np.int64)  # (G,)
        self._stride = np.concatenate([_strides(sizes) for sizes in sizes_of])  # (G,)
        self._dimension = np.arange(len(flat))
        self._values = np.zeros((self._base.max(initial=1), len(flat)))  # (n, G) float64
        for dimension, values in enumerate(flat):
            self._values[: len(values), dimension] = values

    def __call__(self, actions: np.ndarray) -> np.ndarray:
        """Looks up what the agents do.

        Args:
            actions: (N,) int. One beyond an agent's own count, which its mask forbids, is taken
                modulo that count.

        Returns:
            (G,) float64: agent 0's numbers, then agent 1's, ...
        """
        digits = np.asarray(actions)[self._agent] // self._stride % self._base
        return self._values[digits, self._dimension]

    def mask(self) -> np.ndarray:
        """Which actions each agent has: (N, A) int8, 1 = it has it; a new array."""
        most = np.arange(self.n_actions.max())
        return (most < self.n_actions[:, None]).astype(np.int8)


def _strides(sizes: Sequence[int]) -> np.ndarray:
    """How many actions lie between two values of each dimension; the last one's is 1."""
    return np.array([math.prod(sizes[i + 1 :]) for i in range(len(sizes))], np.int64)
