"""check_env finds each way to break the contract, and names the field and its value."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from env_registry.contract import (
    ACTION_MASK,
    ALL,
    OBS,
    STATE,
    TEAM,
    ContractError,
    GroupedEnv,
    check_env,
)
from env_registry.toy import CounterEnv
from tests.envs.legacy_two_step import OldTwoStepGame, make_env

Step = tuple[Any, Any, Any, Any, Any]


class Changed(GroupedEnv):
    """The counter environment with what it returns changed by a function."""

    def __init__(self, change_step: Callable[[Step], Any] | None = None, **spaces_by_name: Any):
        super().__init__(n_agents=3, n_actions=4, obs_size=4, state_size=3)
        self.inner = CounterEnv()
        self.change_step = change_step
        for name, value in spaces_by_name.items():
            setattr(self, name, value)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.inner.reset(seed=seed)

    def step(self, action_dict: Any) -> Any:
        result = self.inner.step(action_dict)
        return self.change_step(result) if self.change_step else result


def _set_obs(key: str, change: Callable[[np.ndarray], Any]) -> Callable[[Step], Step]:
    def changed(step: Step) -> Step:
        step[0][TEAM][key] = change(step[0][TEAM][key])
        return step

    return changed


def _set(part: int, value: Any) -> Callable[[Step], Step]:
    return lambda step: (*step[:part], value, *step[part + 1 :])


def _drop_state(step: Step) -> Step:
    del step[0][TEAM][STATE]
    return step


def _to_nan(obs: np.ndarray) -> np.ndarray:
    return np.full_like(obs, np.nan)


BREACHES: dict[str, tuple[Callable[[Step], Any], str]] = {
    "missing key": (_drop_state, "exactly the keys"),
    "dtype": (_set_obs(OBS, lambda obs: obs.astype(np.float64)), "float32"),
    "shape": (_set_obs(OBS, lambda obs: obs[:2]), r"shape \(3, 4\)"),
    "list": (_set_obs(STATE, lambda state: state.tolist()), "a list"),
    "nan": (_set_obs(OBS, _to_nan), "NaN"),
    "mask above 1": (_set_obs(ACTION_MASK, lambda mask: mask * 2), "outside"),
    "no legal action": (_set_obs(ACTION_MASK, np.zeros_like), "agent 0 has no legal action"),
    "integer reward": (_set(1, {TEAM: 1}), "one finite float"),
    "nan reward": (_set(1, {TEAM: float("nan")}), "one finite float"),
    "reward array": (_set(1, {TEAM: np.ones(3)}), "one finite float"),
    "agent ids": (_set(1, {"agent_0": 1.0}), "the rewards have the keys"),
    "no __all__": (_set(2, {TEAM: False}), "__all__"),
    "flags disagree": (_set(2, {TEAM: True, ALL: False}), "must agree"),
    "flag not bool": (_set(3, {TEAM: 0, ALL: 0}), "a bool"),
    "both ends": (
        lambda step: (*step[:2], {TEAM: True, ALL: True}, {TEAM: True, ALL: True}, step[4]),
        "both terminated and truncated",
    ),
    "no agent rewards": (_set(4, {TEAM: {}}), "agent_rewards"),
    "agent rewards' shape": (
        _set(4, {TEAM: {"agent_rewards": np.ones(2, np.float32)}}),
        r"shape \(3,\)",
    ),
    "agent rewards' dtype": (_set(4, {TEAM: {"agent_rewards": np.ones(3)}}), "float32"),
    "win": (_set(4, {TEAM: {"agent_rewards": np.ones(3, np.float32), "win": 1}}), "'win'"),
    "four values": (lambda step: step[:4], "step 1 returned 4 values"),
    "nothing": (lambda step: None, "step 1 returned None"),
    "no observations": (_set(0, None), "the observations are None"),
    "no observation": (_set(0, {TEAM: None}), "the team's observations are None"),
    "an array for the parts": (_set(0, {TEAM: np.zeros(2)}), r"observations are \[0, 0\]"),
    "one None": (_set_obs(OBS, lambda obs: None), "'obs' is None"),
    "one number": (_set_obs(STATE, lambda state: 1.5), "'state' is 1.5"),
    "object array": (_set_obs(OBS, lambda obs: obs.astype(object)), "dtype object"),
    "one more dimension": (_set_obs(OBS, lambda obs: obs[None]), r"of shape \(1, 3, 4\)"),
    "nan's place": (_set_obs(OBS, _to_nan), r"at \(0, 0\) stands nan"),
    "negative mask": (_set_obs(ACTION_MASK, lambda mask: -mask), "At .* stands -1, outside"),
    "fractional mask": (_set_obs(ACTION_MASK, lambda mask: mask / 2), r"'action_mask' is \[0.5, 0"),
    "mask of bools": (_set_obs(ACTION_MASK, lambda mask: mask > 0), "dtype bool"),
    "all-zero mask's value": (_set_obs(ACTION_MASK, np.zeros_like), r"mask is \[0, 0, 0, 0\]"),
    "no rewards": (_set(1, None), "the rewards are None"),
    "no reward": (_set(1, {TEAM: None}), "the team reward is None"),
    "one done": (_set(2, True), "terminateds are True"),
    "no truncateds": (_set(3, None), "truncateds are None"),
    "no infos": (_set(4, None), "the infos are None"),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_check_env_says_what_a_step_breaks(breach: str) -> None:
    change, words = BREACHES[breach]
    with pytest.raises(ContractError, match=words) as caught:
        check_env(Changed(change))
    assert "rule:" in str(caught.value)
    assert "remedy:" in str(caught.value)
    assert "step 1" in str(caught.value)


def test_check_env_accepts_the_unchanged_environment() -> None:
    check_env(Changed())


class OldReset(Changed):
    """Resets as gym's did."""

    def reset(self) -> Any:  # type: ignore[override]
        return self.inner.reset()


class OtherReset(Changed):
    """Resets to what a test says."""

    def __init__(self, change: Callable[[Any], Any]):
        super().__init__()
        self.change = change

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.change(self.inner.reset(seed=seed))


@pytest.mark.parametrize(
    ("env", "words"),
    [
        (OldReset(), "OldReset.reset takes no seed"),
        (OtherReset(lambda reset: reset[0]), "reset returned a dict"),
        (OtherReset(lambda reset: None), "reset returned None"),
        (OtherReset(lambda reset: (None, {})), "reset: the observations are None"),
        (OtherReset(lambda reset: (reset[0], None)), "reset: the infos are None"),
    ],
)
def test_check_env_says_what_a_reset_breaks(env: Any, words: str) -> None:
    with pytest.raises(ContractError, match=words) as caught:
        check_env(env)
    assert "remedy:" in str(caught.value)


def test_check_env_takes_what_can_come_under_the_contract() -> None:
    check_env(make_env({}))  # grouped, as RLlib's old QMIX asked for it
    with pytest.raises(ContractError, match="with_agent_groups"):
        check_env(OldTwoStepGame())


def _dict_space(**changed: spaces.Space | None) -> dict[str, spaces.Space]:
    whole = dict(CounterEnv().observation_spaces[TEAM].spaces) | changed
    return {TEAM: spaces.Dict({key: space for key, space in whole.items() if space is not None})}


SPACE_BREACHES: dict[str, tuple[dict[str, Any], str]] = {
    "agent ids": ({"possible_agents": ["a", "b"]}, "possible_agents"),
    "no agents": ({"agents": []}, "agents is"),
    "no spaces by id": ({"observation_spaces": None}, "observation_spaces"),
    "two actions spaces": ({"action_spaces": {TEAM: spaces.Discrete(2), "b": 1}}, "action_spaces"),
    "one Discrete": ({"action_spaces": {TEAM: spaces.Discrete(2)}}, "MultiDiscrete"),
    "unequal actions": ({"action_spaces": {TEAM: spaces.MultiDiscrete([4, 3, 4])}}, "pad"),
    "no mask": ({"observation_spaces": _dict_space(action_mask=None)}, "exactly the keys"),
    "other key": ({"observation_spaces": _dict_space(more=spaces.Discrete(2))}, "more"),
    "flat obs": ({"observation_spaces": _dict_space(obs=spaces.Box(0, 1, (12,)))}, "'obs'"),
    "float mask": (
        {"observation_spaces": _dict_space(action_mask=spaces.Box(0, 1, (3, 4)))},
        "int8",
    ),
    "mask's bounds": (
        {"observation_spaces": _dict_space(action_mask=spaces.Box(0, 2, (3, 4), np.int8))},
        "0 and 1",
    ),
    "double state": (
        {"observation_spaces": _dict_space(state=spaces.Box(0, 1, (3,), np.float64))},
        "float32",
    ),
    "obs out of its space": (
        {"observation_spaces": _dict_space(obs=spaces.Box(0, 1, (3, 4)))},
        "leaves its space",
    ),
}


@pytest.mark.parametrize("breach", SPACE_BREACHES)
def test_check_env_says_what_the_spaces_break(breach: str) -> None:
    attributes, words = SPACE_BREACHES[breach]
    with pytest.raises(ContractError, match=words):
        check_env(Changed(**attributes))


def test_check_env_finds_an_environment_that_a_seed_does_not_repeat() -> None:
    env = Changed()
    resets = []

    def reset(*, seed: int | None = None, options: Any = None) -> Any:
        resets.append(seed)
        return env.inner.reset(seed=len(resets))

    env.reset = reset  # type: ignore[method-assign]
    with pytest.raises(ContractError, match=r"reset\(seed=0\)"):
        check_env(env)


def test_check_env_finds_an_observation_that_is_written_over() -> None:
    kept: dict[str, Any] = {}

    def reuse(step: Step) -> Step:
        fresh = copy.deepcopy(step[0][TEAM])
        for key, value in fresh.items():
            kept.setdefault(key, value)[...] = value
        return ({TEAM: kept}, *step[1:])

    with pytest.raises(ContractError, match="changed the observation"):
        check_env(Changed(reuse))


def test_check_env_finds_an_endless_episode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("env_registry.contract.checks.MAX_STEPS", 20)

    def go_on(step: Step) -> Step:
        return (*step[:2], {TEAM: False, ALL: False}, {TEAM: False, ALL: False}, step[4])

    with pytest.raises(ContractError, match="not over after 20 steps"):
        check_env(Changed(go_on))
