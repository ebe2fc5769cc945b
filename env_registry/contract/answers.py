"""Checks what `reset` and `step` of an environment for several agents return, in words.

Gymnasium's form is (observations, infos) and (observations, rewards, terminateds, truncateds,
infos), dictionaries by agent id. gym's, and RLlib's before 2.3, were observations alone and four
dictionaries.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from env_registry.errors import broken

RESET = "reset returns (observations, infos)"
STEP = "step returns (observations, rewards, terminateds, truncateds, infos)"
STEP_PARTS = ("observations", "rewards", "terminateds", "truncateds", "infos")
REMEDY = "{} in the environment, as gymnasium and RLlib since 2.3 ask for it"


def reset_keys(env: Any) -> tuple[str, ...]:
    """Which of "seed" and "options" `env.reset` takes.

    Raises:
        ContractError: If it takes no seed, as gym's did.
    """
    parameters = inspect.signature(env.reset).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return "seed", "options"
    names = [p.name for p in parameters if p.kind is not p.POSITIONAL_ONLY]
    if "seed" not in names:
        raise broken(
            f"{type(env).__name__}.reset takes no seed: it has the form of gym, or of RLlib "
            "before 2.3",
            "gymnasium's: reset(*, seed=None, options=None) returns (observations, infos), step "
            "returns (observations, rewards, terminateds, truncateds, infos)",
            "def reset(self, *, seed=None, options=None), with all random numbers from "
            "np.random.default_rng(seed), so that a run can be repeated",
        )
    return tuple(key for key in ("seed", "options") if key in names)


def checked_reset(
    env: Any, keys: Sequence[str], seed: int | None, options: dict[str, Any] | None
) -> tuple[Mapping[Any, Any], Mapping[Any, Any]]:
    """Resets an environment.

    Args:
        env: The environment.
        keys: Which of "seed" and "options" its `reset` takes.
        seed: For it.
        options: For it.

    Returns:
        Observations and infos by agent id; infos, where there are none, are {}.

    Raises:
        ContractError: If it returned something else.
    """
    given = {"seed": seed, "options": options}
    result = env.reset(**{key: given[key] for key in keys})
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise broken(
            f"{type(env).__name__}.reset returned {kind(result)}",
            RESET,
            REMEDY.format("return observations, {}"),
        )
    obs, infos = result[0], {} if result[1] is None else result[1]
    _check_mapping(env, "reset", "observations", obs)
    _check_mapping(env, "reset", "infos", infos)
    return obs, infos


def checked_step(env: Any, actions: Mapping[Any, Any]) -> tuple[Any, Any, Any, Any, Any]:
    """Steps an environment.

    Args:
        env: The environment.
        actions: By agent id.

    Returns:
        Its five dictionaries; infos, where there are none, are {}.

    Raises:
        ContractError: If it returned something else.
    """
    result = env.step(actions)
    if not isinstance(result, (tuple, list)) or len(result) != len(STEP_PARTS):
        raise broken(
            f"{type(env).__name__}.step returned {kind(result)}",
            STEP,
            REMEDY.format(
                'return five: the end in terminateds["__all__"], a time limit in '
                'truncateds["__all__"]'
            ),
        )
    obs, rewards, terminateds, truncateds, infos = result
    infos = {} if infos is None else infos
    for what, part in zip(STEP_PARTS, (*result[:4], infos), strict=True):
        _check_mapping(env, "step", what, part)
    return obs, rewards, terminateds, truncateds, infos


def one_reward(value: Any, agent: Any) -> float:
    """A reward as a float: None is 0, an array of one number that number.

    Raises:
        ContractError: If it is none of these.
    """
    if value is None:
        return 0.0
    try:
        (number,) = np.asarray(value, np.float64).reshape(-1)
    except (ValueError, TypeError):
        raise broken(
            f"the reward of agent {agent!r} is {value!r}",
            "it is one number",
            "return a float for each agent",
        ) from None
    return float(number)


def one_flag(value: Any, agent: Any) -> bool:
    """A flag as a bool: None is False.

    Raises:
        ContractError: If it is neither true nor false.
    """
    if value is None:
        return False
    if np.size(value) != 1 or isinstance(value, (str, Mapping)):
        raise broken(
            f"the end of {agent!r} is told as {value!r}", "it is a bool", "return True or False"
        )
    return bool(np.all(value))


def legal_actions(value: Any, n_actions: int, agent: Any) -> np.ndarray:
    """An action mask as (n_actions,) bool.

    Args:
        value: What the environment gave: one entry for each action, 1 = legal.
        n_actions: Actions of this agent.
        agent: Named in the error.

    Raises:
        ContractError: If it has another size, or entries that are neither 0 nor 1.
    """
    try:
        mask = np.asarray(value, np.float64).reshape(-1)
    except (ValueError, TypeError):
        mask = np.zeros(0)
    if mask.size != n_actions:
        raise broken(
            f"agent {agent!r} has an action mask of {mask.size} entries: {value!r}",
            f"it has one for each of its {n_actions} actions",
            "correct the mask; with continuous or several-part actions, it is for all "
            "combinations, the last part counting fastest",
        )
    if not np.isin(mask, (0, 1)).all():
        wrong = mask[~np.isin(mask, (0, 1))][0]
        raise broken(
            f"agent {agent!r} has an action mask with the entry {wrong:g}: {value!r}",
            "an entry is 1 (legal) or 0",
            "mask = (mask > 0).astype(np.int8), if that is what it means",
        )
    return mask > 0


def kind(value: Any) -> str:
    """What a value is, in words: "a dict", "4 values", "None"."""
    if value is None:
        return "None"
    return (
        f"{len(value)} values" if isinstance(value, (tuple, list)) else f"a {type(value).__name__}"
    )


def _check_mapping(env: Any, method: str, what: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        shown = repr(value)
        raise broken(
            f"{type(env).__name__}.{method} returned {shown[:100]} for its {what}",
            f"{RESET if method == 'reset' else STEP}, dictionaries by agent id",
            f"return a dictionary of {what}",
        )
