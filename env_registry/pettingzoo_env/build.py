"""Builds a PettingZoo environment from its import path, with SuperSuit's wrappers around it."""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.utils.conversions import aec_to_parallel

from env_registry.errors import broken
from env_registry.tasks.pettingzoo import find_factory, read_wrapper


def build(task: str, env_kwargs: Mapping[str, Any], wrappers: Sequence[Any]) -> ParallelEnv:
    """Imports, builds and wraps an environment.

    Args:
        task: As `env_registry.tasks.pettingzoo`.
        env_kwargs: Arguments of the environment.
        wrappers: SuperSuit's, the first applied first: names, or {name: {argument: value}}.

    Returns:
        An environment whose agents act at the same time.

    Raises:
        TaskError: If there is no such environment.
        ContractError: If it does not take its arguments, its agents take turns, or there is no
            such wrapper.
    """
    game = as_parallel(_call(find_factory(task), task, env_kwargs))
    for wrapper in wrappers:
        game = as_parallel(_wrap(game, *read_wrapper(wrapper)))
    return game


def as_parallel(game: Any) -> ParallelEnv:
    """The environment as one whose agents act at the same time.

    Args:
        game: A ParallelEnv, or an AECEnv that converts.

    Returns:
        A ParallelEnv.

    Raises:
        ContractError: If it is neither.
    """
    if isinstance(game, ParallelEnv):
        return game
    if isinstance(game, AECEnv):
        if game.metadata.get("is_parallelizable", False):
            return aec_to_parallel(game)
        raise broken(
            f"in {game} the agents take turns",
            "the agents of a team act at the same time",
            'if they could, set metadata["is_parallelizable"] = True in the environment',
        )
    raise broken(
        f"the environment is a {type(game).__name__}",
        "it is a PettingZoo ParallelEnv, or an AECEnv that converts",
        "derive it from pettingzoo.ParallelEnv; an RLlib MultiAgentEnv needs with_agent_groups",
    )


def _call(factory: Any, name: str, arguments: Mapping[str, Any]) -> Any:
    """Builds; what does not take the arguments says so in the contract's words."""
    try:
        return factory(**arguments)
    except TypeError as error:
        raise broken(
            f"{name} was not built with the arguments {dict(arguments)}: {error}",
            "they are those that it takes",
            "correct the environment's env_kwargs, or the wrapper's arguments",
        ) from error


def _wrap(game: ParallelEnv, name: str, arguments: Mapping[str, Any]) -> Any:
    """Applies one of SuperSuit's wrappers."""
    supersuit = importlib.import_module("supersuit")
    # Not those that make a vector of environments, nor the one that `read_wrapper` refuses.
    names = [known for known in vars(supersuit) if re.search(r"^(?!.*(vec|black)).*_v\d+$", known)]
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.3)
        raise broken(
            f"wrappers has {name!r}",
            "it is one of supersuit's: " + ", ".join(sorted(names)),
            f"did you mean {near[0]!r}?" if near else "leave it out",
        )
    return _call(lambda **kwargs: getattr(supersuit, name)(game, **kwargs), name, arguments)
