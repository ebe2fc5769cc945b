"""Reads what an environment made for RLlib's old QMIX says of itself: its group and its spaces.

Shape legend: N group members.
"""

from __future__ import annotations

import numbers
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium as gym
from gymnasium import spaces
from ray.rllib.env.multi_agent_env import MultiAgentEnv
from ray.rllib.env.wrappers.group_agents_wrapper import GroupAgentsWrapper

from env_registry.contract.legacy_parts import Parts, read_spaces
from env_registry.errors import broken


class Group(NamedTuple):
    """The one group of an environment: its id; per member, in the order of the group, its id, its
    place in what the environment itself returns, what it observes, its actions (Discrete)."""

    group_id: Any
    members: tuple[Any, ...]
    places: tuple[int, ...]
    parts: tuple[Parts, ...]
    actions: tuple[Any, ...]


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
            "an environment has several agents that act as one group: RLlib's MultiAgentEnv, "
            "PettingZoo's ParallelEnv, or a gymnasium.Env with Tuples of spaces",
            "derive from env_registry.contract.GroupedEnv, or from RLlib's MultiAgentEnv and call "
            "with_agent_groups",
        )
    members: Collection[Any]
    if isinstance(env, GroupAgentsWrapper):
        group_id, observations, actions = _of_wrapper(env)
        members = env.groups[group_id]
    else:
        group_id, observations, actions = _of_grouped_env(env)
        members = [f"agent_{i}" for i in range(len(observations))]  # they have no names
    if not isinstance(observations, spaces.Tuple) or not isinstance(actions, spaces.Tuple):
        raise broken(
            f"the spaces of {group_id!r} are {observations} and {actions}",
            "a group has Tuple spaces, one entry for each member",
            "give with_agent_groups obs_space=Tuple([...]) and act_space=Tuple([...]), or neither",
        )
    if not len(observations) == len(actions) == len(members):
        raise broken(
            f"the group has {len(members)} members, {len(observations)} observation and "
            f"{len(actions)} action spaces",
            "there is one of each for each member",
            "give both Tuples as many entries as the group has members",
        )
    ids, places = list(members), _order(members)
    parts = [read_spaces(ids[i], observations[i], actions[i]) for i in places]
    return Group(
        group_id,
        tuple(ids[i] for i in places),
        tuple(places),
        tuple(parts),
        tuple(actions[i] for i in places),
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
            f"the agents {_sorted(left_out)} are in no group",
            "all agents are members of the one group",
            _grouping_line(known),
        )
    observations, actions = env.observation_space, env.action_space
    unknown = [agent for agent in members if known and agent not in known]
    if unknown:
        raise broken(
            f"the environment has no agents {unknown}",
            f"the members of a group are the ids of its agents, {_sorted(known)}",
            _grouping_line(known),
        )
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
        f"the agents {_sorted(ids)} of {type(env).__name__} are not grouped",
        "all agents act as one group with Tuple spaces, or the environment follows the contract",
        _grouping_line(ids),
    )


def _sorted(ids: Any) -> list[Any]:
    return sorted(ids, key=natural_key)


def _grouping_line(ids: Any) -> str:
    listed = ", ".join(repr(agent) for agent in _sorted(ids)) or "...all agent ids..."
    return f'env = env.with_agent_groups({{"team": [{listed}]}})'


def _order(members: Collection[Any]) -> list[Any]:
    """The places of the members, in the order that the group has them in.

    Whole numbers stay as they were given. Names are sorted ("a2" before "a10"): a list that was
    made from a set of names, as RLlib's own `get_agent_ids` is one, has another order in every
    process, so that what one process learned would mean other agents in the next.
    """
    ids = list(members)
    if isinstance(members, (Sequence, Mapping)) and all(
        isinstance(one, numbers.Integral) for one in ids
    ):
        return list(range(len(ids)))
    return sorted(range(len(ids)), key=lambda i: natural_key(ids[i]))


def natural_key(agent: Any) -> list[tuple[int, int, str]]:
    """Sorts ids as people do: numbers in them by their size."""
    parts = re.split(r"(\d+)", str(agent))
    return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts if p]
