"""The order of a group's members is one in every process; their observations are flattened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple

from env_registry.contract import (
    ACTION_MASK,
    AGENT_REWARDS,
    OBS,
    TEAM,
    as_grouped_env,
    check_env,
)
from tests.envs.coming_and_going import Seeing, Written

BOTH = ["a", "b"]
FREE = [1, 1, 1]


NAMES = ["a10", "a2", "b", "a1"]


@pytest.mark.parametrize("members", [NAMES, NAMES[::-1], set(NAMES), frozenset(NAMES)])
def test_names_are_in_one_order_however_they_are_given(members: Any) -> None:
    game = Written([NAMES, NAMES], ids=NAMES)
    env = as_grouped_env(game.grouped(members))
    assert env.agent_names == ("a1", "a2", "a10", "b")
    env.reset(seed=0)
    obs, *_, infos = env.step({TEAM: np.array([0, 1, 2, 0])})
    assert obs[TEAM][OBS][:, 1].tolist() == [4, 2, 1, 3]  # each its own
    assert infos[TEAM][AGENT_REWARDS].tolist() == [1000, 10, 1, 100]
    assert game.taken == [{"a1": 5, "a2": 6, "a10": 7, "b": 5}]


@pytest.mark.parametrize(
    ("members", "names"),
    [([1, 0], ("1", "0")), ((0, 1), ("0", "1")), ({1, 0}, ("0", "1"))],
)
def test_whole_numbers_stay_as_given_unless_they_come_from_a_set(members: Any, names: Any) -> None:
    assert as_grouped_env(Written([[0, 1]] * 2, ids=(0, 1)).grouped(members)).agent_names == names


def test_spaces_given_for_a_group_go_with_their_members() -> None:
    game = Written([BOTH, BOTH])
    game.action_spaces = {"a": Discrete(2), "b": Discrete(3)}
    env = as_grouped_env(
        game.with_agent_groups(
            {"g": ["b", "a"]},
            obs_space=Tuple([Box(0, 99, (2,))] * 2),
            act_space=Tuple([Discrete(3), Discrete(2)]),
        )
    )
    assert env.reset(seed=0)[0][TEAM][ACTION_MASK].tolist() == [[1, 1, 0], [1, 1, 1]]


SCRIPT = """
from env_registry.contract import as_grouped_env
from tests.envs.coming_and_going import Written
ids = {"left", "right", "middle", "top"}
print(as_grouped_env(Written([list(ids)] * 2, ids=ids).grouped(list(ids))).agent_names)
"""


@pytest.mark.slow  # two processes that import Ray
def test_a_list_from_a_set_is_in_the_same_order_in_every_process() -> None:
    root = Path(__file__).resolve().parents[2]
    printed = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            capture_output=True,
            text=True,
            cwd=root,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert printed == {"('left', 'middle', 'right', 'top')\n"}


BOX = Box(-9, 9, (2,))
KINDS: dict[str, tuple[Any, Any, list[float], list[int]]] = {
    "observations": (
        Dict({"observations": BOX, "action_mask": Box(0, 1, (3,), np.int8)}),
        {"observations": [1, 2], "action_mask": [True, False, True]},
        [1, 2],
        [1, 0, 1],
    ),
    "observation": (Dict({"observation": BOX}), {"observation": [1, 2]}, [1, 2], FREE),
    "no obs": (
        Dict({"pos": BOX, "item": Discrete(3), "action_mask": Box(0, 1, (3,), np.int8)}),
        {"pos": [1, 2], "item": 2, "action_mask": np.array([0, 1, 0])},
        [0, 0, 1, 1, 2],  # gymnasium sorts a Dict's keys
        [0, 1, 0],
    ),
    "tuple": (Tuple([BOX, Discrete(2)]), ([1, 2], 0), [1, 2, 1, 0], FREE),
    "nested": (
        Dict({"obs": Tuple([BOX, Dict({"x": MultiDiscrete([2, 2])})])}),
        {"obs": (np.array([1, 2]), {"x": np.array([0, 1])})},
        [1, 2, 1, 0, 0, 1],
        FREE,
    ),
}


@pytest.mark.parametrize("case", KINDS)
def test_nested_observations_are_flattened(case: str) -> None:
    space, value, row, mask = KINDS[case]
    game = Seeing([BOTH, BOTH], space=space)
    game.value = value
    env = as_grouped_env(game.grouped())
    check_env(env)
    obs = env.reset(seed=0)[0][TEAM]
    assert (obs[OBS].tolist(), obs[ACTION_MASK].tolist()) == ([row] * 2, [mask] * 2)
