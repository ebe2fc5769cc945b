"""How the tests of SMAX play it."""

from __future__ import annotations

from typing import Any

import numpy as np

from env_registry.contract import ACTION_MASK, ALL, TEAM
from env_registry.smax import SmaxEnv
from env_registry.smax.game import STOP

FIRST_ATTACK = 5


def attack(mask: np.ndarray) -> np.ndarray:
    """Shoots at the first enemy in range, otherwise walks east."""
    shots = mask[:, FIRST_ATTACK:]
    walk = np.where(mask[:, 1] > 0, 1, STOP)
    return np.where(shots.any(1), FIRST_ATTACK + shots.argmax(1), walk)


def ended(step: tuple[Any, ...]) -> bool:
    return step[2][ALL] or step[3][ALL]


def play(env: SmaxEnv, seed: int, policy: Any) -> list[tuple[Any, ...]]:
    steps = []
    obs, _ = env.reset(seed=seed)
    while not steps or not ended(steps[-1]):
        steps.append(env.step({TEAM: policy(obs[TEAM][ACTION_MASK])}))
        obs = steps[-1][0]
    return steps
