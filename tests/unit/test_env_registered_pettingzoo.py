"""A PettingZoo environment that a user registered as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from env_registry.contract import ALL, OBS, STATE, TEAM, ContractError, as_grouped_env, check_env

pytest.importorskip("pettingzoo")

from pettingzoo import AECEnv
from pettingzoo.utils.conversions import parallel_to_aec

from env_registry.pettingzoo_env import ParallelTeamEnv, PettingZooEnv
from tests.envs.parallel import FixedLives


class Turns(AECEnv):
    """Agents that take turns: nothing of it is called."""

    metadata = {"name": "turns_v0"}


def test_it_is_wrapped_as_env_pettingzoo_does() -> None:
    for game in (FixedLives({"a": 2, "b": 3}), parallel_to_aec(FixedLives({"a": 2, "b": 3}))):
        env = as_grouped_env(game)
        check_env(env)
        assert isinstance(env, ParallelTeamEnv)
        assert env.agent_names == ("a", "b")
    with pytest.raises(ContractError, match="agents take turns"):
        as_grouped_env(Turns())


class FromASet(FixedLives):
    """Its agents come from a set."""

    def __init__(self, lives: dict[str, int]) -> None:
        super().__init__(lives)
        self.listed = self.possible_agents
        self.possible_agents = set(lives)  # type: ignore[assignment]

    def action_space(self, agent: str) -> Any:
        return spaces.Discrete(2)

    def _observe(self) -> dict[str, Any]:
        return {a: np.array([self.t, self.listed.index(a)]) for a in self.agents}


def test_possible_agents_from_a_set_are_in_one_order() -> None:
    env = ParallelTeamEnv(FromASet({"b10": 3, "a": 3, "b9": 3}))
    assert env.agent_names == ("a", "b9", "b10")
    assert env.reset(seed=0)[0][TEAM][OBS][:, 1].tolist() == [1, 2, 0]
    listed = ParallelTeamEnv(FixedLives({"b": 3, "a": 3}))
    assert listed.agent_names == ("b", "a")  # a list is an order


class BrokenState(FixedLives):
    """Its state fails, as multiwalker_v9's does."""

    def state(self) -> Any:
        raise KeyError("walker_0")


def test_a_state_that_fails_is_not_taken() -> None:
    env = ParallelTeamEnv(BrokenState({"a": 3}))
    check_env(env)
    obs, _ = env.reset(seed=0)
    assert obs[TEAM][STATE].tolist() == obs[TEAM][OBS].ravel().tolist()
    with pytest.raises(ContractError, match="no state.* that works: KeyError: 'walker_0'"):
        ParallelTeamEnv(BrokenState({"a": 3}), state="state")


class StateUntil(FixedLives):
    """Its state is gone from some step on."""

    until = 3

    def state(self) -> Any:
        if self.t >= self.until:
            raise AttributeError("position")
        return np.array([self.t])


def test_a_state_that_is_gone_at_the_end_is_as_it_was_and_before_the_end_it_is_an_error() -> None:
    env = ParallelTeamEnv(StateUntil({"a": 3}))
    check_env(env)
    env.reset(seed=0)
    states = [env.step({TEAM: np.zeros(1, int)})[0][TEAM][STATE].tolist() for _ in range(3)]
    assert states == [[1], [2], [2]]
    env = ParallelTeamEnv(StateUntil({"a": 4}))
    env.reset(seed=0)
    with pytest.raises(ContractError, match='state: "observations"'):
        for _ in range(3):
            env.step({TEAM: np.zeros(1, int)})


@pytest.mark.slow
def test_multiwalker_plays_to_its_end() -> None:
    pytest.importorskip("Box2D")
    env = PettingZooEnv("pettingzoo.sisl.multiwalker_v9", {"max_cycles": 60}, n_actions=2)
    rng = np.random.default_rng(0)
    for seed in range(5):
        env.reset(seed=seed)
        over = False
        while not over:
            _, _, ends, cuts, _ = env.step({TEAM: rng.integers(env.n_actions, size=env.n_agents)})
            over = ends[ALL] or cuts[ALL]


class Given(FixedLives):
    """A step with one part changed."""

    part, value = 0, None

    def step(self, actions: Any) -> Any:
        result = list(super().step(actions))
        result[self.part] = self.value
        return tuple(result)


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        (0, {"a": None}, "agent 'a' observes None"),
        (0, {"a": [[1], [1, 2]]}, "agent 'a' observes"),
        (0, None, "returned None for its observations"),
        (1, {"a": "x"}, "the reward of agent 'a' is 'x'"),
        (2, False, "returned False for its terminateds"),
        (4, {"a": {"action_mask": [1, -1]}}, "entry -1"),
        (4, {"a": {"action_mask": [0.5, 1]}}, "entry 0.5"),
    ],
)
def test_wrong_data_is_named(part: int, value: Any, words: str) -> None:
    game = Given({"a": 3})
    game.part, game.value = part, value
    env = ParallelTeamEnv(game)
    env.reset(seed=0)
    with pytest.raises(ContractError) as caught:
        env.step({TEAM: np.zeros(1, int)})
    assert words in str(caught.value)


def test_infos_and_rewards_that_are_none_are_none() -> None:
    game = Given({"a": 3})
    for part, value in ((4, {"a": None}), (4, None), (1, {"a": None})):
        game.part, game.value = part, value
        check_env(ParallelTeamEnv(game))
