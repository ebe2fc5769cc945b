"""PettingZoo environments play on under the contract; what cannot is refused in words."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

import env_registry
from env_registry import EnvConfigError
from env_registry.contract import (
    ACTION_MASK,
    AGENT_REWARDS,
    ALL,
    OBS,
    STATE,
    TEAM,
    ContractError,
    check_env,
)

installed, reason = env_registry.installed("pettingzoo")
if not installed:
    pytest.skip(reason, allow_module_level=True)

from pettingzoo import AECEnv, ParallelEnv  # noqa: E402

from env_registry.pettingzoo_env import ParallelTeamEnv, PettingZooEnv  # noqa: E402

TASKS = ("simple_spread_v3", "simple_speaker_listener_v4", "simple_reference_v3")


@pytest.mark.parametrize("task", TASKS)
def test_the_game_is_the_package_s_under_the_same_actions(task: str) -> None:
    env = PettingZooEnv(f"mpe2.{task}")
    game = importlib.import_module(f"mpe2.{task}").parallel_env()
    rng = np.random.default_rng(0)
    obs, _ = env.reset(seed=4)
    raw, _ = game.reset(seed=4)
    for step in range(1, 26):
        for row, mask, agent in zip(
            obs[TEAM][OBS], obs[TEAM][ACTION_MASK], game.possible_agents, strict=True
        ):
            np.testing.assert_array_equal(row[: raw[agent].size], raw[agent])
            assert not row[raw[agent].size :].any()
            assert mask.tolist() == [i < game.action_space(agent).n for i in range(mask.size)]
        np.testing.assert_array_equal(obs[TEAM][STATE], game.state())
        actions = rng.integers(obs[TEAM][ACTION_MASK].sum(axis=1))
        obs, rewards, terminateds, truncateds, infos = env.step({TEAM: actions})
        raw, raw_rewards, *_ = game.step(dict(zip(game.agents, actions.tolist(), strict=True)))
        assert rewards[TEAM] == sum(raw_rewards.values())
        np.testing.assert_allclose(infos[TEAM][AGENT_REWARDS], list(raw_rewards.values()))
        assert truncateds[ALL] == (step == 25)  # the package's own limit
        assert not terminateds[ALL]


class Mine(ParallelEnv):
    """Agents with a life of given length; every number says where it comes from.

    An agent observes [t + 1, place], earns 1, 10, 100 ... a step, and ends by termination, or
    by truncation if its name says so.
    """

    metadata = {"name": "mine_v0", "is_parallelizable": True}

    def __init__(self, lives: dict[str, int], win: bool | None = None, masks: Any = None) -> None:
        self.possible_agents = list(lives)
        self.agents: list[str] = []
        self.lives, self.win, self.masks = lives, win, masks
        self.taken: list[dict[str, Any]] = []

    def observation_space(self, agent: str) -> spaces.Space:
        return spaces.Box(0, 100, (2,), np.float64)

    def action_space(self, agent: str) -> spaces.Space:
        return spaces.Discrete(2 + self.possible_agents.index(agent))

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        self.t, self.taken, self.agents = 0, [], list(self.possible_agents)
        return self._observe(), self._infos()

    def step(self, actions: dict[str, Any]) -> Any:
        assert list(actions) == self.agents
        self.taken.append(actions)
        self.t += 1
        ended = {agent: self.t >= self.lives[agent] for agent in self.agents}
        result = (
            self._observe(),
            {agent: 10.0 ** self.possible_agents.index(agent) for agent in self.agents},
            {agent: end and "late" not in agent for agent, end in ended.items()},
            {agent: end and "late" in agent for agent, end in ended.items()},
            self._infos(),
        )
        self.agents = [agent for agent in self.agents if not ended[agent]]
        return result

    def _observe(self) -> dict[str, Any]:
        return {a: np.array([self.t + 1, self.possible_agents.index(a)]) for a in self.agents}

    def _infos(self) -> dict[str, dict[str, Any]]:
        infos: dict[str, dict[str, Any]] = {agent: {} for agent in self.agents}
        for agent in self.agents:
            if self.win is not None:
                infos[agent]["battle_won"] = self.win
            if self.masks:
                infos[agent]["action_mask"] = np.array(self.masks[agent])
        return infos


def _play(env: Any) -> list[Any]:
    """All that `step` returned until the end, with every agent's highest action."""
    env.reset(seed=0)
    steps = []
    while not steps or not (steps[-1][2][ALL] or steps[-1][3][ALL]):
        steps.append(env.step({TEAM: np.arange(env.n_agents) + 1}))
        assert len(steps) < 50
    return steps


def test_an_agent_that_dies_observes_zeros_and_keeps_a_no_op_that_is_not_played() -> None:
    game = Mine({"a": 2, "b": 4})
    env = ParallelTeamEnv(game)
    check_env(env)
    steps = _play(env)
    assert [list(step[0][TEAM][OBS][0]) for step in steps] == [[2, 0], [3, 0], [0, 0], [0, 0]]
    assert [step[0][TEAM][ACTION_MASK].tolist() for step in steps[:3]] == [
        [[1, 1, 0], [1, 1, 1]],
        [[1, 0, 0], [1, 1, 1]],  # it sees how it ended, and has nothing left to do
        [[1, 0, 0], [1, 1, 1]],
    ]
    assert [step[1][TEAM] for step in steps] == [11, 11, 10, 10]
    assert [step[4][TEAM][AGENT_REWARDS].tolist() for step in steps[1:3]] == [[1, 10], [0, 10]]
    assert [list(taken) for taken in game.taken] == [["a", "b"], ["a", "b"], ["b"], ["b"]]
    assert game.taken[0] == {"a": 1, "b": 2}


class Relay(Mine):
    """Each agent comes in the step in which the one before it ends."""

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed, options)
        self.agents = self.possible_agents[:1]
        return self._observe(), self._infos()

    def step(self, actions: dict[str, Any]) -> Any:
        before = list(self.agents)
        obs, *others, infos = super().step(actions)
        gone = [agent for agent in before if agent not in self.agents]
        following = [self.possible_agents.index(agent) + 1 for agent in gone]
        self.agents += [self.possible_agents[i] for i in following if i < len(self.lives)]
        return {**obs, **self._observe()}, *others, {**infos, **self._infos()}


def test_an_agent_that_comes_when_all_others_end_plays_on() -> None:
    game = Relay({"a": 2, "b": 5})
    env = ParallelTeamEnv(game)
    check_env(env)
    steps = _play(env)
    assert [list(taken) for taken in game.taken] == [["a"], ["a"], ["b"], ["b"], ["b"]]
    assert steps[1][0][TEAM][ACTION_MASK].tolist() == [[1, 0, 0], [1, 1, 1]]
    assert [step[2][ALL] for step in steps] == [False] * 4 + [True]


@pytest.mark.parametrize(
    ("lives", "terminated", "length"),
    [
        ({"a": 3, "b": 3}, True, 3),
        ({"a": 1, "b": 3}, True, 3),
        ({"a late": 3, "b late": 3}, False, 3),
        ({"a": 1, "b late": 3}, False, 3),  # one died before, the limit cut the other
        ({"a": 3, "b late": 3}, False, 3),  # one died in the last step: the other would go on
        ({"a late": 1, "b": 3}, True, 3),
    ],
)
def test_an_episode_is_cut_if_an_agent_is_in_its_last_step(
    lives: dict[str, int], terminated: bool, length: int
) -> None:
    steps = _play(ParallelTeamEnv(Mine(lives)))
    assert len(steps) == length
    assert steps[-1][2] == {TEAM: terminated, ALL: terminated}
    assert steps[-1][3] == {TEAM: not terminated, ALL: not terminated}
    assert not any(step[2][ALL] or step[3][ALL] for step in steps[:-1])


def test_a_limit_of_one_s_own_truncates_unless_the_game_ends_with_it() -> None:
    steps = _play(ParallelTeamEnv(Mine({"a": 9, "b": 9}), max_episode_steps=4))
    assert len(steps) == 4
    assert steps[-1][3][ALL] and not steps[-1][2][ALL]
    # Cut by the limit, the agents keep their actions: targets look at them.
    assert steps[-1][0][TEAM][ACTION_MASK].tolist() == [[1, 1, 0], [1, 1, 1]]
    steps = _play(ParallelTeamEnv(Mine({"a": 4, "b": 4}), max_episode_steps=4))
    assert steps[-1][2][ALL] and not steps[-1][3][ALL]


def test_masks_from_infos_are_obeyed() -> None:
    env = ParallelTeamEnv(Mine({"a": 2, "b": 2}, masks={"a": [0, 1], "b": [1, 0, 1]}))
    check_env(env)
    obs, _ = env.reset(seed=0)
    assert obs[TEAM][ACTION_MASK].tolist() == [[0, 1, 0], [1, 0, 1]]
    env = ParallelTeamEnv(Mine({"a": 2, "b": 2}, masks={"a": [0, 0], "b": [1, 1, 1]}))
    assert env.reset(seed=0)[0][TEAM][ACTION_MASK].tolist() == [[1, 0, 0], [1, 1, 1]]
    env = ParallelTeamEnv(Mine({"a": 2, "b": 2}, masks={"a": [1, 1, 1], "b": [1, 1, 1]}))
    with pytest.raises(ContractError, match="'a' has an action mask of 3 entries"):
        env.reset(seed=0)


@pytest.mark.parametrize("win", [True, False])
def test_a_win_is_told_on_the_last_step_only_and_only_if_the_game_tells(win: bool) -> None:
    steps = _play(ParallelTeamEnv(Mine({"a": 1, "b": 3}, win=win)))
    assert ["win" in step[4][TEAM] for step in steps] == [False, False, True]
    assert steps[-1][4][TEAM]["win"] is win
    assert "win" not in _play(ParallelTeamEnv(Mine({"a": 2})))[-1][4][TEAM]


def test_team_rewards() -> None:
    for team_reward, expected in (("sum", [11, 11, 10]), ("mean", [5.5, 5.5, 5])):
        steps = _play(ParallelTeamEnv(Mine({"a": 2, "b": 3}), team_reward=team_reward))
        assert [step[1][TEAM] for step in steps] == expected
    env = ParallelTeamEnv(Mine({"a": 2, "b": 3}), team_reward="shared")
    env.reset(seed=0)
    with pytest.raises(ContractError, match=r"rewards are \[1.0, 10.0\]"):
        env.step({TEAM: np.zeros(2, int)})
    assert _play(ParallelTeamEnv(Mine({"a": 3}), team_reward="shared"))[0][1][TEAM] == 1


class Parts(Mine):
    """`Mine` with spaces by the agent's name, and what it is sent kept."""

    OBSERVATIONS = {
        "dict": spaces.Dict(
            {
                "observation": spaces.Box(0, 9, (2, 2), np.int64),
                "action_mask": spaces.Box(0, 1, (3,), np.int8),
            }
        ),
        "discrete": spaces.Discrete(3),
        "image": spaces.Box(0, 255, (2, 2, 3), np.uint8),
        "tuple": spaces.Tuple((spaces.Discrete(2), spaces.Box(0, 9, (1,)))),
    }
    VALUES = {
        "dict": {"observation": np.array([[1, 2], [3, 4]]), "action_mask": np.array([1, 0, 1])},
        "discrete": 1,
        "image": np.full((2, 2, 3), 200, np.uint8),
        "tuple": (1, np.array([7.0])),
    }
    ACTIONS = {
        "dict": spaces.Discrete(3, start=5),
        "discrete": spaces.Box(-1, 1, (2,), np.float32),
        "image": spaces.MultiDiscrete([2, 3]),
        "tuple": spaces.MultiBinary(2),
    }

    def observation_space(self, agent: str) -> spaces.Space:
        return self.OBSERVATIONS[agent]

    def action_space(self, agent: str) -> spaces.Space:
        return self.ACTIONS[agent]

    def _observe(self) -> dict[str, Any]:
        return {agent: self.VALUES[agent] for agent in self.agents}


def test_every_kind_of_space_is_flattened_and_every_action_is_of_its_space() -> None:
    game = Parts(dict.fromkeys(Parts.OBSERVATIONS, 3))
    env = ParallelTeamEnv(game, n_actions=3)
    check_env(env)
    obs, _ = env.reset(seed=0)
    assert obs[TEAM][OBS].tolist() == [
        [1, 2, 3, 4] + [0] * 8,
        [0, 1, 0] + [0] * 9,
        [200] * 12,
        [0, 1, 7] + [0] * 9,
    ]
    mask = obs[TEAM][ACTION_MASK]
    assert mask[0].tolist() == [1, 0, 1, 0, 0, 0, 0, 0, 0]
    assert mask[1:].sum(axis=1).tolist() == [9, 6, 4]
    env.step({TEAM: np.array([2, 5, 4, 1])})
    taken = game.taken[-1]
    assert all(game.action_space(agent).contains(taken[agent]) for agent in taken), taken
    assert taken["dict"] == 7
    assert taken["discrete"].tolist() == [0, 1]  # combination 5 of (-1, 0, 1)^2
    assert taken["image"].tolist() == [1, 1]
    assert taken["tuple"].tolist() == [0, 1]
    env.step({TEAM: np.full(4, 8)})  # beyond what some have: modulo, never a failure
    assert all(game.action_space(agent).contains(game.taken[-1][agent]) for agent in taken)


class WithState(Mine):
    """`Mine` with a state of two by two numbers."""

    def state(self) -> np.ndarray:
        return np.full((2, 2), self.t, np.float64)


def test_states() -> None:
    for game, state, expected in (
        (WithState({"a": 3}), "auto", [1, 1, 1, 1]),
        (WithState({"a": 3}), "state", [1, 1, 1, 1]),
        (WithState({"a": 3}), "observations", [2, 0]),
        (Mine({"a": 3}), "auto", [2, 0]),
    ):
        env = ParallelTeamEnv(game, state=state)
        check_env(env)
        env.reset(seed=0)
        assert env.step({TEAM: np.zeros(1, int)})[0][TEAM][STATE].tolist() == expected
    with pytest.raises(ContractError, match="has no state"):
        ParallelTeamEnv(Mine({"a": 3}), state="state")


def test_seeds() -> None:
    env = PettingZooEnv()

    def start(seed: int | None) -> tuple[float, ...]:
        return tuple(env.reset(seed=seed)[0][TEAM][STATE])

    seeded = [start(seed) for seed in (1, 2)]
    env.step({TEAM: np.array([1, 2, 3])})
    assert [start(seed) for seed in (1, 2)] == seeded
    fresh = tuple(PettingZooEnv().reset()[0][TEAM][STATE])
    assert len({*seeded, start(None), start(None), fresh}) == 5


def test_continuous_actions_are_sent_as_levels_between_the_bounds() -> None:
    env = PettingZooEnv(env_kwargs={"continuous_actions": True}, n_actions=2)
    assert env.n_actions == 2**5
    check_env(env)


def test_supersuit_s_wrappers_are_applied_in_order() -> None:
    pytest.importorskip("supersuit")
    task = "mpe2.simple_speaker_listener_v4"
    env = PettingZooEnv(
        task, wrappers=["pad_observations_v0", {"frame_stack_v1": {"stack_size": 2}}]
    )
    assert env.obs_size == 2 * PettingZooEnv(task).obs_size
    check_env(env)


class Turns(AECEnv):
    """Agents that take turns: nothing of it is called."""

    metadata = {"name": "turns_v0"}


class Endless(Mine):
    """Actions without bounds."""

    def action_space(self, agent: str) -> spaces.Space:
        return spaces.Box(-np.inf, np.inf, (1,))


class Large(Mine):
    """A screen for an observation."""

    def observation_space(self, agent: str) -> spaces.Space:
        return spaces.Box(0, 255, (200, 300, 3), np.uint8)


class Text(Mine):
    """Words for an observation."""

    def observation_space(self, agent: str) -> spaces.Space:
        return spaces.Sequence(spaces.Discrete(3))


class Short(Mine):
    """Observes less than it declares."""

    def observation_space(self, agent: str) -> spaces.Space:
        return spaces.Box(0, 1, (3,))


class Whole(Mine):
    """A Box of whole numbers for an action."""

    def action_space(self, agent: str) -> spaces.Space:
        return spaces.Box(0, 3, (1,), np.int64)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ParallelTeamEnv(Turns()), "agents take turns"),
        (lambda: ParallelTeamEnv(Endless({"a": 1})), "lowest and a highest value"),
        (lambda: ParallelTeamEnv(Large({"a": 1})), "180000 numbers"),
        (lambda: ParallelTeamEnv(Text({"a": 1})), "a fixed number of numbers"),
        (lambda: ParallelTeamEnv(Whole({"a": 1})), "floating-point"),
        (lambda: ParallelTeamEnv(Short({"a": 1})).reset(), "observes 2 numbers"),
        (lambda: ParallelTeamEnv(Mine({})), "no possible_agents"),
        (lambda: ParallelTeamEnv(object()), "ParallelEnv"),  # type: ignore[arg-type]
        (lambda: ParallelTeamEnv(Mine({"a": 1}), state="all"), "state is 'all'"),
        (lambda: ParallelTeamEnv(Mine({"a": 1}), team_reward="max"), "team_reward is 'max'"),
        (lambda: PettingZooEnv(env_kwargs={"n": 5}), "unexpected keyword argument 'n'"),
        (lambda: PettingZooEnv(wrappers=["frame_stack_v9"]), "did you mean 'frame_stack"),
        (
            lambda: PettingZooEnv(env_kwargs={"continuous_actions": True}, n_actions=9),
            "59049 combinations",
        ),
    ],
)
def test_what_cannot_be_a_team_is_refused_in_words(make: Any, words: str) -> None:
    with pytest.raises(ContractError) as caught:
        make()
    assert words in str(caught.value)
    assert "remedy:" in str(caught.value)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"task": "mpe2.simple_spred_v3"}, "nearest: mpe2.simple_spread_v3"),
        ({"task": "mpe2.simple_spread_v2"}, "no module"),
        ({"task": "mpe3.simple_spread_v3"}, 'no module "mpe3" installed here'),
        ({"task": "json"}, "none of parallel_env, env, raw_env"),
        ({"task": "json:lods"}, "did you mean loads"),
        ({"task": "simple spread"}, "no import path"),
        ({"n_actions": 1}, "must be 2 or more"),
        ({"max_episode_steps": 0}, "must be 1 or more"),
        ({"wrappers": [5]}, "has the entry 5"),
        ({"wrappers": ["black_death_v3"]}, "agents that die are handled here"),
        ({"wrappers": [{"resize_v1": 20}]}, "must be a mapping"),
        ({"wrappers": "resize_v1"}, "of type list"),
        ({"team_reward": "max"}, "valid: mean, shared, sum"),
    ],
)
def test_mistakes_are_answered_before_anything_is_built(config: Any, words: str) -> None:
    with pytest.raises(EnvConfigError) as caught:
        env_registry.validate("pettingzoo", config)
    assert words in str(caught.value)


def test_a_module_whose_import_fails_says_why(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_more.py").write_text("import not_there_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EnvConfigError, match="No module named 'not_there_at_all'"):
        env_registry.validate("pettingzoo", {"task": "needs_more"})


def test_supersuit_s_black_death_ends_both_ways_and_late() -> None:
    """Why it is refused; if it is ever corrected, this says so."""
    supersuit = pytest.importorskip("supersuit")
    game = supersuit.black_death_v3(Mine({"a": 1, "b": 2}))
    game.reset()
    flags = []
    while game.agents:
        *_, ends, limits, _ = game.step(dict.fromkeys(game.agents, 0))
        flags.append((any(ends.values()), any(limits.values())))
    assert flags == [(False, False), (False, False), (True, True)]
