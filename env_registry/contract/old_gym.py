"""Names environments and spaces of the package gym, gymnasium's predecessor, as what they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from env_registry.errors import broken


def refuse_gym(env: Any) -> None:
    """Raises ContractError if an environment, or what it holds, is of gym or has spaces of gym."""
    for one in (env, getattr(env, "env", None)):
        if _is_of_gym(one):
            raise _old(f"{type(one).__name__} is an environment of gym")
        for attribute, space in _spaces(one):
            refuse_gym_space(space, f"the {attribute} of {type(one).__name__}")


def refuse_gym_space(space: Any, what: str) -> None:
    """Raises ContractError if a space, which the error calls `what`, is of gym."""
    if _is_of_gym(space):
        raise _old(f"{what} is gym's: {space}")


def _spaces(env: Any) -> Iterator[tuple[str, Any]]:
    for attribute in ("observation_space", "action_space"):
        yield attribute, getattr(env, attribute, None)
        by_agent = getattr(env, f"{attribute}s", None)
        if isinstance(by_agent, dict):
            yield from ((f"{attribute}s", space) for space in by_agent.values())


def _is_of_gym(value: Any) -> bool:
    return any(kind.__module__.partition(".")[0] == "gym" for kind in type(value).__mro__)


def _old(what: str) -> Exception:
    return broken(
        what,
        "environments and spaces are those of gymnasium, gym's successor",
        "pip install gymnasium; import gymnasium as gym; from gymnasium.spaces import Box, "
        "Discrete, Tuple",
    )
