"""Discrete actions stand for the continuous ones that they say, in a fixed order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from gymnasium import spaces

from env_registry.contract import ContractError
from env_registry.discretise import MAX_ACTIONS, JointActions, box_values


def test_levels_are_equally_spaced_and_include_both_bounds() -> None:
    box = spaces.Box(np.array([-1, 0], np.float32), np.array([1, 3], np.float32))
    first, second = box_values(box, 5, "a")
    assert first.tolist() == [-1, -0.5, 0, 0.5, 1]
    assert second.tolist() == [0, 0.75, 1.5, 2.25, 3]
    assert first.dtype == np.float32
    assert all(box.contains(np.array(pair)) for pair in zip(first, second, strict=True))


def test_odd_bounds_are_met_to_the_last_bit() -> None:
    box = spaces.Box(-0.4, 0.4, (1,), np.float32)
    (values,) = box_values(box, 7, "a")
    assert values[0] == box.low[0]
    assert values[-1] == box.high[0]
    assert values[3] == 0


def test_an_agent_has_every_combination_once_and_the_last_dimension_counts_fastest() -> None:
    box = spaces.Box(-1, 1, (3,), np.float32)
    actions = JointActions([box_values(box, 4, "a")])
    assert actions.n_actions.tolist() == [64]
    played = [tuple(actions(np.array([i]))) for i in range(64)]
    levels = np.linspace(-1, 1, 4).astype(np.float32).astype(float)
    assert played == list(itertools.product(levels, repeat=3))


def test_agents_of_different_sizes_are_decoded_at_once() -> None:
    boxes = [spaces.Box(-1, 1, (size,), np.float32) for size in (1, 3, 2)]
    actions = JointActions([box_values(box, 3, i) for i, box in enumerate(boxes)])
    assert actions.n_actions.tolist() == [3, 27, 9]
    # 1 * 9 + 2 * 3 + 0 and 2 * 3 + 1
    assert actions(np.array([2, 15, 7])).tolist() == [1, 0, 1, -1, 1, 0]
    mask = actions.mask()
    assert mask.shape == (3, 27)
    assert mask.dtype == np.int8
    assert mask.sum(axis=1).tolist() == [3, 27, 9]
    assert mask[0, :3].all()


def test_parts_may_have_numbers_of_values_of_their_own() -> None:
    actions = JointActions([[np.arange(2), np.arange(5, 8)], [np.arange(4)]])
    assert actions.n_actions.tolist() == [6, 4]
    first = [actions(np.array([i, 3])).tolist() for i in range(6)]
    assert first == [[0, 5, 3], [0, 6, 3], [0, 7, 3], [1, 5, 3], [1, 6, 3], [1, 7, 3]]


def test_an_action_that_an_agent_lacks_is_taken_modulo_its_count() -> None:
    actions = JointActions([[np.arange(2)], [np.arange(3), np.arange(3)]])
    assert actions(np.array([5, 10])).tolist() == actions(np.array([1, 1])).tolist()


@pytest.mark.parametrize("n_levels", [1, 0, -3])
def test_fewer_than_two_levels_are_refused(n_levels: int) -> None:
    with pytest.raises(ContractError, match=f"n_actions is {n_levels}"):
        box_values(spaces.Box(-1, 1, (2,)), n_levels, "a")


def test_open_bounds_are_refused() -> None:
    with pytest.raises(ContractError, match="'walker'.*\n.*lowest and a highest"):
        box_values(spaces.Box(-np.inf, 1, (2,)), 3, "walker")


def test_too_many_combinations_are_refused_in_numbers() -> None:
    box = spaces.Box(-1, 1, (9,), np.float32)
    assert JointActions([box_values(box, 2, 0)]).n_actions.tolist() == [512]
    with pytest.raises(ContractError, match=f"{5**9} combinations") as caught:
        JointActions([box_values(box, 5, 0)])
    assert str(MAX_ACTIONS) in str(caught.value)
