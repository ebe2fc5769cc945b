"""What the rows of `smacv2` and `smac` name: from an env_config to an environment."""

from __future__ import annotations

from typing import Any

from env_registry.contract import GroupedEnv
from env_registry.rows import ENVIRONMENTS
from env_registry.starcraft2 import backend
from env_registry.tasks.starcraft2 import capability_config, parse_smacv2


def make_smacv2(**options: Any) -> GroupedEnv:
    """Makes a SMACv2 battle on StarCraft II, or on SMAX (`backend`).

    Args:
        **options: As in `env_registry.rows`; what is left out has its default there.

    Raises:
        TaskError: If the task does not exist, or nothing here can play it.
    """
    if backend.choose(options) == backend.SMAX:
        return _smax_slots(1, options).envs[0]
    from env_registry.starcraft2.env import SmacEnv  # here: it imports smacv2

    settings = {**_defaults("smacv2"), **options}
    del settings["backend"]
    scenario = parse_smacv2(settings.pop("task"))
    changes = settings.pop("capability_config")
    return SmacEnv(
        scenario.map_name, capability_config=capability_config(scenario, changes), **settings
    )


def make_smacv2_slots(num_envs: int, **options: Any) -> Any:
    """Several battles stepped by one call, where they are played on SMAX; otherwise None."""
    if backend.choose(options) != backend.SMAX:
        return None
    return _smax_slots(num_envs, options)


def _smax_slots(num_envs: int, options: dict[str, Any]) -> Any:
    """A SMACv2 task on SMAX, for options with which SMAX has been chosen."""
    from env_registry.smax import SmaxVectorEnv  # here: it imports jaxmarl

    backend.say_once(backend.smax_notice(options, num_envs))
    slots = SmaxVectorEnv(num_envs, task=backend.smax_task(options))
    for env in slots.envs:
        env.backend = backend.SMAX
    return slots


def make_smac(**options: Any) -> GroupedEnv:
    """Makes a battle on one of SMAC's fixed maps; options as in `env_registry.rows`."""
    from env_registry.starcraft2.env import SmacEnv  # here: it imports smacv2

    settings = {**_defaults("smac"), **options}
    return SmacEnv(settings.pop("task"), **settings)


def _defaults(name: str) -> dict[str, Any]:
    return {key: option.default for key, option in ENVIRONMENTS[name].options.items()}
