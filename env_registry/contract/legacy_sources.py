"""What a grouped environment is asked and what it answers, member by member.

`ByAgent` talks to the environment that RLlib's GroupAgentsWrapper holds, past that wrapper: it
raises "Missing member of group" as soon as one member is not reported, so that agents could
neither leave, nor come later, nor take turns. `ByGroup` talks to an environment that groups its
agents itself.

Shape legend: N group members, known by their places 0 .. N-1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ray.rllib.env.wrappers.group_agents_wrapper import (
    GROUP_INFO,
    GROUP_REWARDS,
    GroupAgentsWrapper,
)

from env_registry.contract.answers import (
    checked_reset,
    checked_step,
    one_flag,
    one_reward,
    reset_keys,
)
from env_registry.contract.base import ALL
from env_registry.errors import broken


class Answer(NamedTuple):
    """What a reset or a step told of the group.

    Attributes:
        observed: Observation of each member that is there, by place.
        ended: Those of them that have no action any more.
        rewards: (N,) each member's.
        reward: The group's.
        terminated: The game came to its own end.
        truncated: A time limit cut it.
        infos: Whatever infos there are, the group's own first.
    """

    observed: dict[int, Any]
    ended: set[int] = set()
    rewards: Sequence[float] = ()
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    infos: Sequence[Mapping[str, Any]] = ()


class Actions(dict):
    """The actions of the members that are there; one that is not has its no-op, if asked for.

    An environment that goes through the actions must not meet an agent that is gone; one that goes
    through its agents, as RLlib's old grouping let it, finds all of them.
    """

    def __init__(self, there: Mapping[Any, int], no_ops: Mapping[Any, int]):
        super().__init__(there)
        self._no_ops = no_ops

    def __missing__(self, agent: Any) -> int:
        return self._no_ops[agent]


class ByAgent:
    """An environment of several agents, of whom all are members of one group."""

    def __init__(self, env: Any, members: Sequence[Any], no_ops: Sequence[int]):
        """Takes an environment.

        Args:
            env: A MultiAgentEnv; its agents may leave, come, and take turns.
            members: (N,) agent ids.
            no_ops: (N,) each member's action 0.

        Raises:
            ContractError: If its `reset` takes no seed.
        """
        self.env = env
        self._place = {agent: i for i, agent in enumerate(members)}
        self._no_ops = dict(zip(members, no_ops, strict=True))
        self._reset_keys = reset_keys(env)
        self._acting: set[int] = set()
        self._seen: set[int] = set()
        self._gone: set[int] = set()  # members that ended and were not seen since

    def reset(self, seed: int | None, options: dict[str, Any] | None) -> Answer:
        """Starts an episode."""
        obs, _ = checked_reset(self.env, self._reset_keys, seed, options)
        observed = self._by_place(obs, "observations")
        self._acting, self._seen, self._gone = set(observed), set(observed), set()
        return Answer(observed)

    def step(self, actions: Sequence[int]) -> Answer:
        """Plays one step: only the agents that were observed act.

        Args:
            actions: (N,) numbers of the members' action spaces.
        """
        there = {agent: actions[i] for agent, i in self._place.items() if i in self._acting}
        obs, rewards, ends, cuts, infos = checked_step(self.env, Actions(there, self._no_ops))
        observed = self._by_place(obs, "observations")
        self._by_place(rewards, "rewards")  # those of others would be lost
        by_member = [one_reward(rewards.get(agent), agent) for agent in self._place]
        terminated, truncated = (self._flagged(flags) for flags in (ends, cuts))
        self._seen |= set(observed) | terminated | truncated
        self._gone = (self._gone - set(observed)) | terminated | truncated
        over_by = self._how_over(ends, cuts, terminated, truncated)
        ended = terminated if any(over_by) else terminated | truncated
        self._acting = set(observed) - terminated - truncated
        return Answer(
            observed,
            ended,
            by_member,
            sum(by_member),
            *over_by,
            [info for agent in self._place if (info := infos.get(agent))],
        )

    def _how_over(
        self, ends: Mapping[Any, Any], cuts: Mapping[Any, Any], ended: set[int], cut: set[int]
    ) -> tuple[bool, bool]:
        """(terminated, truncated) of the whole; both False while it goes on.

        "__all__" says it. RLlib's PettingZoo wrappers leave it False where one agent died in the
        step in which the time limit cut the others: then all members have ended. Where nobody says
        "__all__", those who were there in this episode must have.
        """
        if one_flag(ends.get(ALL), ALL):
            return True, False
        if one_flag(cuts.get(ALL), ALL):
            return False, True
        said = ALL in ends or ALL in cuts
        if self._gone >= (set(self._place.values()) if said else self._seen) and (ended or cut):
            return not cut - ended, bool(cut - ended)
        return False, False

    def _flagged(self, flags: Mapping[Any, Any]) -> set[int]:
        return {i for agent, i in self._place.items() if one_flag(flags.get(agent), agent)}

    def _by_place(self, values: Mapping[Any, Any], what: str) -> dict[int, Any]:
        """Agent ids -> places; an agent outside the group is an error."""
        strangers = [agent for agent in values if agent not in self._place]
        if strangers:
            raise broken(
                f"the environment gave {what} to the agents {strangers}",
                f"all agents are members of the one group, {list(self._place)}",
                "put every agent id into the group given to with_agent_groups",
            )
        return {self._place[agent]: value for agent, value in values.items()}


class ByGroup:
    """An environment whose one agent is the group, with Tuples for observations and actions."""

    def __init__(self, env: Any, group_id: Any, places: Sequence[int]):
        """Takes an environment.

        Args:
            env: A MultiAgentEnv.
            group_id: Its one agent.
            places: (N,) where each member is in what the environment itself takes and returns.

        Raises:
            ContractError: If its `reset` takes no seed.
        """
        self.env = env
        self._group_id = group_id
        self._places = places
        self._reset_keys = reset_keys(env)

    def reset(self, seed: int | None, options: dict[str, Any] | None) -> Answer:
        """Starts an episode."""
        try:
            obs, _ = checked_reset(self.env, self._reset_keys, seed, options)
        except ValueError as error:
            raise _in_words(error) from error
        return Answer(self._members(obs))

    def step(self, actions: Sequence[int]) -> Answer:
        """Plays one step; `actions` as `ByAgent.step`."""
        try:
            answer = checked_step(self.env, {self._group_id: self._for_env(actions)})
        except ValueError as error:
            raise _in_words(error) from error
        obs, rewards, *flags, infos = answer
        terminated, truncated = (
            one_flag(of.get(ALL), ALL) or one_flag(of.get(self._group_id), self._group_id)
            for of in flags
        )
        # An old environment may end without a last observation.
        observed = self._members(obs) if obs or not (terminated or truncated) else {}
        reward = one_reward(rewards.get(self._group_id), self._group_id)
        info = infos.get(self._group_id) or {}
        by_member = info.get(GROUP_REWARDS, [reward / len(self._places)] * len(self._places))
        own = {key: info[key] for key in info if key not in (GROUP_REWARDS, GROUP_INFO)}
        return Answer(
            observed,
            set(),
            [one_reward(by_member[place], place) for place in self._places],
            reward,
            terminated,
            truncated and not terminated,
            [one for one in (own, *info.get(GROUP_INFO, ())) if one],
        )

    def _members(self, obs: Mapping[Any, Any]) -> dict[int, Any]:
        """The group's part of the observations, which must be all of them."""
        if list(obs) != [self._group_id]:
            raise broken(
                f"the environment's observation has the agents {list(obs)}",
                f"the one group {self._group_id!r} must be all of it, each step",
                "put every agent id into the group given to with_agent_groups",
            )
        members = obs[self._group_id]
        if not isinstance(members, (tuple, list)) or len(members) != len(self._places):
            found = len(members) if isinstance(members, (tuple, list)) else type(members).__name__
            raise broken(
                f"the observation of {self._group_id!r} has the entries {found}",
                f"it is a tuple of {len(self._places)}, one for each member",
                "give every member an observation in each step, or let with_agent_groups group",
            )
        return {i: members[place] for i, place in enumerate(self._places)}

    def _for_env(self, actions: Sequence[int]) -> tuple[int, ...]:
        """The members' actions in the environment's own order."""
        by_place = dict(zip(self._places, actions, strict=True))
        return tuple(by_place[place] for place in range(len(self._places)))


def is_plain_wrapper(env: Any) -> bool:
    """Whether RLlib's wrapper does the grouping, and no subclass changes how it resets or steps."""
    kind = type(env)
    return isinstance(env, GroupAgentsWrapper) and (kind.reset, kind.step) == (
        GroupAgentsWrapper.reset,
        GroupAgentsWrapper.step,
    )


def _in_words(error: ValueError) -> ValueError:
    """RLlib's "Missing member of group" in words; any other error as it is."""
    if not str(error).startswith("Missing member of group"):
        return error
    return broken(
        f"an agent was not reported: {error}",
        "a group that the environment made itself has all its members in each step",
        "register what with_agent_groups returns: agents of its group may leave and come",
    )
