"""What an environment returns in a wrong form is said in words: the field, its value, the rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ray.tune.registry import register_env

from env_registry.contract import ACTION_MASK, AGENT_REWARDS, ALL, OBS, STATE, TEAM, ContractError
from env_registry.toy import CounterEnv
from rllib_mmsa.rllib.received import unplayable
from tests.algorithms import build

pytestmark = pytest.mark.usefixtures("ray_session")

Change = Callable[[Any], Any]


class Wrong(CounterEnv):
    """What `reset`, or the second `step`, returns is changed by the function of that name."""

    change_reset: Change | None = None
    change_step: Change | None = None

    def reset(self, **kwargs: Any) -> Any:
        result = super().reset(**kwargs)
        return type(self).change_reset(result) if type(self).change_reset else result

    def step(self, action_dict: Any) -> Any:
        result = super().step(action_dict)
        change = type(self).change_step if self._t == 2 else None
        return change(result) if change else result


register_env("wrong", lambda config: Wrong())


def observed(name: str, change: Change) -> Change:
    """Changes one field of the team's observation."""

    def changed(result: Any) -> Any:
        result[0][TEAM][name] = change(result[0][TEAM][name])
        return result

    return changed


def without(part: int, key: str) -> Change:
    """Takes a key out of a part of the result."""

    def changed(result: Any) -> Any:
        del result[part][key]
        return result

    return changed


def replaced(part: int, value: Any) -> Change:
    """Puts something else in the place of a part of the result."""
    return lambda result: (*result[:part], value, *result[part + 1 :])


def masked(row: int, values: Any) -> Change:
    """An action mask with another row, in the dtype of the values."""

    def change(mask: np.ndarray) -> np.ndarray:
        mask = mask.astype(np.asarray(values).dtype)
        mask[row] = values
        return mask

    return observed(ACTION_MASK, change)


def with_info(key: str, value: Any) -> Change:
    """An info with another entry."""

    def changed(result: Any) -> Any:
        result[4][TEAM][key] = value
        return result

    return changed


IN_A_STEP = {
    "old gym": (lambda r: (r[0], r[1], r[2], r[4]), "step returned a tuple of 4"),
    "nothing": (lambda r: None, "step returned None"),
    "no observations": (replaced(0, None), "step returned, as observations, None"),
    "no team": (without(0, TEAM), r"returned observations without 'team': the keys are \[\]"),
    "team is None": (replaced(0, {TEAM: None}), "the team's observation is None"),
    "an array": (replaced(0, {TEAM: np.zeros(3)}), r"observation is array\(\[0., 0., 0.\]\)"),
    "no state": (lambda r: observed_without(r, STATE), "observation has no 'state', only"),
    "rewards": (replaced(1, 1.0), "step returned, as rewards, a float: 1.0"),
    "no reward": (replaced(1, {}), "step returned rewards without 'team'"),
    "reward None": (replaced(1, {TEAM: None}), "step returned the team reward None"),
    "reward a word": (replaced(1, {TEAM: "x"}), "step returned the team reward 'x'"),
    "two rewards": (replaced(1, {TEAM: np.ones(2)}), r"the team reward array\(\[1., 1.\]\)"),
    "flag": (replaced(2, True), "step returned, as terminateds, a bool: True"),
    "no all": (without(3, ALL), r"step returned truncateds without '__all__': the keys are"),
    "infos": (replaced(4, None), "step returned, as infos, None"),
    "too short": (observed(OBS, lambda v: v[:, :2]), r"'obs' has the shape \(3, 2\), not \(3, 4\)"),
    "broadcasts": (observed(OBS, lambda v: v[0]), r"'obs' has the shape \(4,\), not \(3, 4\)"),
    "a list": (observed(STATE, lambda v: v.tolist()), r"'state' is a list: \["),
    "objects": (observed(OBS, lambda v: np.full(v.shape, {})), "'obs' has the dtype object"),
    "None": (observed(OBS, lambda v: None), "'obs' is None"),
    "all masked": (masked(1, [0, 0, 0, 0]), "'action_mask': agent 1 has no legal action"),
    "negative": (masked(2, [1, -1, 0, 1]), "'action_mask' of agent 2 is -1 for action 1"),
    "two": (masked(0, [1, 2, 0, 1]), "'action_mask' of agent 0 is 2 for action 1"),
    "fraction": (masked(0, [1.0, 0.5, 0.0, 1.0]), "'action_mask' of agent 0 is 0.5 for action 1"),
    "large": (masked(0, [1, 256, 0, 1]), "'action_mask' of agent 0 is 256 for action 1"),
    "NaN": (masked(0, [1.0, np.nan, 0.0, 1.0]), "'action_mask' of agent 0 is nan for action 1"),
    "agents": (with_info(AGENT_REWARDS, np.ones(2)), r"'agent_rewards' is array\(\[1., 1.\]\)"),
    "no agents": (with_info(AGENT_REWARDS, None), "'agent_rewards' is None"),
}  # fmt: skip


def observed_without(result: Any, name: str) -> Any:
    del result[0][TEAM][name]
    return result


@pytest.fixture(scope="module")
def algorithms(ray_session):
    """One that ends at the first failure, and one that makes a failed environment anew."""
    built = [
        build("QMIX", "wrong", restart_failed_sub_environments=restart, max_failures_in_a_row=2)
        for restart in (False, True)
    ]
    yield built
    for algorithm in built:
        algorithm.stop()


@pytest.mark.parametrize("name", IN_A_STEP)
def test_a_step_that_breaks_the_contract_is_said_in_words(name, algorithms, monkeypatch):
    change, words = IN_A_STEP[name]
    monkeypatch.setattr(Wrong, "change_step", staticmethod(change))
    once, again = algorithms
    with pytest.raises(ContractError, match=f"(?s){words}.*rule:.*remedy:.*check_env"):
        once.env_runner.sample()
    again.env_runner._failures_in_a_row = 0
    with pytest.raises(RuntimeError, match=f"failed 3 times in a row.*{words}"):
        again.env_runner.sample()


IN_RESET = {
    "old gym": (lambda r: r[0], "reset returned a dict of 1"),
    "an array": (lambda r: np.zeros(3), "reset returned a ndarray"),
    "no team": (without(0, TEAM), "reset returned observations without 'team'"),
    "too long": (observed(OBS, lambda v: np.ones((3, 9))), r"shape \(3, 9\), not \(3, 4\)"),
    "all masked": (masked(0, [0, 0, 0, 0]), "agent 0 has no legal action"),
}


@pytest.mark.parametrize("name", IN_RESET)
def test_a_reset_that_breaks_the_contract_is_said_in_words(name, algorithms, monkeypatch):
    change, words = IN_RESET[name]
    monkeypatch.setattr(Wrong, "change_reset", staticmethod(change))
    with pytest.raises(ContractError, match=f"(?s){words}.*remedy:.*check_env"):
        algorithms[0].env_runner.sample()


@pytest.mark.parametrize(
    "change",
    [
        masked(0, [True, False, True, True]),
        masked(0, [1.0, 0.0, 1.0, 1.0]),
        observed(OBS, lambda v: v.astype(np.float64)),
        observed(STATE, lambda v: v.astype(np.int64)),
        replaced(1, {TEAM: np.array([6.0])}),
        replaced(1, {TEAM: np.float32(6)}),
        replaced(1, {TEAM: 6}),
        replaced(4, {}),
        replaced(4, {TEAM: None}),
        with_info(AGENT_REWARDS, [1, 2, 3]),
    ],
)
def test_other_types_of_the_same_numbers_are_taken(change, algorithms, monkeypatch):
    monkeypatch.setattr(Wrong, "change_step", staticmethod(change))
    for episode in algorithms[0].env_runner.sample(num_episodes=3):
        assert episode.is_finite() and episode.rewards[1] in (6, 12)
        assert (episode.obs.dtype, episode.action_mask.dtype) == (np.float32, np.int8)


@pytest.mark.parametrize("ends_by", ["termination", "truncation"])
def test_a_last_mask_counts_only_where_the_target_looks_past_it(ends_by, monkeypatch):
    class Ended(CounterEnv):
        def step(self, action_dict: Any) -> Any:
            result = super().step(action_dict)
            return masked(1, [0, 0, 0, 0])(result) if result[2][ALL] or result[3][ALL] else result

    register_env("ended", lambda config: Ended(ends_by=ends_by))
    algorithm = build("QMIX", "ended")
    if ends_by == "termination":
        assert len(algorithm.env_runner.sample(num_episodes=2)) == 2
    else:
        with pytest.raises(ContractError, match="agent 1 has no legal action"):
            algorithm.env_runner.sample()
    algorithm.stop()


def test_unplayable_masks_are_found_by_row():
    masks = np.ones((4, 2, 3), np.int8)
    assert unplayable(masks) == {}
    masks[1, 0] = 0
    masks[3, 1, 2] = -1
    found = unplayable(masks)
    assert set(found) == {1, 3}
    assert "agent 0 has no legal action" in str(found[1])
    assert "agent 1 is -1 for action 2" in str(found[3])
