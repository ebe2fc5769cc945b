"""Environments made for RLlib's old QMIX come under the contract as they are."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from ray.rllib.env.multi_agent_env import MultiAgentEnv
from ray.rllib.examples.envs.classes.multi_agent.two_step_game import (
    TwoStepGame,
    TwoStepGameWithGroupedAgents,
)

from env_registry.contract import (
    ACTION_MASK,
    ALL,
    OBS,
    STATE,
    TEAM,
    ContractError,
    as_grouped_env,
    check_env,
)
from tests.envs.legacy_two_step import AGENTS, PARTS, make_env
from tests.envs.scripted import BOXES, Scripted


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("infer_spaces", [False, True])
def test_the_old_two_step_game_as_it_is(parts: str, infer_spaces: bool) -> None:
    old = make_env({"parts": parts, "infer_spaces": infer_spaces})
    assert old.possible_agents == []  # what Ray's new API stack stumbles over
    env = as_grouped_env(old)
    check_env(env)
    space = env.observation_spaces[TEAM]
    assert space[OBS].shape == (2, 5)
    assert space[ACTION_MASK].shape == (2, 2)
    assert space[STATE].shape == ((3,) if parts == "state" else (10,))
    obs, _ = env.reset(seed=0)
    assert obs[TEAM][OBS].tolist() == [[1, 0, 0, 1, 0], [1, 0, 0, 0, 1]]
    _, rewards, terminateds, _, _ = env.step({TEAM: np.array([1, 0])})
    assert (rewards[TEAM], terminateds[ALL]) == (0.0, False)
    obs, rewards, terminateds, truncateds, infos = env.step({TEAM: np.array([1, 1])})
    assert (rewards[TEAM], terminateds[ALL], truncateds[ALL]) == (8.0, True, False)
    assert infos[TEAM]["agent_rewards"].tolist() == [4.0, 4.0]
    if parts == "state":
        assert obs[TEAM][STATE].tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("config", "obs_size", "state_size"),
    [
        ({}, 6, 12),  # Discrete(6), one-hot
        ({"one_hot_state_encoding": True}, 9, 18),  # MultiDiscrete([2, 2, 2, 3]), one-hot
        ({"one_hot_state_encoding": True, "separate_state_space": True}, 9, 6),
    ],
)
def test_rllibs_own_example(config: dict[str, bool], obs_size: int, state_size: int) -> None:
    by_groups = TwoStepGame(config).with_agent_groups({"agents": [0, 1]})
    for old in (by_groups, TwoStepGameWithGroupedAgents(config)):
        env = as_grouped_env(old)
        check_env(env)
        assert (env.obs_size, env.state_size) == (obs_size, state_size)


def test_unequal_sizes_are_padded_and_masked() -> None:
    game = Scripted(
        [Box(-1, 1, (2, 2)), Box(-1, 1, (1,)), MultiBinary(3)],
        [Discrete(2), Discrete(4), Discrete(3, start=5)],
        lambda t: [np.full((2, 2), 0.5), np.array([-1.0]), np.array([1, 0, 1])],
    )
    env = as_grouped_env(game.grouped())
    check_env(env)
    obs, _ = env.reset()
    assert obs[TEAM][OBS].tolist() == [[0.5] * 4, [-1, 0, 0, 0], [1, 0, 1, 0]]
    assert obs[TEAM][ACTION_MASK].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 0]]
    assert env.action_spaces[TEAM] == MultiDiscrete([4, 4, 4])
    _, rewards, _, _, infos = env.step({TEAM: np.array([1, 3, 2])})
    assert game.actions[-1] == (1, 3, 7)
    assert rewards[TEAM] == 3.0
    assert infos[TEAM]["agent_rewards"].tolist() == [0, 1, 2]
    env.step({TEAM: np.array([3, 3, 3])})  # illegal, from a sampler that knows no mask
    assert game.actions[-1] == (1, 3, 7)


def _with_state(*states: Any) -> list[dict[str, Any]]:
    return [
        {"obs": np.zeros(1, np.float32), "state": np.array(state, np.float32)} for state in states
    ]


STATE_SPACE = Dict({"obs": Box(-1, 1, (1,)), "state": Box(-9, 9, (2,))})


TWO_STATES = ([STATE_SPACE] * 2, [Discrete(2)] * 2)


def test_equal_states_are_used_once_and_different_ones_concatenated() -> None:
    shared = as_grouped_env(
        Scripted(*TWO_STATES, lambda t: _with_state([t, 1], [t, 1])).grouped(),
    )
    assert shared.reset()[0][TEAM][STATE].tolist() == [0, 1]
    apart = as_grouped_env(
        Scripted(*TWO_STATES, lambda t: _with_state([t, 1], [t, 1 + (t == 2)])).grouped()
    )  # different only at step 2: the probe plays so far
    check_env(apart)
    assert apart.reset()[0][TEAM][STATE].tolist() == [0, 1, 0, 1]


def test_states_that_come_apart_after_the_probe_are_refused_in_words() -> None:
    def states(t: int) -> list[dict[str, Any]]:
        return _with_state([t, 1], [t, 1 + (t == 60)])

    game = Scripted(*TWO_STATES, states, length=70)
    env = as_grouped_env(game.grouped())
    env.reset()
    with pytest.raises(ContractError, match='state="concatenate"'):
        for _ in range(60):
            env.step({TEAM: np.array([0, 0])})
    env = as_grouped_env(game.grouped(), state="concatenate")
    check_env(env)
    assert env.state_size == 4


def test_the_probe_leaves_no_trace() -> None:
    random.seed(3)
    np.random.seed(3)
    expected = random.random(), np.random.random()
    random.seed(3)
    np.random.seed(3)
    first = Scripted(*TWO_STATES, lambda t: _with_state([t, 1], [t, 1]))
    second = Scripted(*TWO_STATES, lambda t: _with_state([t, 1], [t, 1]))
    as_grouped_env(first.grouped()), as_grouped_env(second.grouped())
    assert (random.random(), np.random.random()) == expected
    # The last reset seeds the environment afresh: two that nobody seeds do not play the same.
    assert first.seeds[-1] != second.seeds[-1]


def test_a_dead_member_keeps_a_no_op() -> None:
    space = Dict({"obs": Box(-1, 1, (1,)), "action_mask": Box(0, 1, (3,))})
    masks = [np.zeros(3), np.array([0.0, 1.0, 0.0])]
    game = Scripted(
        [space] * 2,
        [Discrete(3)] * 2,
        lambda t: [{"obs": np.zeros(1), "action_mask": mask} for mask in masks],
    )
    env = as_grouped_env(game.grouped())
    check_env(env)
    assert env.reset()[0][TEAM][ACTION_MASK].tolist() == [[1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize(
    ("ends_by", "flags"),
    [("terminated", (True, False)), ("cut", (False, True)), ("both", (True, False))],
)
def test_truncation_is_not_termination(ends_by: str, flags: tuple[bool, bool]) -> None:
    env = as_grouped_env(Scripted(*BOXES, lambda t: np.zeros((2, 2)), 1, ends_by).grouped())
    env.reset()
    _, _, terminateds, truncateds, _ = env.step({TEAM: np.array([0, 0])})
    assert (terminateds[ALL], truncateds[ALL]) == flags


@pytest.mark.parametrize("key", ["win", "battle_won"])
@pytest.mark.parametrize("value", [True, 0])
def test_a_win_is_passed_on(key: str, value: Any) -> None:
    env = as_grouped_env(Scripted(*BOXES, length=1, info={key: value}).grouped())
    env.reset()
    assert env.step({TEAM: np.array([0, 0])})[4][TEAM]["win"] is bool(value)


class HandMade(MultiAgentEnv):
    """One agent with Tuple spaces, made without `with_agent_groups`; ends without observation."""

    def __init__(self) -> None:
        self._agent_ids = {"squad"}
        super().__init__()
        self.observation_space = Tuple([Discrete(3)] * 2)
        self.action_space = Tuple([Discrete(2)] * 2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return {"squad": (0, 2)}, {}

    def step(self, action_dict: Any) -> Any:
        assert action_dict == {"squad": (1, 0)}
        return {}, {"squad": 6}, {ALL: True}, {ALL: False}, {}


def test_a_group_made_by_hand() -> None:
    env = as_grouped_env(HandMade())
    assert env.reset()[0][TEAM][OBS].tolist() == [[1, 0, 0], [0, 0, 1]]
    obs, rewards, terminateds, _, infos = env.step({TEAM: np.array([1, 0])})
    assert obs[TEAM][OBS].tolist() == [[1, 0, 0], [0, 0, 1]]
    assert (rewards[TEAM], terminateds[ALL]) == (6.0, True)
    assert infos[TEAM]["agent_rewards"].tolist() == [3, 3]


def test_the_agents_of_the_example_are_the_group() -> None:
    assert make_env({}).groups == {"group_1": AGENTS}  # type: ignore[attr-defined]
