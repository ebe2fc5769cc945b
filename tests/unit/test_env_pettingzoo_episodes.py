"""A PettingZoo team's episode: agents that die and come, its end, its rewards, a win."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from env_registry.contract import (
    ACTION_MASK,
    AGENT_REWARDS,
    ALL,
    OBS,
    TEAM,
    ContractError,
    check_env,
)

pytest.importorskip("pettingzoo")
pytest.importorskip("mpe2")

from env_registry.pettingzoo_env import ParallelTeamEnv
from tests.envs.parallel import FixedLives, play


def test_an_agent_that_dies_observes_zeros_and_keeps_a_no_op_that_is_not_played() -> None:
    game = FixedLives({"a": 2, "b": 4})
    env = ParallelTeamEnv(game)
    check_env(env)
    steps = play(env)
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


class Relay(FixedLives):
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
    steps = play(env)
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
    steps = play(ParallelTeamEnv(FixedLives(lives)))
    assert len(steps) == length
    assert steps[-1][2] == {TEAM: terminated, ALL: terminated}
    assert steps[-1][3] == {TEAM: not terminated, ALL: not terminated}
    assert not any(step[2][ALL] or step[3][ALL] for step in steps[:-1])


def test_a_limit_of_one_s_own_truncates_unless_the_game_ends_with_it() -> None:
    steps = play(ParallelTeamEnv(FixedLives({"a": 9, "b": 9}), max_episode_steps=4))
    assert len(steps) == 4
    assert steps[-1][3][ALL] and not steps[-1][2][ALL]
    # Cut by the limit, the agents keep their actions: targets look at them.
    assert steps[-1][0][TEAM][ACTION_MASK].tolist() == [[1, 1, 0], [1, 1, 1]]
    steps = play(ParallelTeamEnv(FixedLives({"a": 4, "b": 4}), max_episode_steps=4))
    assert steps[-1][2][ALL] and not steps[-1][3][ALL]


@pytest.mark.parametrize("win", [True, False])
def test_a_win_is_told_on_the_last_step_only_and_only_if_the_game_tells(win: bool) -> None:
    steps = play(ParallelTeamEnv(FixedLives({"a": 1, "b": 3}, win=win)))
    assert ["win" in step[4][TEAM] for step in steps] == [False, False, True]
    assert steps[-1][4][TEAM]["win"] is win
    assert "win" not in play(ParallelTeamEnv(FixedLives({"a": 2})))[-1][4][TEAM]


def test_team_rewards() -> None:
    for team_reward, expected in (("sum", [11, 11, 10]), ("mean", [5.5, 5.5, 5])):
        steps = play(ParallelTeamEnv(FixedLives({"a": 2, "b": 3}), team_reward=team_reward))
        assert [step[1][TEAM] for step in steps] == expected
    env = ParallelTeamEnv(FixedLives({"a": 2, "b": 3}), team_reward="shared")
    env.reset(seed=0)
    with pytest.raises(ContractError, match=r"rewards are \[1.0, 10.0\]"):
        env.step({TEAM: np.zeros(2, int)})
    assert play(ParallelTeamEnv(FixedLives({"a": 3}), team_reward="shared"))[0][1][TEAM] == 1
