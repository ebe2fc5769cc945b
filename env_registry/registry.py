"""The environments by name: one lazy row each, checked in words before anything is built.

Importing this module imports no environment and no package that an environment needs; a row
names both. A new environment is one adapter file and one row.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.util
import numbers
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

DISTRIBUTION = "rllib-mmsa"


class EnvConfigError(ValueError):
    """An environment's name or configuration that cannot work; the message says what would."""


class Option(NamedTuple):
    """One key of env_config: its default, what it means, and which values it takes.

    `kind`: bool, int, float or str (an int passes for a float); None beside it is allowed where
    the default is None. `choices`: the values allowed, if they are few.
    """

    default: Any
    meaning: str
    kind: type
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True)
class EnvRow:
    """What is known of an environment without importing it.

    Attributes:
        name: Under which it is registered with Ray Tune.
        entry_point: "module:callable", called with env_config's entries as keywords.
        summary: One line.
        packages: Modules it imports beyond this project's own requirements.
        extra: The extra of the distribution that installs them; "" if there are none.
        default_task: Value of "task" if env_config has none; None if there are no tasks.
        tasks: Some tasks, for lists and for near misses.
        options: The keys of env_config.
        task_check: "module:callable" that raises ValueError for a bad task; cheap to import.
    """

    name: str
    entry_point: str
    summary: str
    packages: tuple[str, ...] = ()
    extra: str = ""
    default_task: str | None = None
    tasks: tuple[str, ...] = ()
    options: Mapping[str, Option] = field(default_factory=dict)
    task_check: str | None = None


_BY_ID = "None: as the task id says"

ENVIRONMENTS: dict[str, EnvRow] = {
    row.name: row
    for row in (
        EnvRow(
            name="lbf",
            entry_point="env_registry.lbf:LBFEnv",
            summary="Level-Based Foraging: players collect food that needs their joint level.",
            packages=("lbforaging",),
            extra="lbf",
            default_task="8x8-2p-2f-v2",
            tasks=(
                "8x8-2p-2f-v2",
                "2s-8x8-2p-2f-coop-v2",
                "10x10-3p-5f-v2",
                "10x10-4p-3f-v2",
                "2s-10x10-3p-3f-v2",
            ),
            options={
                "task": Option("8x8-2p-2f-v2", "which game; docs/environments.md: ids", str),
                "scale_observations": Option(True, "bring observations to [0, 1]", bool),
                "mask_invalid_actions": Option(False, "mask moves that cannot succeed", bool),
                "max_episode_steps": Option(50, "time limit in env steps (truncation)", int),
                "state": Option(
                    "observations", "the global state: all observations", str, ("observations",)
                ),
                "exclusive_levels": Option(
                    False, "levels stay below their maximum, as lbforaging 1.x drew them", bool
                ),
                "normalize_reward": Option(True, "a team that collects everything earns 1", bool),
                "observe_agent_levels": Option(True, "players see each other's levels", bool),
                "min_player_level": Option(None, f"lowest level of a player; {_BY_ID}", int),
                "max_player_level": Option(None, f"highest level of a player; {_BY_ID}", int),
                "min_food_level": Option(None, f"lowest level of a food; {_BY_ID}", int),
                "max_food_level": Option(None, f"highest level of a food; {_BY_ID}", int),
                "penalty": Option(None, f"cost of a failed attempt to load; {_BY_ID}", float),
            },
            task_check="env_registry.lbf_ids:check_task",
        ),
        EnvRow(
            name="counter",
            entry_point="env_registry.toy:CounterEnv",
            summary="A test environment whose every number says where it belongs.",
            options={
                "n_agents": Option(3, "number of agents", int),
                "n_actions": Option(4, "number of actions", int),
                "min_length": Option(4, "fewest env steps of an episode", int),
                "max_length": Option(9, "most env steps of an episode", int),
                "ends_by": Option(
                    "termination",
                    "how episodes end",
                    str,
                    ("termination", "truncation", "mixed"),
                ),
            },
        ),
        EnvRow(
            name="two_step",
            entry_point="env_registry.toy:TwoStepEnv",
            summary="The QMIX paper's two-step game; the best return is 8, the safe one 7.",
        ),
        EnvRow(
            name="climbing",
            entry_point="env_registry.toy:ClimbingEnv",
            summary="One-step matrix games that punish miscoordination; best 11 (penalty: 10).",
            options={
                "game": Option("climbing", "which matrix", str, ("climbing", "penalty")),
                "penalty": Option(-10.0, "what the penalty game's wrong corners pay", float),
            },
        ),
    )
}


def register() -> None:
    """Registers every environment with Ray Tune by its name. Calling it again changes nothing.

    What is registered is a function of this module and a name, so a remote worker that looks the
    name up imports `env_registry` and needs nothing else.
    """
    from ray.tune.registry import register_env

    for name in ENVIRONMENTS:
        register_env(name, functools.partial(_create, name))


def make(name: str, **env_config: Any) -> Any:
    """Builds an environment that follows the contract.

    Args:
        name: A key of ENVIRONMENTS.
        **env_config: Its options.

    Returns:
        The environment.

    Raises:
        EnvConfigError: As `validate`.
    """
    if name not in ENVIRONMENTS:
        raise _unknown_name(name)
    validate(name, env_config)
    return _load(ENVIRONMENTS[name].entry_point)(**env_config)


def validate(name: str, env_config: Mapping[str, Any] | None = None) -> None:
    """Checks an environment's name and configuration without building it or starting Ray.

    A name that somebody else registered with Ray Tune passes unchecked. Values that Tune will
    fill in later pass; those of {"grid_search": [...]} are checked one by one.

    Args:
        name: A key of ENVIRONMENTS, or a name registered with Ray Tune.
        env_config: The configuration; None = empty.

    Raises:
        EnvConfigError: For an unknown name or key (with the nearest valid ones), a value of the
            wrong kind, a task that does not exist, a package that is not installed.
    """
    row = ENVIRONMENTS.get(name)
    if row is None:
        if _registered_elsewhere(name):
            return
        raise _unknown_name(name)
    env_config = {} if env_config is None else env_config
    if not isinstance(env_config, Mapping):
        raise EnvConfigError(f"env_config of {name!r} is {env_config!r}, and must be a mapping")
    for key, value in env_config.items():
        if key not in row.options:
            raise EnvConfigError(
                f"unknown key {key!r} in the env_config of {name!r}; "
                + (_nearest(key, row.options) if row.options else "it takes none")
            )
        for candidate in _candidates(value):
            _check_value(row, key, candidate)
    ok, reason = installed(name)
    if not ok:
        raise EnvConfigError(reason)


def installed(name: str) -> tuple[bool, str]:
    """Whether the packages that an environment needs are there.

    Args:
        name: A key of ENVIRONMENTS.

    Returns:
        (True, "") or (False, what is missing and the line that installs it).

    Raises:
        EnvConfigError: If there is no such environment.
    """
    if name not in ENVIRONMENTS:
        raise _unknown_name(name)
    row = ENVIRONMENTS[name]
    missing = [module for module in row.packages if importlib.util.find_spec(module) is None]
    if not missing:
        return True, ""
    return False, (
        f"environment {name!r} needs {', '.join(missing)}, not installed here; install with: "
        f'pip install "{DISTRIBUTION}[{row.extra}]"'
    )


def _create(name: str, env_context: Mapping[str, Any]) -> Any:
    """What Ray Tune calls. An EnvContext is a dict with attributes (worker_index ...); the
    options are its entries."""
    return make(name, **dict(env_context))


def _load(entry_point: str) -> Callable[..., Any]:
    module, _, attribute = entry_point.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _registered_elsewhere(name: str) -> bool:
    from ray.tune.registry import ENV_CREATOR, _global_registry

    return isinstance(name, str) and _global_registry.contains(ENV_CREATOR, name)


def _candidates(value: Any) -> list[Any]:
    """The values to check: those of a grid search, none of a sampled search space, else itself."""
    if isinstance(value, Mapping) and set(value) == {"grid_search"}:
        return list(value["grid_search"])
    plain = value is None or isinstance(value, (bool, numbers.Number, str, Mapping, list, tuple))
    return [value] if plain else []


def _check_value(row: EnvRow, key: str, value: Any) -> None:
    """Raises EnvConfigError unless `value` is one that the option takes."""
    option = row.options[key]
    if value is None and option.default is None:
        return
    accepted = {int: numbers.Integral, float: numbers.Real}.get(option.kind, option.kind)
    if not isinstance(value, accepted) or (isinstance(value, bool) and option.kind is not bool):
        raise EnvConfigError(
            f"{key!r} in the env_config of {row.name!r} is {value!r}, and must be of type "
            f"{option.kind.__name__} ({option.meaning}; default {option.default!r})"
        )
    if option.choices and value not in option.choices:
        raise EnvConfigError(
            f"{key!r} in the env_config of {row.name!r} is {value!r}; "
            + _nearest(str(value), option.choices)
        )
    if key == "task" and row.task_check:
        try:
            _load(row.task_check)(value)
        except ValueError as error:
            raise EnvConfigError(f"environment {row.name!r}: {error}") from None


def _unknown_name(name: object) -> EnvConfigError:
    return EnvConfigError(f"unknown environment {name!r}; {_nearest(str(name), ENVIRONMENTS)}")


def _nearest(word: str, valid: Iterable[str]) -> str:
    """Words the valid name that comes nearest, and all others."""
    names = sorted(valid)
    near = difflib.get_close_matches(str(word), names, n=1, cutoff=0.4)
    return (f"did you mean {near[0]!r}? " if near else "") + "valid: " + ", ".join(names)
