"""Gymnasium environments of several agents, by their ids or registered by the user."""

from __future__ import annotations

from typing import Any

import gymnasium
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
    as_grouped_env,
    check_env,
)
from env_registry.gymnasium_env import TupleGame
from env_registry.team import TeamEnv
from tests.envs.tuples import Tuples, TuplesWithState


def _step(env: Any, *actions: int) -> Any:
    return env.step({TEAM: np.array(actions)})


def test_tuples_become_a_team() -> None:
    game = Tuples(rewards=[1.0, np.float64(10)])
    env = as_grouped_env(game)
    check_env(env)
    assert env.agent_names == ("agent_0", "agent_1")
    obs, _ = env.reset(seed=0)
    assert obs[TEAM][OBS].tolist() == [[0, 1, 0], [0, 0, 1]]
    assert obs[TEAM][ACTION_MASK].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert obs[TEAM][STATE].tolist() == [0, 1, 0, 0, 0, 1]
    _, rewards, _, _, infos = _step(env, 1, 2)
    assert (rewards[TEAM], infos[TEAM][AGENT_REWARDS].tolist()) == (11, [1, 10])
    assert game.taken == [(1, 2)]
    _step(env, 0, 0)
    assert _step(env, 0, 0)[2][ALL] is True


@pytest.mark.parametrize(
    ("rewards", "expected"),
    [([1, 2], [1, 2]), (np.array([1.0, 2.0]), [1, 2]), (6.0, [3, 3]), (np.float32(4), [2, 2])],
)
def test_rewards_in_every_form(rewards: Any, expected: list[float]) -> None:
    env = as_grouped_env(Tuples(rewards=rewards))
    env.reset(seed=0)
    _, team, _, _, infos = _step(env, 0, 0)
    assert (team[TEAM], infos[TEAM][AGENT_REWARDS].tolist()) == (sum(expected), expected)


def test_a_list_of_ends_is_over_when_all_are() -> None:
    game = Tuples(ends=[[False, True], (False, True), np.array([True, True])])
    env = as_grouped_env(game)
    env.reset(seed=0)
    steps = [_step(env, 1, 2) for _ in range(3)]
    assert [step[2][ALL] for step in steps] == [False, False, True]
    # One that has ended is still observed, and has no choice any more.
    masks = [step[0][TEAM][ACTION_MASK].tolist() for step in steps]
    assert masks == [[[1, 1, 0], [1, 0, 0]]] * 2 + [[[1, 0, 0], [1, 0, 0]]]
    assert game.taken == [(1, 2), (1, 0), (1, 0)]  # one that has ended does nothing


@pytest.mark.parametrize("name", ["action_mask", "avail_actions", "available_actions"])
def test_masks_and_wins_in_the_info(name: str) -> None:
    info = {name: [[0, 1], [1, 0, 1]], "battle_won": True}
    env = as_grouped_env(Tuples(info=info, length=1))
    env.reset(seed=0)
    obs, *_, infos = _step(env, 0, 0)
    assert infos[TEAM]["win"] is True
    env = as_grouped_env(Tuples(info=[{"action_mask": [0, 1]}, None]))
    env.reset(seed=0)
    assert _step(env, 0, 0)[0][TEAM][ACTION_MASK].tolist() == [[0, 1, 0], [1, 1, 1]]


ACTIONS: list[Any] = [
    (spaces.MultiDiscrete([2, 3]), [2, 3], (1, 2), [1, 2]),
    (
        spaces.Tuple([spaces.MultiDiscrete([2, 2]), spaces.Discrete(3, start=4)]),
        [4, 3],
        (2, 2),
        ([1, 0], 6),
    ),
    (spaces.Tuple([spaces.Box(-1, 1, (1,))] * 2), [5, 5], (0, 3), ([-1.0], [0.5])),
]


@pytest.mark.parametrize(("space", "counts", "chosen", "taken"), ACTIONS)
def test_actions_are_of_the_environment_s_space(
    space: spaces.Space, counts: Any, chosen: Any, taken: Any
) -> None:
    game = Tuples(actions=space)
    env = as_grouped_env(game)
    check_env(env)
    assert env.reset(seed=0)[0][TEAM][ACTION_MASK].sum(axis=1).tolist() == counts
    _step(env, *chosen)
    assert [np.asarray(one).tolist() for one in game.taken[0]] == list(taken)


class ByName(Tuples):
    """Dicts by agent."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_space = spaces.Dict({"b": spaces.Discrete(2), "a": spaces.Discrete(3)})
        self.action_space = spaces.Dict({"b": spaces.Discrete(2), "a": spaces.Discrete(2)})
        self.observations = {"b": 1, "a": 2}
        self.rewards = {"a": 1.0, "b": 2.0}


def test_dicts_by_agent() -> None:
    game = ByName()
    env = as_grouped_env(game)
    check_env(env)
    names = dict(zip(env.agent_names, env.reset(seed=0)[0][TEAM][OBS].tolist(), strict=True))
    assert names == {"a": [0, 0, 1], "b": [0, 1, 0]}
    assert _step(env, 0, 1)[1][TEAM] == 3


def test_the_state_is_the_environment_s_own() -> None:
    env = as_grouped_env(TuplesWithState())
    assert env.reset(seed=0)[0][TEAM][STATE].tolist() == [0, 5, 6, 7]
    limited = TeamEnv(TupleGame(TuplesWithState()), state="observations", max_episode_steps=2)
    assert limited.reset(seed=0)[0][TEAM][STATE].size == 6
    _step(limited, 0, 0)
    assert _step(limited, 0, 0)[3][ALL] is True


class FourValues(Tuples):
    def step(self, actions: Any) -> Any:
        return (*super().step(actions)[:3], {})


class NoSeed(Tuples):
    def reset(self) -> Any:  # type: ignore[override]
        return super().reset()[0]


class OnlyObservations(Tuples):
    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return super().reset()[0]


REFUSED: dict[str, tuple[Any, str]] = {
    "four values": (FourValues(), "returned 4 values"),
    "no seed": (NoSeed(), "takes no seed"),
    "observations only": (OnlyObservations(), "reset returned"),
    "one observation": (Tuples(observations=(np.zeros(2),)), "one for each of the 2 agents"),
    "rewards of three": (Tuples(rewards=[1, 2, 3]), "the rewards are [1, 2, 3]"),
    "ends of three": (Tuples(ends=[[True] * 3]), "the terminated are [True, True, True]"),
    "none observed": (Tuples(observations=(None, 2)), "agent 'agent_0' observes None"),
    "out of its space": (Tuples(observations=(np.zeros(2), 7)), "agent 'agent_1' observes 7"),
    "a fractional mask": (Tuples(info={"action_mask": [[1, 0.5], [1, 1, 1]]}), "entry 0.5"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_forms_are_refused_in_words(case: str) -> None:
    game, words = REFUSED[case]
    with pytest.raises(ContractError) as caught:
        env = as_grouped_env(game)
        env.reset(seed=0)
        _step(env, 0, 0)
    assert words in str(caught.value)
    assert "remedy:" in str(caught.value)


def test_one_agent_is_no_team() -> None:
    with pytest.raises(ContractError, match="one agent is no team"):
        env_registry.make("gymnasium", task="CartPole-v1")
    with pytest.raises(ContractError, match="Tuples of spaces"):
        as_grouped_env(gymnasium.make("CartPole-v1"))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"task": "rware-tiny-2ag-v2"}, 'in front: "rware:rware-tiny-2ag-v2"'),
        (
            {"task": "Foraging-8x8-2p-2f-v3"},
            'in front: "lbforaging:Foraging-8x8-2p-2f-v3"',
        ),
        ({"task": "CartPole-v9"}, "nearest: CartPole-v1"),
        ({"task": "no_such_module:game-v0"}, "No module named 'no_such_module'"),
        ({"task": "a b"}, "a task is module:id"),
        ({"n_action": 3}, "did you mean 'n_actions'"),
    ],
)
def test_mistakes_are_answered_before_anything_is_built(config: Any, words: str) -> None:
    if config.get("task") in gymnasium.registry:
        pytest.skip("it is registered already, by a test that ran before")
    with pytest.raises(EnvConfigError) as caught:
        env_registry.validate("gymnasium", config)
    assert words in str(caught.value)


def test_a_missing_package_is_named_with_what_installs_it(monkeypatch: Any) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert env_registry.installed("gymnasium") == (
        False,
        "task 'rware:rware-tiny-2ag-v2' of environment 'gymnasium' needs rware, not installed "
        'here; install with: pip install "rllib-mmsa[rware]"',
    )
    ok, reason = env_registry.installed("gymnasium", "lbforaging:Foraging-8x8-2p-2f-v3")
    assert not ok and "rllib-mmsa[lbf]" in reason
    assert env_registry.installed("gymnasium", "CartPole-v1") == (True, "")


def test_rware_is_the_package_s_game_by_task_and_registered_by_the_user() -> None:
    pytest.importorskip("rware")
    raw = gymnasium.make("rware-tiny-2ag-v2", disable_env_checker=True)
    for env, truncates in (
        (env_registry.make("gymnasium", task="rware:rware-tiny-2ag-v2"), True),
        (as_grouped_env(gymnasium.make("rware-tiny-2ag-v2")), False),
    ):
        rng = np.random.default_rng(0)
        expected, _ = raw.reset(seed=3)
        obs, _ = env.reset(seed=3)
        for _ in range(500):
            np.testing.assert_array_equal(obs[TEAM][OBS], expected)
            actions = rng.integers(5, size=2)
            obs, rewards, ends, cuts, _ = _step(env, *actions)
            expected, own, over, *_ = raw.step(tuple(actions))
            assert (rewards[TEAM], ends[ALL] or cuts[ALL]) == (sum(own), over)
        assert over and (ends[ALL], cuts[ALL]) == (not truncates, truncates)
    env = env_registry.make("gymnasium", env_kwargs={"msg_bits": 1, "max_steps": 2})
    assert env.n_actions == 10
    env.reset(seed=0)
    assert [_step(env, 0, 0)[3][ALL] for _ in range(2)] == [False, True]
    with pytest.raises(ContractError, match="unexpected keyword argument 'msg'"):
        env_registry.make("gymnasium", env_kwargs={"msg": 1})


def test_lbforaging_s_own_ids(monkeypatch: Any) -> None:
    game = pytest.importorskip("lbforaging.foraging.environment").ForagingEnv
    spawn = game.spawn_players

    def on_an_empty_board(self: Any, *levels: Any) -> None:
        # The package keeps clear of the last episode's positions: a seed then repeats no episode
        # in one of some forty checks. `env: lbf` mends it in the same way.
        for player in self.players:
            player.position = None
        spawn(self, *levels)

    monkeypatch.setattr(game, "spawn_players", on_an_empty_board)
    env = env_registry.make("gymnasium", task="lbforaging:Foraging-8x8-3p-2f-v3")
    check_env(env)
    shared = {"task": "lbforaging:Foraging-8x8-2p-2f-v3", "team_reward": "mean"}
    check_env(env_registry.make("gymnasium", **shared), episodes=3)
    assert (env.n_agents, env.n_actions, env.obs_size) == (3, 6, 15)
