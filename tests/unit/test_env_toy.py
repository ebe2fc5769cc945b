"""The toy games pay what their papers say; the counter's numbers say where they belong."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from env_registry.contract import ACTION_MASK, ALL, OBS, STATE, TEAM
from env_registry.toy import CLIMBING, ClimbingEnv, CounterEnv, TwoStepEnv


@pytest.mark.parametrize(
    "actions", list(itertools.product(itertools.product(range(2), repeat=2), repeat=2))
)
def test_two_step_payoffs(actions: tuple[tuple[int, int], tuple[int, int]]) -> None:
    env = TwoStepEnv()
    obs, _ = env.reset()
    assert obs[TEAM][OBS].tolist() == [[1, 0, 0]] * 2
    obs, rewards, terminateds, _, _ = env.step({TEAM: np.array(actions[0])})
    assert (rewards[TEAM], terminateds[ALL]) == (0.0, False)
    place = 1 + actions[0][0]
    assert obs[TEAM][STATE].tolist() == np.eye(3)[place].tolist()
    _, rewards, terminateds, _, infos = env.step({TEAM: np.array(actions[1])})
    expected = 7 if place == 1 else [[0, 1], [1, 8]][actions[1][0]][actions[1][1]]
    assert (rewards[TEAM], terminateds[ALL]) == (expected, True)
    assert infos[TEAM]["agent_rewards"].sum() == expected


@pytest.mark.parametrize(("first", "second"), list(itertools.product(range(3), repeat=2)))
def test_climbing_payoffs(first: int, second: int) -> None:
    actions = {TEAM: np.array([first, second])}
    env = ClimbingEnv()
    env.reset()
    assert env.step(actions)[1][TEAM] == CLIMBING[first, second]
    payoffs = {
        "penalty": [[-100, 0, 10], [0, 2, 0], [10, 0, -100]],
        "penalty_diagonal": [[10, 0, -100], [0, 2, 0], [-100, 0, 10]],
    }
    for game, expected in payoffs.items():
        env = ClimbingEnv(game=game, penalty=-100)
        env.reset()
        _, rewards, terminateds, _, _ = env.step(actions)
        assert (rewards[TEAM], terminateds[ALL]) == (expected[first][second], True)


@pytest.mark.parametrize("ends_by", ["termination", "truncation", "mixed"])
def test_counter_numbers(ends_by: str) -> None:
    env = CounterEnv(n_agents=3, n_actions=4, ends_by=ends_by)
    lengths, cuts = set(), set()
    for seed in range(30):
        obs, _ = env.reset(seed=seed)
        _, episode, length = obs[TEAM][STATE]
        lengths.add(int(length))
        total, before = 0.0, np.full(3, -1)
        for t in range(int(length) + 1):
            for i in range(3):
                assert obs[TEAM][OBS][i].tolist() == [t, i, episode, before[i]]
                assert obs[TEAM][ACTION_MASK][i].tolist() == [
                    int(action != (t + i) % 4) for action in range(4)
                ]
            assert obs[TEAM][STATE].tolist() == [t, episode, length]
            if t == length:
                break
            before = np.array([(t + i + 1) % 4 for i in range(3)])
            obs, rewards, terminateds, truncateds, infos = env.step({TEAM: before})
            assert infos[TEAM]["agent_rewards"].tolist() == [(t + 1) * (i + 1) for i in range(3)]
            assert infos[TEAM]["illegal_actions"] == 0
            total += rewards[TEAM]
            assert (terminateds[ALL] or truncateds[ALL]) == (t + 1 == length)
        assert total == CounterEnv.episode_return(int(length), 3)
        cuts.add(truncateds[ALL])
    assert lengths == set(range(4, 10))
    assert cuts == {"termination": {False}, "truncation": {True}, "mixed": {False, True}}[ends_by]


def test_counter_length_by_option_and_illegal_actions() -> None:
    env = CounterEnv(n_agents=2, n_actions=3)
    env.reset(seed=0, options={"length": 2})
    _, _, terminateds, _, infos = env.step({TEAM: np.array([0, 1])})
    assert infos[TEAM]["illegal_actions"] == 2
    assert not terminateds[ALL]
    assert env.step({TEAM: np.array([0, 0])})[2][ALL]


@pytest.mark.parametrize(
    ("options", "words"),
    [({"n_actions": 1}, "n_actions"), ({"min_length": 5, "max_length": 4}, "min_length")],
)
def test_counter_options_that_cannot_work(options: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        CounterEnv(**options)  # type: ignore[arg-type]
