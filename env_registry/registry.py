"""The environments by name: registered with Ray Tune, checked in words before they are built."""

from __future__ import annotations

import importlib
import numbers
from collections.abc import Callable, Mapping
from typing import Any

from env_registry.errors import EnvConfigError
from env_registry.nearest import nearest, of_environment, of_key
from env_registry.rows import ENVIRONMENTS, EnvRow
from env_registry.rows.row import SHARED_OPTIONS, Option


def register() -> None:
    """Registers every environment with Ray Tune by its name. Calling it again changes nothing.

    What is registered is a class of this module and a name, so a remote worker that looks the
    name up imports `env_registry` and needs nothing else.
    """
    from ray.tune.registry import register_env

    for name in ENVIRONMENTS:
        register_env(name, _Creator(name))


def make(name: str, **env_config: Any) -> Any:
    """Builds an environment that follows the contract.

    Args:
        name: A key of ENVIRONMENTS.
        **env_config: Its options.

    Returns:
        The environment; with ``grouped: False`` each of its agents is an agent to RLlib
        (`env_registry.contract.UngroupedEnv`).

    Raises:
        EnvConfigError: As `validate`.
    """
    if name not in ENVIRONMENTS:
        raise _unknown_name(name)
    validate(name, env_config)
    env = _load(ENVIRONMENTS[name].entry_point)(**_own(env_config))
    if env_config.get("grouped", True):
        return env
    from env_registry.contract.ungrouped import UngroupedEnv  # here: it imports RLlib

    return UngroupedEnv(env, limit_is_end=env_config.get("limit_is_end", False))


def validate(name: str, env_config: Mapping[str, Any] | None = None) -> None:
    """Checks an environment's name and configuration without building it or starting Ray.

    A name that somebody else registered with Ray Tune passes unchecked. Values that Tune will
    fill in later pass; those of {"grid_search": [...]} are checked one by one.

    Args:
        name: A key of ENVIRONMENTS, or a name registered with Ray Tune.
        env_config: The configuration; None = empty.

    Raises:
        EnvConfigError: For an unknown name or key (with the nearest valid ones), a value of the
            wrong kind or out of its range, a task that does not exist, a package that is not
            installed.
    """
    row = ENVIRONMENTS.get(name)
    if row is None and _registered_elsewhere(name):
        return
    validate_options(name, env_config)
    config = env_config or {}
    if row and row.config_check and all(_is_plain(value) for value in config.values()):
        _check_by(row, row.config_check, _own(config))
    ok, reason = installed(name, config.get("task"))
    if not ok:
        own_words = row is not None and row.installed_check
        raise EnvConfigError(f"environment {name!r}: {reason}" if own_words else reason)


def validate_options(name: str, env_config: Mapping[str, Any] | None = None) -> None:
    """As `validate`, but says nothing of what is installed; only of environments of this package.

    Args:
        name: A key of ENVIRONMENTS.
        env_config: The configuration; None = empty.

    Raises:
        EnvConfigError: For an unknown name or key, a value of the wrong kind or below its least, a
            task that does not exist.
    """
    row = ENVIRONMENTS.get(name)
    if row is None:
        raise _unknown_name(name)
    env_config = {} if env_config is None else env_config
    if not isinstance(env_config, Mapping):
        raise EnvConfigError(f"env_config of {name!r} is {env_config!r}, and must be a mapping")
    for key, value in env_config.items():
        if key not in _options(row):
            raise EnvConfigError(
                f"unknown key {key!r} in the env_config of {name!r}; {of_key(row, key)}"
            )
        for candidate in _candidates(value):
            _check_value(row, key, candidate)
    if env_config.get("limit_is_end") and env_config.get("grouped", True) is True:
        raise EnvConfigError(
            f"'limit_is_end' in the env_config of {name!r} is for grouped: false; for a team the "
            "algorithm says it, bootstrap_truncated: false"
        )


def notice(name: str, env_config: Mapping[str, Any] | None = None) -> str:
    """What a user should be told of an environment at the start of a run.

    Args:
        name: Any environment's name.
        env_config: Its configuration, valid.

    Returns:
        One line, or "".
    """
    row = ENVIRONMENTS.get(name)
    return _load(row.notice)(env_config or {}) if row and row.notice else ""


def stand_in(name: str, env_config: Mapping[str, Any] | None = None) -> str:
    """The game that plays in the place of the one that an environment is named after.

    Args:
        name: Any environment's name.
        env_config: Its configuration, valid.

    Returns:
        Such as "smax"; "" where there is none.
    """
    row = ENVIRONMENTS.get(name)
    return _load(row.stand_in)(env_config or {}) if row and row.stand_in else ""


def installed(name: str, task: Any = None) -> tuple[bool, str]:
    """Whether the packages that an environment needs are there.

    Args:
        name: A key of ENVIRONMENTS.
        task: Its task, on which the packages may depend; None: the default one.

    Returns:
        (True, "") or (False, what is missing and the line that installs it); (True, reason) where
        another game stands in for the one that is missing.

    Raises:
        EnvConfigError: If there is no such environment.
    """
    if name not in ENVIRONMENTS:
        raise _unknown_name(name)
    row = ENVIRONMENTS[name]
    if row.installed_check:
        return _load(row.installed_check)()
    problem = row.packages_problem()
    if row.task_problem and not problem:
        tasks = _candidates(task or row.default_task)
        problem = next(filter(None, map(_load(row.task_problem), tasks)), "")
    return not problem, problem


class _Creator:
    """What Ray Tune calls. An EnvContext is a dict with attributes (worker_index ...); the options
    are its entries."""

    def __init__(self, name: str):
        self.name = name

    def __call__(self, env_context: Mapping[str, Any]) -> Any:
        return make(self.name, **dict(env_context))

    def validate(self, env_config: Mapping[str, Any]) -> None:
        """`validate` of this name, for whoever knows only what Tune's registry holds."""
        validate(self.name, env_config)

    def least_envs(self, env_config: Mapping[str, Any]) -> int:
        """How many of these a runner should play at once, at least; 1: as many as it is told."""
        entry_point = ENVIRONMENTS[self.name].least_envs
        return 1 if entry_point is None else _load(entry_point)(env_config)

    @property
    def make_vec(self) -> Callable[[int, Mapping[str, Any]], Any] | None:
        """(num_envs, env_context) -> an environment of several slots; None if there is none.

        It may itself return None, for an env_config that is not played that way.
        """
        return self._make_vec if ENVIRONMENTS[self.name].vector_entry_point else None

    def _make_vec(self, num_envs: int, env_context: Mapping[str, Any]) -> Any:
        validate(self.name, env_context)
        entry_point = ENVIRONMENTS[self.name].vector_entry_point
        assert entry_point is not None
        if not env_context.get("grouped", True):
            return None
        return _load(entry_point)(num_envs, **_own(env_context))


def _options(row: EnvRow) -> dict[str, Option]:
    """The keys that an environment's env_config may have."""
    return {**row.options, **SHARED_OPTIONS}


def _own(env_config: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of an env_config that are the environment's own."""
    return {key: value for key, value in env_config.items() if key not in SHARED_OPTIONS}


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
    return [value] if _is_plain(value) else []


def _is_plain(value: Any) -> bool:
    """Whether a value is there already; Tune fills in a search space later."""
    if isinstance(value, Mapping) and set(value) == {"grid_search"}:
        return False
    return value is None or isinstance(value, (bool, numbers.Number, str, Mapping, list, tuple))


def _check_value(row: EnvRow, key: str, value: Any) -> None:
    """Raises EnvConfigError unless `value` is one that the option takes."""
    option = _options(row)[key]
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
            + nearest(str(value), option.choices)
        )
    if option.least is not None and not _reaches(value, option.least):
        raise EnvConfigError(
            f"{key!r} in the env_config of {row.name!r} is {value!r}, and must be {option.least} "
            f"or more ({option.meaning}; default {option.default!r})"
        )
    if key == "task" and row.task_check:
        _check_by(row, row.task_check, value)


def _reaches(value: Any, least: float) -> bool:
    """Whether a number is `least` or more; a NaN is not."""
    return bool(value >= least)


def _check_by(row: EnvRow, check: str, value: Any) -> None:
    """Raises EnvConfigError if the environment's own check refuses `value`."""
    try:
        _load(check)(value)
    except ValueError as error:
        raise EnvConfigError(f"environment {row.name!r}: {error}") from None


def _unknown_name(name: object) -> EnvConfigError:
    return EnvConfigError(f"unknown environment {name!r}; {of_environment(name)}")
