"""Several agents that act at the same time, as a team: PettingZoo's interface, and what is made so.

Shape legend: N agents, A actions of the agent that has most, D length of the longest observation,
S length of the state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np

from env_registry.contract.answers import (
    checked_reset,
    checked_step,
    legal_actions,
    one_reward,
    reset_keys,
)
from env_registry.contract.base import (
    ACTION_MASK,
    TEAM,
    WIN,
    WIN_KEYS,
    GroupedEnv,
    Observation,
    StepResult,
    concat_state,
    keep_one_legal,
)
from env_registry.contract.layout import find_layout
from env_registry.contract.legacy_spaces import natural_key
from env_registry.discretise import JointActions
from env_registry.errors import broken
from env_registry.team.member import MAX_OBSERVATION, Member

STATES = ("auto", "state", "observations")
TEAM_REWARDS = ("sum", "mean", "shared")


class TeamEnv(GroupedEnv):
    """Several agents that act at the same time, under the contract.

    Observations are flattened and filled up with zeros to the longest. An agent that has fewer
    actions than another has the rest masked; masks that the environment gives (infos, or a Dict
    observation, "action_mask") are obeyed. An agent that is not there (it died, or comes later)
    observes zeros and keeps action 0 as its legal no-op, which is not handed on.

    The episode is over when every agent is. It was truncated if some agent was truncated in the
    last step, and has terminated if none was. A "win" or "battle_won" in an agent's infos becomes
    "win".
    """

    def __init__(
        self,
        game: Any,
        *,
        n_actions: int = 5,
        state: str = "auto",
        team_reward: str = "sum",
        max_episode_steps: int | None = None,
    ):
        """Wraps an environment.

        Args:
            game: With the interface of PettingZoo's ParallelEnv.
            n_actions: Values for each number of a continuous action.
            state: "state": the environment's `state()`; "observations": all observations in a row;
                "auto": the former if it has one of at most 10,000 numbers, else the latter.
            team_reward: "sum" or "mean" of all agents' rewards (0 for those not there), or
                "shared": the one reward that all of them get.
            max_episode_steps: Time limit, env steps, beside the environment's own; None = none.

        Raises:
            ContractError: If the environment cannot be brought under the contract.
        """
        self.game = game
        self._reset_keys = reset_keys(game)
        _check_choice("state", state, STATES)
        _check_choice("team_reward", team_reward, TEAM_REWARDS)
        self._members = [
            Member(agent, game.observation_space(agent), game.action_space(agent), n_actions)
            for agent in _agents(game)
        ]
        self._actions = JointActions([member.values for member in self._members])
        ends = np.cumsum([len(member.values) for member in self._members])
        self._numbers = [slice(a, b) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
        self._own_actions = self._actions.mask()  # (N, A)
        obs_size = max(member.obs_size for member in self._members)
        state_size = self._find_state(state)
        self._has_state = state_size is not None
        self._team_reward = team_reward
        self._limit = max_episode_steps
        self._steps = 0
        self._state: np.ndarray | None = None  # the last one
        self._ended: set[Any] = set()
        self.render_mode = getattr(game, "render_mode", None)
        self.observation_layout = find_layout(game)
        super().__init__(
            n_agents=len(self._members),
            n_actions=self._own_actions.shape[1],
            obs_size=obs_size,
            state_size=len(self._members) * obs_size if state_size is None else state_size,
            agent_names=[str(member.agent) for member in self._members],
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Observation], dict[str, dict[str, Any]]]:
        """Starts an episode of the wrapped environment."""
        self._steps = 0
        self._ended = set()
        obs, infos = checked_reset(self.game, self._reset_keys, seed, options)
        return self._observe(obs, infos), {TEAM: {}}

    def step(self, action_dict: dict[str, np.ndarray]) -> StepResult:
        """Plays one step: {"team": (N,) int} in, the contract's five dictionaries out."""
        numbers = self._actions(action_dict[TEAM])  # all agents' actions in a row
        there = set(self.game.agents)
        obs, rewards, ends, limits, infos = checked_step(
            self.game,
            {
                member.agent: member.act(numbers[own])
                for member, own in zip(self._members, self._numbers, strict=True)
                if member.agent in there
            },
        )
        self._steps += 1
        agent_rewards = [
            one_reward(rewards.get(member.agent), member.agent) for member in self._members
        ]
        # Some games leave those that ended in `agents`; in others, somebody comes as the last ends.
        ended = {agent for agent in (*ends, *limits) if ends.get(agent) or limits.get(agent)}
        self._ended = self._ended.difference(ends) | ended
        over = self._ended.issuperset(self.game.agents)
        gone = {member.agent for member in self._members} - there.union(self.game.agents)
        truncated = any(limits.get(agent) and not ends.get(agent) for agent in limits)
        if not over and self._limit is not None and self._steps >= self._limit:
            over = truncated = True
        return self._transition(
            self._observe(obs, infos, gone.union(filter(ends.get, ends)), over),
            agent_rewards,
            terminated=over and not truncated,
            truncated=over and truncated,
            team_reward=self._of_team(agent_rewards, rewards),
            **(_win(infos) if over else {}),
        )

    def render(self) -> Any:
        """As the wrapped environment draws itself."""
        return self.game.render()

    def close(self) -> None:
        """Closes the wrapped environment."""
        self.game.close()

    def _observe(
        self,
        given: Mapping[Any, Any],
        infos: Mapping[Any, Any],
        idle: Set[Any] = frozenset(),
        over: bool = False,
    ) -> dict[str, Observation]:
        """PettingZoo's dictionaries -> the contract's observation; the ``idle`` cannot act."""
        obs = np.zeros((self.n_agents, self.obs_size), np.float32)
        mask = self._own_actions.copy()
        for i, member in enumerate(self._members):
            if member.agent not in given:
                mask[i] = 0
                continue
            row, own_mask = member.observe(given[member.agent])
            obs[i, : row.size] = row
            if member.agent in idle:
                mask[i] = 0
                continue
            own_mask = (infos.get(member.agent) or {}).get(ACTION_MASK, own_mask)
            if own_mask is not None:
                n_actions = int(self._actions.n_actions[i])
                mask[i, :n_actions] = legal_actions(own_mask, n_actions, member.agent)
        state = self._read_state(over) if self._has_state else concat_state(obs)
        return self._observation(obs, keep_one_legal(mask), state)

    def _find_state(self, wanted: str) -> int | None:
        """S, or None where the observations take the state's place."""
        if wanted == "observations":
            return None
        self.game.reset()
        try:
            size = np.size(np.asarray(self.game.state(), np.float32))
        except Exception as error:  # some have none, some a broken one
            if wanted == "auto":
                return None
            raise broken(
                f"{self.game} has no state() that works: {type(error).__name__}: {error}",
                'with state: "state", the environment tells its own',
                'state: "observations" takes all observations for it',
            ) from error
        if size > MAX_OBSERVATION:
            if wanted == "auto":
                return None
            raise broken(
                f"{self.game} has a state of {size} numbers",
                f"a state has at most {MAX_OBSERVATION}: replay keeps one for each step",
                'state: "observations" takes all observations for it',
            )
        return size

    def _read_state(self, over: bool) -> np.ndarray:
        try:
            state = np.array(self.game.state(), np.float32).reshape(-1)  # a copy
        except Exception as error:
            if over and self._state is not None:  # some games have no state any more at their end
                return self._state.copy()
            raise broken(
                f"{self.game}.state() raised {type(error).__name__}: {error}",
                "it tells the state after each step",
                'state: "observations" takes all observations for it',
            ) from error
        if state.size != self.state_size:
            raise broken(
                f"{self.game} has a state of {state.size} numbers",
                f"it had {self.state_size} at first, and keeps its size",
                'state: "observations" takes all observations for it',
            )
        self._state = state
        return state

    def _of_team(self, agent_rewards: Sequence[float], rewards: Mapping[Any, Any]) -> float:
        if self._team_reward != "shared":
            total = sum(agent_rewards)
            return total / self.n_agents if self._team_reward == "mean" else total
        given = [one_reward(*pair[::-1]) for pair in rewards.items()] or [0.0]
        if not np.allclose(given, given[0]):
            raise broken(
                f"the agents' rewards are {given}",
                'with team_reward: "shared", all agents get the same one',
                'team_reward: "sum" or "mean"',
            )
        return given[0]


def _agents(game: Any) -> list[Any]:
    """All agents in one order: a set of names has another one in every process."""
    possible = getattr(game, "possible_agents", None) or ()
    agents = sorted(possible, key=natural_key) if isinstance(possible, Set) else list(possible)
    if not agents:
        raise broken(
            f"{game} has no possible_agents",
            "all agents that can ever be there are known from the start",
            "set self.possible_agents in the environment",
        )
    return agents


def _check_choice(option: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise broken(
            f"{option} is {value!r}", f"it is one of {choices}", f"leave it at {choices[0]!r}"
        )


def _win(infos: Mapping[Any, Any]) -> dict[str, bool]:
    """{"win": ...} where any agent's infos tell it."""
    told = [info[key] for info in infos.values() for key in WIN_KEYS if info and key in info]
    return {WIN: any(bool(value) for value in told)} if told else {}
