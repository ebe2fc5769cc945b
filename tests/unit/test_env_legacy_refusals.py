"""What of RLlib's old QMIX cannot come under the contract is refused in words."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, Space, Text, Tuple
from ray.rllib.env.multi_agent_env import MultiAgentEnv

from env_registry.contract import (
    TEAM,
    ContractError,
    as_grouped_env,
)
from tests.envs.legacy_two_step import OldTwoStepGame, make_env
from tests.envs.scripted import BOXES, Scripted


class TwoGroups(Scripted):
    def grouped(self) -> MultiAgentEnv:
        return self.with_agent_groups({"red": ["a0"], "blue": ["a1"]})


class LeftOut(Scripted):
    def grouped(self) -> MultiAgentEnv:
        return self.with_agent_groups({"red": ["a0"]})


def _dict(**parts: Space) -> Dict:
    return Dict({"obs": Box(-1, 1, (2,)), **parts})


D2 = [Discrete(2)] * 2


REFUSED: dict[str, tuple[Any, str]] = {
    "plain": (
        lambda: Scripted(*BOXES),
        r'env = env.with_agent_groups\(\{"team": \[\'a0\', \'a1\'\]\}\)',
    ),
    "plain old": (lambda: OldTwoStepGame(), r'with_agent_groups\(\{"team": \[0, 1\]\}\)'),
    "single agent": (lambda: gym.make("CartPole-v1"), "gymnasium.Env"),
    "no env": (lambda: 7, "a int"),
    "two groups": (lambda: TwoGroups(*BOXES).grouped(), "2 groups"),
    "left out": (lambda: LeftOut(*BOXES).grouped(), r"\['a1'\] are in no group"),
    "Box actions": (
        lambda: Scripted([Box(-1, 1, (2,))] * 2, [Box(-1, 1, (2,))] * 2).grouped(),
        "Discrete actions",
    ),
    "image": (lambda: Scripted([Box(0, 255, (8, 8, 3))] * 2, D2).grouped(), "image"),
    "text": (lambda: Scripted([Text(5)] * 2, D2).grouped(), "one of Box, Discrete"),
    "no obs": (
        lambda: Scripted([Dict({"action_mask": MultiBinary(2)})] * 2, D2).grouped(),
        '"obs"',
    ),
    "other key": (
        lambda: Scripted([_dict(avail_actions=MultiBinary(2))] * 2, D2).grouped(),
        "avail_actions",
    ),
    "short mask": (
        lambda: Scripted([_dict(action_mask=MultiBinary(3))] * 2, D2).grouped(),
        "each of its 2 actions",
    ),
    "one state": (
        lambda: Scripted([_dict(state=Discrete(2)), _dict()], D2).grouped(),
        "every member observes a state or none does",
    ),
    "no Tuple": (
        lambda: Scripted(*BOXES).with_agent_groups(
            {"g": ["a0", "a1"]}, obs_space=Box(0, 1, (2,)), act_space=Tuple(D2)
        ),
        "Tuple spaces",
    ),
    "unequal Tuples": (
        lambda: Scripted(*BOXES).with_agent_groups(
            {"g": ["a0", "a1"]}, obs_space=Tuple([Box(0, 1, (2,))]), act_space=Tuple(D2)
        ),
        "1 observation and 2 action",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_grouped_is_refused_in_words(case: str) -> None:
    make, words = REFUSED[case]
    with pytest.raises(ContractError, match=words) as caught:
        as_grouped_env(make())
    assert "rule:" in str(caught.value)
    assert "remedy:" in str(caught.value)


def test_a_wrong_state_option_is_refused() -> None:
    with pytest.raises(ContractError, match="concatenate"):
        as_grouped_env(make_env({}), state="first")


@pytest.mark.parametrize("value", [np.zeros(3), "text", None])
def test_an_observation_outside_its_space_is_refused_in_words(value: Any) -> None:
    game = Scripted(*BOXES, lambda t: [np.zeros(2), value if t == 1 else np.zeros(2)])
    env = as_grouped_env(game.grouped())
    env.reset()
    with pytest.raises(ContractError, match="the .obs. of agent .a1. is"):
        env.step({TEAM: np.array([0, 0])})
