"""What breaks the contract in an environment's agent ids and spaces, in words. Nothing is played.

Shape legend: N agents, A actions, D observation size, S state size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from ray.rllib.env.multi_agent_env import MultiAgentEnv

from env_registry.contract.base import ACTION_MASK, OBS, STATE, TEAM
from env_registry.errors import broken

BASE_CLASS = "derive from env_registry.contract.GroupedEnv, which builds the spaces"


def check_spaces(env: Any) -> None:
    """Checks agent ids and spaces, without playing.

    Args:
        env: An environment.

    Raises:
        ContractError: At the first thing found wrong.
    """
    if not isinstance(env, MultiAgentEnv):
        raise broken(
            f"the environment is a {type(env).__name__}",
            "it must be a ray.rllib.env.multi_agent_env.MultiAgentEnv",
            BASE_CLASS,
        )
    for attribute in ("possible_agents", "agents"):
        ids = getattr(env, attribute)
        if list(ids) != [TEAM]:
            raise broken(
                f"{attribute} is {ids!r}", f"the one agent is the team: [{TEAM!r}]", BASE_CLASS
            )
    for attribute in ("observation_spaces", "action_spaces"):
        found = getattr(env, attribute)
        if not isinstance(found, dict) or list(found) != [TEAM]:
            raise broken(f"{attribute} is {found!r}", f"it must be {{{TEAM!r}: space}}", BASE_CLASS)
    n_agents, n_actions = _check_action_space(env.action_spaces[TEAM])
    _check_observation_space(env.observation_spaces[TEAM], n_agents, n_actions)


def _check_action_space(space: spaces.Space) -> tuple[int, int]:
    rule = "the action space must be MultiDiscrete([A] * N), counted from 0"
    if not isinstance(space, spaces.MultiDiscrete) or space.nvec.ndim != 1:
        raise broken(f"the action space is {space}", rule, BASE_CLASS)
    if len(set(space.nvec.tolist())) != 1 or np.any(space.start != 0):
        remedy = "pad to the largest number of actions and mask what an agent lacks"
        raise broken(f"the action space is {space}", rule, remedy)
    return len(space.nvec), int(space.nvec[0])


def _check_observation_space(space: spaces.Space, n_agents: int, n_actions: int) -> None:
    keys = {OBS, ACTION_MASK, STATE}
    if not isinstance(space, spaces.Dict) or set(space.spaces) != keys:
        found = sorted(space.spaces) if isinstance(space, spaces.Dict) else space
        raise broken(
            f"the observation space has {found}",
            f"it must be a Dict with exactly the keys {sorted(keys)}",
            BASE_CLASS,
        )
    expected = {
        OBS: (np.float32, f"({n_agents}, D)", lambda s: len(s) == 2 and s[0] == n_agents),
        ACTION_MASK: (
            np.int8,
            f"({n_agents}, {n_actions})",
            lambda s: s == (n_agents, n_actions),
        ),
        STATE: (np.float32, "(S,)", lambda s: len(s) == 1),
    }
    for key, (dtype, words, fits) in expected.items():
        box = space[key]
        if not isinstance(box, spaces.Box) or box.dtype != dtype or not fits(box.shape):
            raise broken(
                f"the space of {key!r} is {box}",
                f"it must be a Box of shape {words} and dtype {np.dtype(dtype).name}",
                BASE_CLASS,
            )
    mask = space[ACTION_MASK]
    assert isinstance(mask, spaces.Box)  # checked above
    if np.any(mask.low != 0) or np.any(mask.high != 1):
        raise broken(
            f"the space of {ACTION_MASK!r} is {mask}", "its bounds must be 0 and 1", BASE_CLASS
        )
