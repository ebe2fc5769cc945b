"""The `search_alg` of an experiment: who proposes the next trial's settings. No Ray, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rllib_mmsa.command.experiment import checks, metrics, search
from rllib_mmsa.errors import ConfigError, require_extra, unknown

KINDS = ("optuna",)
KEYS = ("type", "metric", "mode", "seed")


def check(
    value: Any, where: str, config: Mapping[str, Any], scheduler: Mapping[str, Any]
) -> dict[str, Any]:
    """Check the `search_alg` of an experiment and fill in its defaults.

    Args:
        value: A name, a mapping with `type`, or None.
        where: The place in the file, for the message.
        config: RLlib options, with the search spaces that it draws from.
        scheduler: The checked scheduler; what it compares by is the default here.

    Returns:
        The mapping, complete; empty where there is none.

    Raises:
        ConfigError: At the first mistake, also if its package is not installed.
    """
    written = {"type": value} if isinstance(value, str) else checks.mapping(value, where)
    if not written:
        return {}
    if written.get("type") not in KINDS:
        raise unknown("type", written.get("type"), KINDS, where)
    checks.check_keys(written, KEYS, "key", where)
    default = {name: scheduler.get(name) for name in ("metric", "mode") if name in scheduler}
    settings = {"metric": search.TEST_RETURN, "mode": "max", **default, **written}
    metric = metrics.metric(settings["metric"], f"{where}: metric")
    settings["metric"] = search.LATEST.get(metric, metric)
    if settings["mode"] not in ("min", "max"):
        raise ConfigError(f"{where}: mode must be 'min' or 'max', not '{settings['mode']}'.")
    if settings.get("seed") is not None:
        checks.number(settings["seed"], f"{where}: seed", minimum=0, whole=True)
    if scheduler.get("type") == "pbt":
        raise ConfigError(f"{where}: a population (pbt) changes settings itself; take one of both.")
    _check_spaces(config, where)
    require_extra("optuna", where)
    return settings


def _check_spaces(config: Mapping[str, Any], where: str) -> None:
    """There is something to draw, and nothing that is run in full."""
    if list(search.grids(config)):
        raise ConfigError(
            f"{where}: grid_search is run in full, and nothing is left to propose; write choice."
        )
    if not search.searches(config):
        raise ConfigError(
            f"{where}: config has no search space; write for example lr: {{loguniform: [1e-4, "
            "1e-2]}."
        )
