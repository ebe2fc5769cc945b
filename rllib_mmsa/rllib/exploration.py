"""Epsilon-greedy exploration under action masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def epsilon_at(schedule: float | Sequence[Sequence[float]], env_steps: int) -> float:
    """Epsilon after ``env_steps`` environment steps.

    Args:
        schedule: a number, or RLlib's [[env steps, value], ...], linear in between.
        env_steps: environment steps sampled by all runners together.
    """
    if isinstance(schedule, (int, float)):
        return float(schedule)
    steps, values = zip(*schedule, strict=True)
    return float(np.interp(env_steps, steps, values))


def epsilon_greedy(
    greedy: np.ndarray, action_mask: np.ndarray, epsilon: float, rng: np.random.Generator
) -> np.ndarray:
    """Replaces each agent's greedy action by a random legal one with probability epsilon.

    Args:
        greedy: (E, N) int64, legal greedy actions.
        action_mask: (E, N, A), 1 where legal.
        epsilon: probability per agent and step.
        rng: source of randomness.

    Returns:
        (E, N) int64, legal actions.
    """
    # The largest of uniform keys on the legal actions is a fair draw without a loop.
    keys = rng.random(action_mask.shape) * (action_mask != 0)
    explore = rng.random(greedy.shape) < epsilon
    return np.where(explore, keys.argmax(-1), greedy)
