"""What an environment returned, read and checked before anything is recorded of it.

An episode that holds a number which is not finite teaches nothing and spoils all that it meets: the
statistics of observations and rewards, and every batch that it is drawn in. It is dropped
(``NotFinite``). Data of a wrong form is a mistake in the environment (``ContractError``).

Shapes: E environments, N agents, A actions, D observation numbers, S state numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from env_registry.contract import (
    ACTION_MASK,
    AGENT_REWARDS,
    ALL,
    TEAM,
    ContractError,
    EnvFailure,
    broken,
)

#: Numbers above this count as not finite: sums of their squares leave float32.
LARGEST = 1e15
_LARGEST_SQUARED = LARGEST**2

_CHECK = "env_registry.contract.check_env plays an environment and names what breaks its contract"
_UNREADABLE = (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError)
_STEP = ("observations", "rewards", "terminateds", "truncateds", "infos")


class NotFinite(EnvFailure):
    """An episode holds a number that is NaN, infinite or above ``LARGEST``; it is dropped."""


class Step(NamedTuple):
    """What the runner reads of a step: the team's entries."""

    observation: dict[str, np.ndarray]
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]


def read_reset(result: Any) -> tuple[dict[str, np.ndarray], Any, Any]:
    """Takes apart what ``reset`` returned: the team's observation; observations and infos.

    Raises:
        ContractError: it is no such pair.
    """
    try:
        observations, infos = result
        return observations[TEAM], observations, infos
    except _UNREADABLE as error:
        raise _no_parts("reset", result, ("observations", "infos")) from error


def read_step(result: Any) -> Step:
    """Takes apart what ``step`` returned.

    Raises:
        ContractError: something is missing, or is no number.
    """
    try:
        observations, rewards, terminateds, truncateds, infos = result
        return Step(
            observations[TEAM],
            _number(rewards[TEAM]),
            bool(terminateds[ALL]),
            bool(truncateds[ALL]),
            infos.get(TEAM) or {},
        )
    except _UNREADABLE as error:
        raise _no_parts("step", result, _STEP) from error


def _no_parts(method: str, result: Any, names: tuple[str, ...]) -> ContractError:
    """Says which part of what ``reset`` or ``step`` returned cannot be read."""
    count = f" of {len(result)}" if isinstance(result, tuple | list | dict) else ""
    value = f"{method} returned {_kind(result)}{count}"
    if isinstance(result, tuple | list) and len(result) == len(names):
        for name, part in zip(names, result, strict=True):
            key = ALL if name.endswith("ateds") else TEAM
            if not isinstance(part, Mapping):
                value = f"{method} returned, as {name}, {_described(part)}"
                break
            if key not in part and name != "infos":
                value = f"{method} returned {name} without {key!r}: the keys are {list(part)}"
                break
            if name == "rewards" and not _is_number(part[TEAM]):
                value = f"{method} returned the team reward {_shown(part[TEAM])}"
                break
    rule = f"{method} returns ({', '.join(names)}), dictionaries of the agent {TEAM!r}"
    return broken(value, rule, _CHECK)


def _number(value: Any) -> float:
    """A reward, which may be an array of one number."""
    return float(value.item() if isinstance(value, np.ndarray) else value)


def _is_number(value: Any) -> bool:
    try:
        _number(value)
    except _UNREADABLE:
        return False
    return True


def unreadable_observation(observation: Any, shapes: Mapping[str, tuple[int, ...]]) -> Exception:
    """Says what of a team's observation is not as its space says; for an error that this caused."""
    rule = "the team's observation is a dictionary of arrays: " + ", ".join(
        f"{name!r} {shape}" for name, shape in shapes.items()
    )
    if not isinstance(observation, Mapping):
        return broken(f"the team's observation is {_shown(observation)}", rule, _CHECK)
    for name, shape in shapes.items():
        if name not in observation:
            return broken(
                f"the observation has no {name!r}, only {list(observation)}", rule, _CHECK
            )
        given = observation[name]
        if not isinstance(given, np.ndarray):
            return broken(f"{name!r} is {_described(given)}", rule, _CHECK)
        if given.shape != shape:
            return broken(f"{name!r} has the shape {given.shape}, not {shape}", rule, _CHECK)
    return broken("the observation cannot be read", rule, _CHECK)


def read_agent_rewards(info: Mapping[str, Any], num_agents: int) -> np.ndarray:
    """The agents' own rewards of a step, (N,) float32.

    Raises:
        ContractError: they are none.
    """
    given = info[AGENT_REWARDS]
    try:
        rewards = np.asarray(given, np.float32)
    except (TypeError, ValueError):
        rewards = np.empty(0, np.float32)
    if rewards.shape != (num_agents,):
        raise broken(
            f"{AGENT_REWARDS!r} is {_shown(given)}",
            f"infos[{TEAM!r}] has one reward for each of {num_agents} agents there, in an array",
            f"np.array(agent_rewards, np.float32). {_CHECK}",
        )
    return rewards


def cast(name: str, values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Values of another dtype as they are recorded; what float32 cannot hold becomes infinite.

    Raises:
        ContractError: they are no numbers; or a mask holds something else than 0 and 1.
    """
    if name == ACTION_MASK and values.dtype != bool:
        wrong = (values != 0) & (values != 1)
        if np.any(wrong):
            raise _wrong_mask(np.argwhere(wrong)[0], values[tuple(np.argwhere(wrong)[0])])
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            return values.astype(dtype)
    except (TypeError, ValueError) as error:
        value = f"{name!r} has the dtype {values.dtype}: {_shown(values)}"
        raise broken(value, f"it holds numbers, {dtype}", _CHECK) from error


def not_finite(name: str, values: Any, step: int) -> NotFinite:
    """Says where the number stands that ends an episode.

    Args:
        name: the field.
        values: its array, whose first axis is the agents', or the number itself.
        step: after which it was seen, from 1; 0 is the reset.
    """
    values, where = np.asarray(values), ""
    if values.ndim:
        bad = ~np.isfinite(values)
        # Where all are finite, the largest is too large.
        flat = np.argmax(bad if bad.any() else np.abs(values))
        index = np.unravel_index(flat, values.shape)
        values = values[index]
        names = ("agent", "number") if len(index) == 2 else ("number",)
        names = ("agent",) if name == AGENT_REWARDS else names
        parts = zip(names, index, strict=True)
        where = f" ({', '.join(f'{what} {number}' for what, number in parts)})"
    when = f"step {step}" if step else "the reset"
    large = "" if not math.isfinite(values) else f", above {LARGEST:g} in size"
    return NotFinite(f"{name}{where} is {values:g} at {when} of its episode{large}")


def is_finite(values: np.ndarray) -> bool:
    """Whether no number is NaN, infinite or too large.

    The norm says it in one pass: half a microsecond, which every step pays.
    """
    return bool(np.vdot(values, values) <= _LARGEST_SQUARED)


def unplayable(masks: np.ndarray) -> dict[int, ContractError]:
    """The rows of action masks with a value besides 0 and 1, or an agent without a legal action.

    Args:
        masks: (E, N, A) int8.

    Returns:
        Row -> what is wrong.
    """
    if masks.view(np.uint8).max() <= 1 and masks.any(-1).all():
        return {}
    found: dict[int, ContractError] = {}
    for row, agent in np.argwhere((masks.view(np.uint8) > 1).any(-1) | ~masks.any(-1)):
        found.setdefault(int(row), _unplayable_agent(agent, masks[row, agent]))
    return found


def _unplayable_agent(agent: int, mask: np.ndarray) -> ContractError:
    if mask.any():
        action = int(np.argmax(mask.view(np.uint8)))
        return _wrong_mask((agent, action), mask[action])
    return broken(
        f"{ACTION_MASK!r}: agent {agent} has no legal action",
        "every agent has one at all times; one that died keeps a no-op",
        f"env_registry.contract.keep_one_legal(action_mask). {_CHECK}",
    )


def _wrong_mask(index: Any, value: Any) -> ContractError:
    return broken(
        f"{ACTION_MASK!r} of agent {index[0]} is {value} for action {index[1]}",
        "it is 1 where an action is legal and 0 where it is not",
        f"(mask > 0).astype(np.int8). {_CHECK}",
    )


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _described(value: Any) -> str:
    return "None" if value is None else f"{_kind(value)}: {_shown(value)}"


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
