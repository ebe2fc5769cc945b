"""Environments made for RLlib's old QMIX, brought under the contract as they are.

RLlib's QMIX (last in Ray 2.8) asked for `env.with_agent_groups(...)`: one group, whose
observation space is a Tuple of the members' spaces, each a Box (or what flattens to one) or a
Dict {"obs"[, "action_mask"][, "state"]}, and whose action space is a Tuple of Discrete. Ray's new
API stack cannot run such an environment: it has no `observation_spaces`, no `possible_agents`.

Where the old QMIX was silently wrong, this is not: see `LegacyGroupedEnv`.

Shape legend: N group members, A actions, D observation size, S state size.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from ray.rllib.env.wrappers.group_agents_wrapper import GROUP_INFO, GroupAgentsWrapper

from env_registry.contract.base import (
    STATE,
    TEAM,
    WIN,
    WIN_KEYS,
    GroupedEnv,
    Observation,
    StepResult,
    concat_state,
    keep_one_legal,
    pad_rows,
)
from env_registry.contract.layout import find_layout
from env_registry.contract.legacy_parts import flat_size
from env_registry.contract.legacy_sources import Answer, ByAgent, ByGroup, is_plain_wrapper
from env_registry.contract.legacy_spaces import find_group
from env_registry.errors import broken

PROBE_STEPS = 50
STATE_CHOICES = ("auto", "shared", "concatenate")
Reset = tuple[dict[str, Observation], dict[str, dict[str, Any]]]


class LegacyGroupedEnv(GroupedEnv):
    """A `with_agent_groups` environment under the contract.

    Observations are flattened (Discrete, MultiBinary, MultiDiscrete: one-hot) and padded with
    zeros to the longest; actions are padded to the most and masked. Bounds are left open: old
    environments were never held to theirs.

    A member that is not observed (it has left, comes later, or it is another's turn) observes
    zeros and has action 0 as its only legal one, which is not handed on; so has one that ended,
    and both earn nothing. (RLlib's wrapper raised "Missing member of group".)

    The members' order is the one given to `with_agent_groups` if their ids are whole numbers;
    names are sorted (`agent_names`), since RLlib keeps ids in sets, whose order differs from
    process to process.

    State: what each member sees under "state" is used once if all see the same, and concatenated
    if they differ; without any, it is the concatenated observations. (RLlib's old QMIX took
    member 0's whatever the others saw.) Which of the two holds is found by playing up to 50 seeded
    random steps at construction; `state` says it instead.

    A member whose mask has no legal action gets action 0 as its legal no-op. (RLlib's old QMIX
    stopped at an assertion.) A group that its time limit truncates is truncated; if it is
    terminated as well, it has terminated. (RLlib's old QMIX called both an end.)
    infos["team"]["agent_rewards"] are the members' rewards; where only the sum is known, equal
    shares. A "win" or "battle_won" in the infos of the group or a member becomes "win".
    """

    def __init__(self, env: Any, *, state: str = "auto"):
        """Wraps an environment.

        Args:
            env: What `with_agent_groups` returned, or an environment with its kind of spaces.
            state: "auto", "shared" or "concatenate".

        Raises:
            ContractError: If the environment cannot be brought under the contract.
        """
        if state not in STATE_CHOICES:
            raise broken(
                f"state is {state!r}", f"it is one of {STATE_CHOICES}", 'leave it at "auto"'
            )
        group = find_group(env)
        self.env = env
        self._actions = group.actions
        self._parts = group.parts
        no_ops = [int(space.start) for space in group.actions]
        if is_plain_wrapper(env):
            self._source: ByAgent | ByGroup = ByAgent(env.env, group.members, no_ops)
        else:
            self._source = ByGroup(env, group.group_id, group.places)
        longest = max(flat_size(parts.obs) for parts in self._parts)
        self._state_mode = self._choose_state(state)
        super().__init__(
            n_agents=len(self._parts),
            n_actions=max(int(space.n) for space in self._actions),
            obs_size=longest,
            state_size=self._count_state(longest),
            agent_names=[str(member) for member in group.members],
        )
        self._last: dict[str, Observation] = {}
        self.render_mode = getattr(env, "render_mode", None)
        self.observation_layout = find_layout(env)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        """Starts an episode of the wrapped environment."""
        self._last = {}
        self._last = self._adapt(self._source.reset(seed, options))
        return self._last, {TEAM: {}}

    def step(self, action_dict: dict[str, np.ndarray]) -> StepResult:
        """Plays one step of the wrapped environment."""
        actions = [
            # An action that this member lacks is masked; only a random sampler gives one.
            int(space.start) + min(int(action), int(space.n) - 1)
            for action, space in zip(action_dict[TEAM], self._actions, strict=True)
        ]
        answer = self._source.step(actions)
        if answer.observed or not (answer.terminated or answer.truncated):
            self._last = self._adapt(answer)
        return self._transition(
            self._last,
            answer.rewards,
            terminated=answer.terminated,
            truncated=answer.truncated,
            team_reward=answer.reward,
            **_info(answer.infos),
        )

    def render(self) -> Any:
        """As the wrapped environment draws itself."""
        return self._inner().render()

    def close(self) -> None:
        """Closes the wrapped environment."""
        self._inner().close()

    def _inner(self) -> Any:
        """The environment that draws and closes: GroupAgentsWrapper passes neither on."""
        return self.env.env if isinstance(self.env, GroupAgentsWrapper) else self.env

    def _adapt(self, answer: Answer) -> dict[str, Observation]:
        """What was told of the members -> the contract's observation."""
        rows = [np.zeros(0, np.float32)] * self.n_agents
        masks = [np.zeros(0, bool)] * self.n_agents
        states: dict[int, np.ndarray] = {}
        for i, value in answer.observed.items():
            rows[i], legal, state = self._parts[i].read(value)
            if state is not None:
                states[i] = state
            if i not in answer.ended:
                masks[i] = legal
        obs = pad_rows(rows, self.obs_size)
        mask = keep_one_legal(pad_rows(masks, self.n_actions, np.int8))
        return self._observation(obs, mask, self._join(states, obs))

    def _join(self, states: dict[int, np.ndarray], obs: np.ndarray) -> np.ndarray:
        """The members' states -> (S,)."""
        if self._state_mode == "observations":
            return concat_state(obs)
        if self._state_mode == "concatenate":
            absent = (np.zeros(parts.state_size, np.float32) for parts in self._parts)
            return np.concatenate([states.get(i, zeros) for i, zeros in enumerate(absent)])
        if not states:  # nobody is there to tell it: as it was
            return self._last[TEAM][STATE].copy() if self._last else np.zeros(self.state_size, "f")
        if not _all_equal(states.values()):
            raise broken(
                'the members of the group see different states under "state"',
                "a state that was shared at first (or said to be) is the same for all members",
                'as_grouped_env(env, state="concatenate")',
            )
        return next(iter(states.values())).copy()

    def _choose_state(self, wanted: str) -> str:
        """ "shared", "concatenate", or "observations" where no member has a state."""
        with_state = [parts.state is not None for parts in self._parts]
        if not any(with_state):
            return "observations"
        if not all(with_state):
            raise broken(
                f'"state" is in the space of {self._parts[with_state.index(True)].agent!r} and not '
                f"in that of {self._parts[with_state.index(False)].agent!r}",
                "either every member observes a state or none does",
                "give it to all members, or leave it out",
            )
        sizes = {parts.state_size for parts in self._parts}
        if wanted != "auto":
            return wanted
        return "shared" if len(sizes) == 1 and self._probe_shared() else "concatenate"

    def _count_state(self, obs_size: int) -> int:
        """S."""
        if self._state_mode == "observations":
            return len(self._parts) * obs_size
        sizes = [parts.state_size for parts in self._parts]
        return sizes[0] if self._state_mode == "shared" else sum(sizes)

    def _probe_shared(self) -> bool:
        """Plays some seeded random steps; True if all members saw the same state in each.

        Old environments seed the global generators in `reset`, so those are put back afterwards;
        the environment's own is seeded afresh, or all copies would go on with the same numbers.
        """
        kept_random, kept_numpy = random.getstate(), np.random.get_state()
        try:
            rng = np.random.default_rng(0)
            answer = self._source.reset(0, None)
            for _ in range(PROBE_STEPS):
                if not self._same_states(answer):
                    return False
                if answer.terminated or answer.truncated:
                    return True
                answer = self._source.step(self._random_legal(answer, rng))
            return self._same_states(answer)
        finally:
            self._source.reset(int(np.random.SeedSequence().generate_state(1)[0] >> 1), None)
            random.setstate(kept_random)
            np.random.set_state(kept_numpy)

    def _same_states(self, answer: Answer) -> bool:
        observed = answer.observed.items()
        return _all_equal(self._parts[i].read(value)[2] for i, value in observed)

    def _random_legal(self, answer: Answer, rng: np.random.Generator) -> list[int]:
        actions = [int(space.start) for space in self._actions]
        for i, value in answer.observed.items():
            legal = np.flatnonzero(self._parts[i].read(value)[1])
            actions[i] += int(rng.choice(legal)) if len(legal) else 0
        return actions


def _all_equal(states: Iterable[Any]) -> bool:
    """Whether arrays, or none at all, are the same."""
    first, *rest = [*states] or [None]
    return all(np.array_equal(state, first) for state in rest)


def _info(infos: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The infos there are -> "win" where one tells it, and all of them."""
    told = [bool(np.any(info[key])) for info in infos for key in WIN_KEYS if key in info]
    return ({WIN: any(told)} if told else {}) | ({GROUP_INFO: list(infos)} if infos else {})
