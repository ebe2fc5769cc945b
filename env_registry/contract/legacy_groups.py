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
from typing import Any

import numpy as np
from ray.rllib.env.wrappers.group_agents_wrapper import (
    GROUP_INFO,
    GROUP_REWARDS,
    GroupAgentsWrapper,
)

from env_registry.contract.base import (
    ACTION_MASK,
    AGENT_REWARDS,
    ALL,
    OBS,
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
from env_registry.contract.legacy_spaces import find_group, flat_size, flatten
from env_registry.errors import broken

PROBE_STEPS = 50
STATE_CHOICES = ("auto", "shared", "concatenate")
Reset = tuple[dict[str, Observation], dict[str, dict[str, Any]]]


class LegacyGroupedEnv(GroupedEnv):
    """A `with_agent_groups` environment under the contract.

    Observations are flattened (Discrete, MultiBinary, MultiDiscrete: one-hot) and padded with
    zeros to the longest; actions are padded to the most and masked. Bounds are left open: old
    environments were never held to theirs.

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
        self._group_id = group.group_id
        self._actions = group.actions
        self._parts = group.parts
        longest = max(flat_size(parts[OBS]) for parts in self._parts)
        self._state_mode = self._choose_state(state)
        super().__init__(
            n_agents=len(self._parts),
            n_actions=max(int(space.n) for space in self._actions),
            obs_size=longest,
            state_size=self._count_state(longest),
        )
        self._last: dict[str, Observation] = {}
        self.render_mode = getattr(env, "render_mode", None)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        """Starts an episode of the wrapped environment."""
        obs, _ = self.env.reset(seed=seed, options=options)
        self._last = self._adapt(self._of_group(obs))
        return self._last, {TEAM: {}}

    def step(self, action_dict: dict[str, np.ndarray]) -> StepResult:
        """Plays one step of the wrapped environment."""
        actions = tuple(
            # An action that this member lacks is masked; only a random sampler gives one.
            int(space.start) + min(int(action), int(space.n) - 1)
            for action, space in zip(action_dict[TEAM], self._actions, strict=True)
        )
        obs, rewards, terminateds, truncateds, infos = self.env.step({self._group_id: actions})
        terminated, truncated = (
            bool(flags.get(ALL, False) or flags.get(self._group_id, False))
            for flags in (terminateds, truncateds)
        )
        if obs or not (terminated or truncated):  # an old environment may end without a last one
            self._last = self._adapt(self._of_group(obs))
        reward = float(rewards.get(self._group_id, 0.0))
        info = _group_info(infos.get(self._group_id, {}), reward, self.n_agents)
        agent_rewards = info.pop(AGENT_REWARDS)
        return self._transition(
            self._last,
            agent_rewards,
            terminated=terminated,
            truncated=truncated,
            team_reward=reward,
            **info,
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

    def _of_group(self, obs: Any) -> Any:
        """The group's part of an observation dictionary, which must be all of it."""
        if not isinstance(obs, dict) or list(obs) != [self._group_id]:
            found = list(obs) if isinstance(obs, dict) else type(obs).__name__
            raise broken(
                f"the environment's observation has the agents {found}",
                f"the one group {self._group_id!r} must be all of it, each step",
                "put every agent id into the group given to with_agent_groups",
            )
        return obs[self._group_id]

    def _adapt(self, members: Any) -> dict[str, Observation]:
        """One observation per member -> the contract's observation."""
        members = [m if isinstance(m, dict) else {OBS: m} for m in members]
        rows, masks, states = [], [], []
        for i, (member, parts) in enumerate(zip(members, self._parts, strict=True)):
            rows.append(flatten(parts[OBS], member[OBS], i, OBS))
            n_actions = int(self._actions[i].n)
            legal = member[ACTION_MASK] if ACTION_MASK in parts else np.ones(n_actions)
            masks.append(np.asarray(legal).reshape(-1) > 0)
            if STATE in parts:
                states.append(flatten(parts[STATE], member[STATE], i, STATE))
        obs = pad_rows(rows, self.obs_size)
        mask = keep_one_legal(pad_rows(masks, self.n_actions, np.int8))
        return self._observation(obs, mask, self._join(states, obs))

    def _join(self, states: list[np.ndarray], obs: np.ndarray) -> np.ndarray:
        """The members' states -> (S,)."""
        if self._state_mode == "concatenate":
            return np.concatenate(states)
        if self._state_mode != "shared":
            return concat_state(obs)
        if not all(np.array_equal(state, states[0]) for state in states[1:]):
            raise broken(
                'the members of the group see different states under "state"',
                "a state that was shared at first (or said to be) is the same for all members",
                'as_grouped_env(env, state="concatenate")',
            )
        return states[0].copy()

    def _choose_state(self, wanted: str) -> str:
        """ "shared", "concatenate", or "observations" where no member has a state."""
        with_state = [STATE in parts for parts in self._parts]
        if not any(with_state):
            return "observations"
        if not all(with_state):
            raise broken(
                f'"state" is in the space of member {with_state.index(True)} of the group and not '
                f"in that of member {with_state.index(False)}",
                "either every member observes a state or none does",
                "give it to all members, or leave it out",
            )
        sizes = {flat_size(parts[STATE]) for parts in self._parts}
        if wanted != "auto":
            return wanted
        return "shared" if len(sizes) == 1 and self._probe_shared() else "concatenate"

    def _count_state(self, obs_size: int) -> int:
        """S."""
        if self._state_mode == "observations":
            return len(self._parts) * obs_size
        sizes = [flat_size(parts[STATE]) for parts in self._parts]
        return sizes[0] if self._state_mode == "shared" else sum(sizes)

    def _probe_shared(self) -> bool:
        """Plays some seeded random steps; True if all members saw the same state in each.

        Old environments seed the global generators in `reset`, so those are put back afterwards;
        the environment's own is seeded afresh, or all copies would go on with the same numbers.
        """
        kept_random, kept_numpy = random.getstate(), np.random.get_state()
        try:
            rng = np.random.default_rng(0)
            obs, _ = self.env.reset(seed=0)
            for _ in range(PROBE_STEPS):
                members = self._of_group(obs)
                if not self._same_states(members):
                    return False
                actions = self._random_legal(members, rng)
                obs, _, terminateds, truncateds, _ = self.env.step({self._group_id: actions})
                if terminateds.get(ALL) or truncateds.get(ALL):
                    return not obs or self._same_states(self._of_group(obs))
            return True
        finally:
            self.env.reset(seed=int(np.random.SeedSequence().generate_state(1)[0] >> 1))
            random.setstate(kept_random)
            np.random.set_state(kept_numpy)

    def _same_states(self, members: Any) -> bool:
        first, *rest = (
            flatten(parts[STATE], member[STATE], i, STATE)
            for i, (member, parts) in enumerate(zip(members, self._parts, strict=True))
        )
        return all(np.array_equal(state, first) for state in rest)

    def _random_legal(self, members: Any, rng: np.random.Generator) -> tuple[int, ...]:
        actions = []
        for member, space in zip(members, self._actions, strict=True):
            legal = np.flatnonzero(member.get(ACTION_MASK, np.ones(int(space.n))))
            actions.append(int(space.start) + int(rng.choice(legal)) if len(legal) else 0)
        return tuple(actions)


def _group_info(info: dict[str, Any], reward: float, n_agents: int) -> dict[str, Any]:
    """The group's info -> "agent_rewards", "win" where there is one, the members' own infos."""
    adapted: dict[str, Any] = {
        AGENT_REWARDS: info.get(GROUP_REWARDS, [reward / n_agents] * n_agents)
    }
    members = info.get(GROUP_INFO, [])
    if members:
        adapted[GROUP_INFO] = members
    for source in (info, *members):
        for key in WIN_KEYS:
            if isinstance(source, dict) and key in source:
                adapted[WIN] = adapted.get(WIN, False) or bool(source[key])
    return adapted
