"""A gymnasium environment of several agents, in the form that PettingZoo gave to such games.

RWARE, Level-Based Foraging and what EPyMARL plays are gymnasium environments whose spaces are
Tuples with an entry for each agent (or Dicts by agent). They return observations and rewards in the
same form, and one end or a list of them.

Shape legend: N agents, A actions.

Source: rware 2.0.0, lbforaging 2.0.0; EPyMARL's `gymma.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from env_registry.contract.answers import kind, one_flag, one_reward, reset_keys
from env_registry.contract.base import ACTION_MASK
from env_registry.errors import broken

STEP = "step returns (observations, rewards, terminated, truncated, info)"
MASKS = (ACTION_MASK, "avail_actions", "available_actions")  # what infos call them
STATES = ("state", "get_state")  # methods that tell the global state


def is_team(env: Any) -> bool:
    """Whether an environment is a gymnasium one with spaces for each of several agents."""
    if not isinstance(env, gymnasium.Env):
        return False
    try:
        _by_agent(env)
    except ValueError:
        return False
    return True


class TupleGame:
    """A gymnasium environment with Tuple spaces, as if it were a PettingZoo ParallelEnv.

    A single reward is the team's: every agent gets an equal share. The episode is over when the one
    end is told, or all of a list. An agent that has ended before takes the first of its actions.
    Masks are read from the info: "action_mask" (or "avail_actions"), one row for each agent.
    """

    def __init__(self, env: gymnasium.Env):
        """Takes an environment.

        Args:
            env: With Tuples or Dicts of N spaces for observations and actions.

        Raises:
            ContractError: If it has other spaces, or its `reset` takes no seed.
        """
        self.env = env
        self._keys, self._observations, self._actions = _by_agent(env)
        self._reset_keys = reset_keys(env)
        self.possible_agents = [
            key if isinstance(key, str) else f"agent_{key}" for key in self._keys
        ]
        self.agents: list[str] = []
        self.render_mode = env.render_mode

    def observation_space(self, agent: str) -> spaces.Space:
        """What an agent sees."""
        return self._observations[self.possible_agents.index(agent)]

    def action_space(self, agent: str) -> spaces.Space:
        """What an agent does."""
        return self._actions[self.possible_agents.index(agent)]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Starts an episode: (observations, infos) by agent."""
        given: dict[str, Any] = {"seed": seed, "options": options}
        result = self.env.reset(**{key: given[key] for key in self._reset_keys})
        if not isinstance(result, tuple) or len(result) != 2 or not _is_info(result[1]):
            raise broken(
                f"{self.env}.reset returned {kind(result)}",
                "reset returns (observations, info), one observation for each agent",
                "return observations, {}, as gymnasium asks for it",
            )
        self.agents = list(self.possible_agents)
        return self._split(result[0], "observations"), self._infos(result[1])

    def step(self, actions: Mapping[str, Any]) -> Any:
        """Plays one step: (observations, rewards, terminateds, truncateds, infos) by agent."""
        pairs = list(zip(self._keys, self.possible_agents, self._actions, strict=True))
        chosen = {key: actions.get(agent, first_action(space)) for key, agent, space in pairs}
        by_key = isinstance(self.env.action_space, spaces.Dict)
        result = self.env.step(chosen if by_key else self._joint(list(chosen.values())))
        if not isinstance(result, tuple) or len(result) != 5:
            raise broken(
                f"{self.env}.step returned {kind(result)}",
                STEP,
                "return five values, the time limit in truncated, as gymnasium asks for it",
            )
        obs, rewards, terminated, truncated, info = result
        ends, cuts = self._flags(terminated, "terminated"), self._flags(truncated, "truncated")
        agents = self.agents
        self.agents = [agent for agent in agents if not (ends[agent] or cuts[agent])]
        return (
            self._split(obs, "observations"),
            self._rewards(rewards),
            {agent: ends[agent] for agent in agents},
            {agent: cuts[agent] for agent in agents},
            self._infos(info),
        )

    def state(self) -> Any:
        """The global state, where the environment has a method for it.

        Raises:
            AttributeError: If it has none.
        """
        for name in STATES:
            if callable(told := getattr(self.env.unwrapped, name, None)):
                return told()
        raise AttributeError(f"{self.env} has none of the methods {', '.join(STATES)}")

    def render(self) -> Any:
        """As the environment draws itself."""
        return self.env.render()

    def close(self) -> None:
        """Closes the environment."""
        self.env.close()

    def __str__(self) -> str:
        return str(self.env)

    def _joint(self, actions: list[Any]) -> Any:
        """All agents' actions in the form of the environment's space."""
        whole = self.env.action_space
        return tuple(actions) if isinstance(whole, spaces.Tuple) else np.array(actions, whole.dtype)

    def _split(self, values: Any, what: str) -> dict[str, Any]:
        """One value for each agent, in whatever form they came."""
        if isinstance(values, Mapping) and set(values) == set(self._keys):
            values = [values[key] for key in self._keys]
        if isinstance(values, np.ndarray) and values.ndim:
            values = list(values)
        if not isinstance(values, (list, tuple)) or len(values) != len(self._keys):
            raise broken(
                f"the {what} are {values!r}",
                f"there is one for each of the {len(self._keys)} agents",
                "return a tuple with an entry for each agent",
            )
        return dict(zip(self.possible_agents, values, strict=True))

    def _rewards(self, rewards: Any) -> dict[str, float]:
        """The agents' rewards; a single one in equal shares."""
        if not isinstance(rewards, (Mapping, Sequence)) and np.size(rewards) == 1:
            share = one_reward(rewards, "team") / len(self._keys)
            return dict.fromkeys(self.possible_agents, share)
        split = self._split(rewards, "rewards")
        return {agent: one_reward(reward, agent) for agent, reward in split.items()}

    def _flags(self, flags: Any, what: str) -> dict[str, bool]:
        if not isinstance(flags, (Mapping, Sequence)) and np.size(flags) == 1:
            return dict.fromkeys(self.possible_agents, one_flag(flags, what))
        return {agent: one_flag(flag, agent) for agent, flag in self._split(flags, what).items()}

    def _infos(self, info: Any) -> dict[str, dict[str, Any]]:
        """One info for each agent: its own where they are listed, with its row of the mask."""
        if isinstance(info, (list, tuple)) and len(info) == len(self._keys):
            return {a: dict(one or {}) for a, one in zip(self.possible_agents, info, strict=True)}
        info = info if isinstance(info, Mapping) else {}
        own = {k: v for k, v in info.items() if k not in MASKS}
        infos = {agent: dict(own) for agent in self.possible_agents}
        for name in MASKS:
            if name in info:
                for agent, row in self._split(info[name], f"rows of info[{name!r}]").items():
                    infos[agent][ACTION_MASK] = row
        return infos


def first_action(space: spaces.Space) -> Any:
    """What an agent does that has nothing to do: the first of its actions, or the nearest to 0."""
    if isinstance(space, spaces.Discrete):
        return int(space.start)
    if isinstance(space, spaces.Box):
        return np.clip(np.zeros(space.shape, space.dtype), space.low, space.high)
    return np.zeros(space.shape, space.dtype)


def _is_info(info: Any) -> bool:
    return info is None or isinstance(info, (Mapping, list, tuple))


def _by_agent(env: gymnasium.Env) -> tuple[list[Any], list[spaces.Space], list[spaces.Space]]:
    """(keys, observation spaces, action spaces), an entry for each agent.

    Raises:
        ContractError: If the spaces do not come apart.
    """
    observation, action = (
        getattr(env, f"{what}_space", None) for what in ("observation", "action")
    )
    if isinstance(observation, spaces.Tuple):
        parts: Any = action
        if isinstance(action, spaces.MultiDiscrete) and action.nvec.ndim == 1:
            pairs = zip(action.start, action.nvec, strict=True)
            parts = [spaces.Discrete(int(n), start=int(start)) for start, n in pairs]
        if isinstance(parts, (spaces.Tuple, list)) and len(parts) == len(observation):
            return list(range(len(observation))), list(observation), list(parts)
    if isinstance(observation, spaces.Dict) and isinstance(action, spaces.Dict):
        if set(observation) == set(action):
            keys = list(observation)
            return keys, list(observation.values()), [action[key] for key in keys]
    raise broken(
        f"{env} has the observation space {observation} and the action space {action}",
        "an environment of several agents has Tuples with an entry for each (or Dicts by agent)",
        "one agent is no team: take RLlib's own algorithms; PettingZoo's are env: pettingzoo",
    )
