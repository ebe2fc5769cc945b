"""PettingZoo environments play on under the contract: games, spaces, masks, states, seeds."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

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

pytest.importorskip("pettingzoo")
pytest.importorskip("mpe2")

from env_registry.pettingzoo_env import ParallelTeamEnv, PettingZooEnv
from tests.envs.parallel import FixedLives

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


def test_masks_from_infos_are_obeyed() -> None:
    env = ParallelTeamEnv(FixedLives({"a": 2, "b": 2}, masks={"a": [0, 1], "b": [1, 0, 1]}))
    check_env(env)
    obs, _ = env.reset(seed=0)
    assert obs[TEAM][ACTION_MASK].tolist() == [[0, 1, 0], [1, 0, 1]]
    env = ParallelTeamEnv(FixedLives({"a": 2, "b": 2}, masks={"a": [0, 0], "b": [1, 1, 1]}))
    assert env.reset(seed=0)[0][TEAM][ACTION_MASK].tolist() == [[1, 0, 0], [1, 1, 1]]
    env = ParallelTeamEnv(FixedLives({"a": 2, "b": 2}, masks={"a": [1, 1, 1], "b": [1, 1, 1]}))
    with pytest.raises(ContractError, match="'a' has an action mask of 3 entries"):
        env.reset(seed=0)


class Parts(FixedLives):
    """`FixedLives` with spaces by the agent's name, and what it is sent kept."""

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


class WithState(FixedLives):
    """`FixedLives` with a state of two by two numbers."""

    def state(self) -> np.ndarray:
        return np.full((2, 2), self.t, np.float64)


def test_states() -> None:
    for game, state, expected in (
        (WithState({"a": 3}), "auto", [1, 1, 1, 1]),
        (WithState({"a": 3}), "state", [1, 1, 1, 1]),
        (WithState({"a": 3}), "observations", [2, 0]),
        (FixedLives({"a": 3}), "auto", [2, 0]),
    ):
        env = ParallelTeamEnv(game, state=state)
        check_env(env)
        env.reset(seed=0)
        assert env.step({TEAM: np.zeros(1, int)})[0][TEAM][STATE].tolist() == expected
    with pytest.raises(ContractError, match="has no state"):
        ParallelTeamEnv(FixedLives({"a": 3}), state="state")


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
