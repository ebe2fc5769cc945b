"""Reads what an environment made for RLlib's old QMIX says of itself: its group and its spaces.

Shape legend: N group members.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from ray.rllib.env.multi_agent_env import MultiAgentEnv
from ray.rllib.env.wrappers.group_agents_wrapper import GroupAgentsWrapper

from env_registry.contract.base import ACTION_MASK, OBS, STATE
from env_registry.errors import broken

KEYS = (OBS, ACTION_MASK, STATE)
FLAT = (spaces.Box, spaces.Discrete, spaces.MultiBinary, spaces.MultiDiscrete)


class Group(NamedTuple):
    """The one group of an environment: its id, and per member the parts of its observation space
    (a dictionary with "obs" and maybe "action_mask" and "state") and its actions."""

    group_id: Any
    parts: tuple[dict[str, spaces.Space], ...]
    actions: tuple[spaces.Discrete, ...]


def find_group(env: Any) -> Group:
    """Finds the group of an environment.

    Args:
        env: What `with_agent_groups` returned, or an environment with one agent whose spaces are
            Tuples.

    Returns:
        The group.

    Raises:
        ContractError: If there is no such group, with the line that would make one.
    """
    if not isinstance(env, MultiAgentEnv):
        what = "a gymnasium.Env" if isinstance(env, gym.Env) else f"a {type(env).__name__}"
        raise broken(
            f"the environment is {what}, not a MultiAgentEnv",
            "an environment has several agents that act as one group",
            "derive from env_registry.contract.GroupedEnv, or from RLlib's MultiAgentEnv and call "
            "with_agent_groups",
        )
    if isinstance(env, GroupAgentsWrapper):
        group_id, observations, actions = _of_wrapper(env)
    else:
        group_id, observations, actions = _of_grouped_env(env)
    if not isinstance(observations, spaces.Tuple) or not isinstance(actions, spaces.Tuple):
        raise broken(
            f"the spaces of {group_id!r} are {observations} and {actions}",
            "a group has Tuple spaces, one entry for each member",
            "give with_agent_groups obs_space=Tuple([...]) and act_space=Tuple([...]), or neither",
        )
    if len(observations) != len(actions):
        raise broken(
            f"the group has {len(observations)} observation and {len(actions)} action spaces",
            "there is one of each for each member",
            "give both Tuples as many entries as the group has members",
        )
    members = enumerate(zip(observations, actions, strict=True))
    parts = [_member(i, observation, action) for i, (observation, action) in members]
    return Group(group_id, tuple(parts), tuple(actions))


def flat_size(space: spaces.Space) -> int:
    """Length of a space's flattened values."""
    return spaces.flatdim(space)


def flatten(space: spaces.Space, value: Any, member: int, key: str) -> np.ndarray:
    """Flattens a value to (size,) float32, anything discrete to one-hot.

    Raises:
        ContractError: If the value is none of the space's.
    """
    try:
        flat = spaces.flatten(space, value)
    except (ValueError, IndexError, TypeError) as error:
        raise _misfit(space, value, member, key) from error
    flat = np.asarray(flat, np.float32)
    if flat.shape != (flat_size(space),):
        raise _misfit(space, value, member, key)
    return flat


def _misfit(space: spaces.Space, value: Any, member: int, key: str) -> Exception:
    return broken(
        f"the {key!r} of member {member} of the group is {value!r}",
        f"it must be in its space, {space}",
        "correct the environment, or the space that it declares",
    )


def _of_wrapper(env: GroupAgentsWrapper) -> tuple[Any, Any, Any]:
    """Group id, observation and action space of what `with_agent_groups` returned."""
    if len(env.groups) != 1:
        raise broken(
            f"with_agent_groups was given {len(env.groups)} groups, {list(env.groups)}",
            "all agents are members of one group: they share one reward and one mixer",
            "put all agent ids into one group",
        )
    ((group_id, members),) = env.groups.items()
    inner = env.env
    known = inner.possible_agents or getattr(inner, "_agent_ids", ())
    left_out = [agent for agent in known if agent not in members]
    if left_out:
        raise broken(
            f"the agents {left_out} are in no group",
            "all agents are members of the one group",
            _grouping_line(known),
        )
    observations, actions = env.observation_space, env.action_space
    if observations is None:
        observations = _infer(inner.get_observation_space, members)
    if actions is None:
        actions = _infer(inner.get_action_space, members)
    return group_id, observations, actions


def _infer(space_of: Any, members: list[Any]) -> spaces.Tuple | None:
    """The Tuple of the members' own spaces; None if one has none."""
    found = [space_of(agent) for agent in members]
    return None if None in found else spaces.Tuple(found)


def _of_grouped_env(env: MultiAgentEnv) -> tuple[Any, Any, Any]:
    """The same of an environment that wraps a grouped one itself."""
    ids = list(env.possible_agents or env.observation_spaces or getattr(env, "_agent_ids", ()))
    if not ids and isinstance(env.observation_space, spaces.Dict):
        ids = list(env.observation_space.spaces)
    if len(ids) == 1:
        found = env.get_observation_space(ids[0]), env.get_action_space(ids[0])
        if all(isinstance(space, spaces.Tuple) for space in found):
            return ids[0], *found
    raise broken(
        f"the agents {ids} of {type(env).__name__} are not grouped",
        "all agents act as one group with Tuple spaces, or the environment follows the contract",
        _grouping_line(ids),
    )


def _grouping_line(ids: Any) -> str:
    listed = ", ".join(repr(agent) for agent in ids) or "...all agent ids..."
    return f'env = env.with_agent_groups({{"team": [{listed}]}})'


def _member(i: int, observation: spaces.Space, action: spaces.Space) -> dict[str, spaces.Space]:
    """Checks one member's spaces; returns the parts of its observation space."""
    if not isinstance(action, spaces.Discrete):
        raise broken(
            f"the action space of member {i} of the group is {action}",
            "value decomposition needs Discrete actions",
            "choose among a fixed set of actions, for example by binning each number",
        )
    parts = dict(observation.spaces) if isinstance(observation, spaces.Dict) else {OBS: observation}
    if OBS not in parts or not set(parts) <= set(KEYS):
        raise broken(
            f"the observation space of member {i} of the group has the keys {sorted(parts)}",
            f'a Dict has "obs", and may have {ACTION_MASK!r} and {STATE!r}',
            "rename or remove the others: RLlib's old QMIX ignored them without a word",
        )
    for key in (OBS, STATE):
        if key in parts:
            _check_flat(i, key, parts[key])
    mask = parts.get(ACTION_MASK)
    if mask is not None and (mask.shape is None or int(np.prod(mask.shape)) != action.n):
        raise broken(
            f"the {ACTION_MASK!r} of member {i} of the group is {mask}",
            f"it has one entry for each of its {action.n} actions",
            f"Box(0, 1, ({action.n},))",
        )
    return parts


def _check_flat(i: int, key: str, space: spaces.Space) -> None:
    if isinstance(space, spaces.Box) and len(space.shape) >= 3:
        raise broken(
            f"the {key!r} of member {i} of the group is an image of shape {space.shape}",
            "observations are vectors: the networks have no convolution",
            "give the numbers behind the picture, or flatten it knowingly: "
            "gymnasium.spaces.flatten_space",
        )
    if not isinstance(space, FLAT):
        raise broken(
            f"the {key!r} of member {i} of the group is {space}",
            f"it is one of {', '.join(kind.__name__ for kind in FLAT)}",
            "flatten it in the environment: gymnasium.spaces.flatten",
        )
