"""Environments in the form of gym, or that return something else: what to change is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Tuple

from env_registry.contract import TEAM, ContractError, as_grouped_env
from tests.envs.coming_and_going import Written, flags

BOTH = ["a", "b"]
STEP = "step returns (observations, rewards, terminateds, truncateds, infos)"


class NoSeed(Written):
    def reset(self) -> Any:  # type: ignore[override]
        return super().reset()[0]


class NoSeedButInfos(Written):
    def reset(self) -> Any:  # type: ignore[override]
        return super().reset()


class ObservationsOnly(Written):
    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return super().reset()[0]


class NoneFromReset(Written):
    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (NoSeed, "NoSeed.reset takes no seed"),
        (NoSeedButInfos, "NoSeedButInfos.reset takes no seed"),
        (ObservationsOnly, "ObservationsOnly.reset returned a dict"),
        (NoneFromReset, "NoneFromReset.reset returned None"),
    ],
)
def test_a_reset_in_gym_s_form_is_refused_in_words(kind: Any, words: str) -> None:
    with pytest.raises(ContractError, match=words) as caught:
        as_grouped_env(kind([BOTH, BOTH]).grouped()).reset(seed=0)
    assert "gymnasium" in str(caught.value)


class SeedOnly(Written):
    def reset(self, seed: int | None = None) -> Any:  # type: ignore[override]
        return super().reset(seed=seed)


class AnyKeys(Written):
    def reset(self, **keys: Any) -> Any:
        return super().reset(**keys)


@pytest.mark.parametrize("kind", [SeedOnly, AnyKeys])
def test_a_reset_that_takes_a_seed_gets_it(kind: Any) -> None:
    game = kind([BOTH, BOTH])
    as_grouped_env(game.grouped()).reset(seed=5)
    assert game.seeds == [5]


class Returns(Written):
    """Returns of a step what a test makes of it."""

    change: Callable[[Any], Any]

    def step(self, action_dict: Any) -> Any:
        return self.change(super().step(action_dict))


def _set(part: int, value: Any) -> Callable[[Any], Any]:
    return lambda step: (*step[:part], value, *step[part + 1 :])


STEPS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "gym's four": (lambda step: (*step[:3], {}), "returned 4 values"),
    "nothing": (lambda step: None, "returned None"),
    "one dictionary": (lambda step: step[0], "returned a dict"),
    "no observations": (_set(0, None), "returned None for its observations"),
    "a list of observations": (_set(0, [[0, 1], [0, 2]]), "for its observations"),
    "one reward": (_set(1, 1.0), "returned 1.0 for its rewards"),
    "no rewards": (_set(1, None), "returned None for its rewards"),
    "one done": (_set(2, False), "returned False for its terminateds"),
    "no truncateds": (_set(3, None), "returned None for its truncateds"),
    "infos in a list": (_set(4, [{}, {}]), "for its infos"),
    "an end that is none": (_set(2, flags(a=[1, 0])), "the end of 'a' is told as [1, 0]"),
    "none for one": (_set(0, {"a": np.zeros(2), "b": None}), "the 'obs' of agent 'b' is None"),
    "other shape": (
        _set(0, {"a": np.zeros(2), "b": np.zeros((3, 1))}),
        "of shape (3, 1)",
    ),
    "ragged": (_set(0, {"a": np.zeros(2), "b": [[1], [1, 2]]}), "the 'obs' of agent 'b' is"),
}


@pytest.mark.parametrize("case", STEPS)
def test_a_step_in_another_form_is_refused_in_words(case: str) -> None:
    change, words = STEPS[case]
    game = Returns([BOTH, BOTH, BOTH])
    game.change = change
    env = as_grouped_env(game.grouped())
    env.reset(seed=0)
    with pytest.raises(ContractError) as caught:
        env.step({TEAM: np.zeros(2, int)})
    assert words in str(caught.value)
    assert "remedy:" in str(caught.value)


MASKED = Dict({"obs": Box(-9, 9, (2,)), "action_mask": Box(-9, 9, (3,)), "state": Box(-9, 9, (1,))})


class Masked(Written):
    """An observation with parts, changed by a test."""

    changed: dict[str, Any] = {}
    left_out = ""

    def observe(self, agent: Any) -> Any:
        whole = {"obs": np.zeros(2), "action_mask": np.ones(3), "state": np.ones(1), **self.changed}
        return {key: value for key, value in whole.items() if key != self.left_out}


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        ([1, -1, 0], "entry -1"),
        ([0.5, 1, 0], "entry 0.5"),
        ([np.nan, 1, 0], "entry nan"),
        ([2, 1, 0], "entry 2"),
        ([1, 0], "mask of 2 entries"),
        (None, "mask of 1 entries: None"),
        ("abc", "mask of 0 entries: 'abc'"),
    ],
)
def test_masks_that_are_none_are_refused_in_words(mask: Any, words: str) -> None:
    game = Masked([BOTH, BOTH], space=MASKED)
    game.changed = {"action_mask": mask}
    with pytest.raises(ContractError) as caught:
        as_grouped_env(game.grouped(), state="shared").reset(seed=0)
    assert words in str(caught.value)


@pytest.mark.parametrize("key", ["obs", "action_mask", "state"])
def test_a_part_that_is_missing_is_named(key: str) -> None:
    game = Masked([BOTH, BOTH], space=MASKED)
    game.left_out = key
    with pytest.raises(ContractError, match=f"its space has '{key}'"):
        as_grouped_env(game.grouped(), state="shared").reset(seed=0)


class GroupsItself(Written):
    """One agent with Tuples; a step reports too few of them."""

    def __init__(self, ids: Any) -> None:
        super().__init__([BOTH, ids, ids])
        self.inner = Written([BOTH, ids, ids]).grouped()
        self.possible_agents = self.agents = ["g"]
        self.observation_spaces = {"g": Tuple([Box(0, 99, (2,))] * 2)}
        self.action_spaces = {"g": Tuple([Discrete(3)] * 2)}

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.inner.reset(seed=seed)

    def step(self, action_dict: Any) -> Any:
        return self.inner.step(action_dict)


def test_a_group_made_by_the_environment_itself_has_all_its_members() -> None:
    env = as_grouped_env(GroupsItself(["a"]))
    env.reset(seed=0)
    with pytest.raises(ContractError, match="register what with_agent_groups returns"):
        env.step({TEAM: np.zeros(2, int)})


class OldBox:
    """Stands for a space of gym, which need not be installed."""


OldBox.__module__ = "gym.spaces.box"


class OldEnv:
    """Stands for an environment of gym."""


OldEnv.__module__ = "gym.core"


class InOldSpaces(Written):
    def __init__(self) -> None:
        super().__init__([BOTH, BOTH])
        self.observation_space = OldBox()  # type: ignore[assignment]


def test_spaces_and_environments_of_gym_are_named() -> None:
    for env, words in (
        (InOldSpaces(), "the observation_space of InOldSpaces is gym's"),
        (InOldSpaces().grouped(), "the observation_space of InOldSpaces is gym's"),
        (
            Written([BOTH]).with_agent_groups({"g": BOTH}, obs_space=OldBox(), act_space=None),
            "the observation_space of GroupAgentsWrapper is gym's",
        ),
        (OldEnv(), "OldEnv is an environment of gym"),
    ):
        with pytest.raises(ContractError, match=words) as caught:
            as_grouped_env(env)
        assert "from gymnasium.spaces import" in str(caught.value)


def test_spaces_of_the_real_gym_are_named() -> None:
    gym_spaces = pytest.importorskip("gym.spaces")
    space = gym_spaces.Tuple([gym_spaces.Discrete(2)] * 2)
    game = Written([BOTH, BOTH])
    with pytest.raises(ContractError, match="is gym's"):
        as_grouped_env(game.with_agent_groups({"g": BOTH}, obs_space=space, act_space=space))


def test_spaces_by_agent_belong_to_a_multi_agent_env() -> None:
    class ByAgent(gymnasium.Env):
        observation_spaces = {"a": Box(0, 1, (2,)), "b": Box(0, 1, (2,))}
        action_spaces = {"a": Discrete(2), "b": Discrete(2)}

    with pytest.raises(ContractError, match=r"class ByAgent\(MultiAgentEnv\)"):
        as_grouped_env(ByAgent())
