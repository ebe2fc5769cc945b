"""Members of a group that leave, come later, take turns; what is told of them, and their order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete

from env_registry.contract import (
    ACTION_MASK,
    AGENT_REWARDS,
    ALL,
    OBS,
    STATE,
    TEAM,
    ContractError,
    as_grouped_env,
    check_env,
)
from tests.envs.coming_and_going import Seeing, Written, flags

BOTH = ["a", "b"]
NO_OP, FREE = [1, 0, 0], [1, 1, 1]


def _play(env: Any, action: int = 2) -> list[Any]:
    """The reset and all steps, with the same action of every member in each."""
    steps = [(env.reset(seed=0)[0], {}, {ALL: False}, {ALL: False}, {})]
    while not (steps[-1][2][ALL] or steps[-1][3][ALL]):
        steps.append(env.step({TEAM: np.full(env.n_agents, action)}))
        assert len(steps) < 30
    return steps


def _of(steps: list[Any], key: str) -> list[Any]:
    return [step[0][TEAM][key].tolist() for step in steps]


@pytest.mark.parametrize("told", [flags(b=True), flags(a=False, b=True)])
@pytest.mark.parametrize("last_seen", [BOTH, ["a"]])
def test_a_member_that_dies_sees_zeros_has_a_no_op_and_earns_nothing(
    told: dict[str, bool], last_seen: list[str]
) -> None:
    game = Written([BOTH, BOTH, last_seen, ["a"], ["a"]], [flags(), told, flags(), flags(over=1)])
    env = as_grouped_env(game.grouped())
    check_env(env)
    steps = _play(env)
    end = [2, 2] if "b" in last_seen else [0, 0]  # some see how they ended
    assert _of(steps, OBS) == [
        [[0, 1], [0, 2]],
        [[1, 1], [1, 2]],
        [[2, 1], end],
        [[3, 1], [0, 0]],
        [[4, 1], [0, 0]],
    ]
    assert _of(steps, ACTION_MASK) == [[FREE, FREE]] * 2 + [[FREE, NO_OP]] * 3
    assert game.taken == [{"a": 7, "b": 7}] * 2 + [{"a": 7}] * 2
    assert [step[1][TEAM] for step in steps[1:]] == [11, 11, 1, 1]
    assert steps[-1][4][TEAM][AGENT_REWARDS].tolist() == [1, 0]


def test_an_environment_that_asks_for_a_dead_member_s_action_gets_its_no_op() -> None:
    game = Written([BOTH, ["a"], ["a"]], [flags(b=True), flags(over=True)])
    _play(as_grouped_env(game.grouped()))
    assert game.asked == [[7, 7], [7, 5]]


def test_members_that_take_turns_act_in_their_own_only() -> None:
    game = Written([["a"], ["b"], ["a"], ["b"]])
    env = as_grouped_env(game.grouped())
    check_env(env)
    steps = _play(env)
    assert game.taken == [{"a": 7}, {"b": 7}, {"a": 7}]
    assert _of(steps, OBS)[:2] == [[[0, 1], [0, 0]], [[0, 0], [1, 2]]]
    assert _of(steps, ACTION_MASK)[:2] == [[FREE, NO_OP], [NO_OP, FREE]]
    assert [step[1][TEAM] for step in steps[1:]] == [1, 10, 1]


def test_a_member_that_comes_back_plays_on_and_each_episode_has_its_own_number() -> None:
    game = Written(
        [["b"], BOTH, ["b"], BOTH, BOTH], [flags(), flags(a=True), flags(), flags(over=1)]
    )
    env = as_grouped_env(game.grouped())
    for _ in range(2):
        _play(env)
        assert game.taken == [{"b": 7}, {"a": 7, "b": 7}, {"b": 7}, {"a": 7, "b": 7}]


def test_nobody_is_there_for_a_while() -> None:
    env = as_grouped_env(Written([BOTH, [], BOTH]).grouped())
    assert _of(_play(env), OBS) == [[[0, 1], [0, 2]], [[0, 0], [0, 0]], [[2, 1], [2, 2]]]


GONE: dict[str, tuple[Any, Any, Any, bool]] = {
    # RLlib's PettingZoo wrappers leave "__all__" False where the members ended differently.
    "one died, one was cut": ([BOTH, []], [flags(a=True)], [flags(b=True)], False),
    "one by one": ([BOTH, ["a"], []], [flags(b=True), flags(a=True)], [flags()] * 2, True),
    "no __all__": ([BOTH, ["a"], []], [{"b": True}, {"a": True}], [{}, {}], True),
    "no __all__, cut": ([BOTH, BOTH], [{}], [{"a": True, "b": True}], False),
    "one was never there": ([["a"], ["a"]], [{"a": True}], [{"a": False}], True),
    "both say so": ([BOTH, BOTH], [flags(over=True)], [flags(over=True)], True),
}


@pytest.mark.parametrize("case", GONE)
def test_the_episode_is_over_when_all_members_are(case: str) -> None:
    there, ends, cuts, terminated = GONE[case]
    steps = _play(as_grouped_env(Written(there, ends, cuts).grouped()))
    assert len(steps) == len(there)
    assert (steps[-1][2][ALL], steps[-1][3][ALL]) == (terminated, not terminated)


def test_it_goes_on_while_a_member_may_still_come() -> None:
    game = Written([["a"], [], ["b"], ["b"]], [flags(a=True), flags(), flags(b=True, over=True)])
    assert len(_play(as_grouped_env(game.grouped()))) == 4


class Rewarding(Written):
    """Gives what a test says for rewards and infos."""

    given: Any = None
    told: Any = None

    def rewards(self) -> Any:
        return self.given

    def infos(self) -> Any:
        return self.told


REWARDS: list[Any] = [
    ({"a": np.array([1.5]), "b": np.float64(2)}, [1.5, 2]),
    ({"a": None, "b": 3}, [0, 3]),
    ({"b": np.array(4.0)}, [0, 4]),
    ({}, [0, 0]),
]


@pytest.mark.parametrize(("given", "expected"), REWARDS)
@pytest.mark.parametrize("told", [None, {}, {"a": None}, {"__common__": {"x": 1}}, {"b": {"x": 1}}])
def test_rewards_and_infos_may_be_partial(given: Any, expected: Any, told: Any) -> None:
    game = Rewarding([BOTH, BOTH])
    game.given, game.told = given, told
    env = as_grouped_env(game.grouped())
    check_env(env)
    assert _play(env)[-1][4][TEAM][AGENT_REWARDS].tolist() == expected


@pytest.mark.parametrize("value", [[1.0, 2.0], "1x", {}])
def test_a_reward_that_is_no_number_is_refused_in_words(value: Any) -> None:
    game = Rewarding([BOTH, BOTH])
    game.given = {"a": 0.0, "b": value}
    with pytest.raises(ContractError, match="the reward of agent 'b' is"):
        _play(as_grouped_env(game.grouped()))


def test_what_is_given_to_agents_outside_the_group_is_refused() -> None:
    game = Rewarding([BOTH, BOTH])
    game.given = {"a": 0.0, "c": 1.0}
    with pytest.raises(ContractError, match=r"rewards to the agents \['c'\]"):
        _play(as_grouped_env(game.grouped()))


BOX = Box(-9, 9, (2,))
STATES = Dict({"obs": BOX, "state": BOX})


class State(Seeing):
    """The state is the time."""

    def observe(self, agent: Any) -> Any:
        return {"obs": [1, 1], "state": [self.t, 7 if agent == self.value else 0]}


def test_the_state_of_members_that_are_there() -> None:
    there = [BOTH, ["b"], [], ["a"]]
    shared = _play(as_grouped_env(State(there, space=STATES).grouped()))
    assert _of(shared, STATE) == [[0, 0], [1, 0], [1, 0], [3, 0]]  # as it was, if nobody sees it
    game = State(there, space=STATES)
    game.value = "b"
    apart = _play(as_grouped_env(game.grouped()))
    assert _of(apart, STATE) == [[0, 0, 0, 7], [0, 0, 1, 7], [0, 0, 0, 0], [3, 0, 0, 0]]


def test_pettingzoo_in_rllib_s_wrappers() -> None:
    pytest.importorskip("pettingzoo")
    from pettingzoo.utils.conversions import parallel_to_aec
    from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv, PettingZooEnv

    from tests.envs.parallel import FixedLives

    class Lax(FixedLives):
        """Takes what RLlib's wrapper hands on: some parallel environments do."""

        def action_space(self, agent: str) -> Any:
            return Discrete(3)

    lives = {"a": 2, "b late": 4, "c": 4}
    parallel = as_grouped_env(ParallelPettingZooEnv(Lax(lives)).with_agent_groups({"g": [*lives]}))
    steps = _play(parallel)
    assert _of(steps, OBS)[2:] == [[[3, 0], [3, 1], [3, 2]], [[0, 0], [4, 1], [4, 2]]] + [
        [[0, 0], [5, 1], [5, 2]]
    ]
    assert [step[1][TEAM] for step in steps[1:]] == [111, 111, 110, 110]
    assert (steps[-1][2][ALL], steps[-1][3][ALL]) == (False, True)  # c died, b was cut
    turns = PettingZooEnv(parallel_to_aec(Lax(lives))).with_agent_groups({"g": [*lives]})
    steps = _play(as_grouped_env(turns))
    assert sum(step[1][TEAM] for step in steps[1:]) == 442
    assert all((np.sum(mask, axis=1) == 3).sum() <= 1 for mask in _of(steps, ACTION_MASK))
    assert (steps[-1][2][ALL], steps[-1][3][ALL]) == (False, True)


@pytest.mark.slow
def test_knights_archers_zombies_in_rllib_s_wrapper() -> None:
    pytest.importorskip("pymunk", reason="the family of PettingZoo's Butterfly")
    pytest.importorskip("pygame")
    from pettingzoo.butterfly import knights_archers_zombies_v11
    from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv

    game = ParallelPettingZooEnv(knights_archers_zombies_v11.parallel_env(max_cycles=900))
    env = as_grouped_env(game.with_agent_groups({"g": game.possible_agents}))
    assert env.agent_names == ("archer_0", "archer_1", "knight_0", "knight_1")
    rng = np.random.default_rng(0)
    for seed in range(30):  # a second each, until somebody dies before the end
        obs, _ = env.reset(seed=seed)
        dead, over = False, False
        while not over:
            legal = [rng.choice(np.flatnonzero(row)) for row in obs[TEAM][ACTION_MASK]]
            obs, _, ends, cuts, _ = env.step({TEAM: np.array(legal)})
            over = ends[ALL] or cuts[ALL]
            gone = ~obs[TEAM][OBS].any(axis=1)
            dead = dead or (not over and gone.any())
            assert (obs[TEAM][ACTION_MASK][gone].sum(axis=1) == 1).all()
        if dead:
            return
    raise AssertionError("nobody died before the end")
