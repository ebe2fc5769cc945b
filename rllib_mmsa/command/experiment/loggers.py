"""The `loggers` of an experiment, beside the files that every run writes. No Ray, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rllib_mmsa.command.experiment import checks
from rllib_mmsa.errors import ConfigError, require_extra, unknown

#: What every run writes; naming it changes nothing.
ALWAYS = ("tensorboard", "csv", "json")
#: Service -> the keys of its settings, with the names of Ray's callback and of the service itself.
SERVICES: dict[str, tuple[str, ...]] = {
    "wandb": ("project", "group", "entity", "tags", "notes", "mode", "dir"),
    "mlflow": ("tracking_uri", "experiment_name", "tags", "save_artifact"),
}
WANDB_MODES = ("online", "offline", "disabled")


def check(value: Any, where: str) -> tuple[dict[str, Any], ...]:
    """Check the `loggers` of an experiment.

    Args:
        value: A list of names, and of mappings from a name to its settings; or None.
        where: The place in the file, for the message.

    Returns:
        A mapping with `type` and the settings for each service; none for what is always written.

    Raises:
        ConfigError: At the first mistake, also if a service's package is not installed.
    """
    if value is None:
        return ()
    entries = value if isinstance(value, list) else [value]
    checked = [_one(entry, where) for entry in entries]
    kinds = [each["type"] for each in checked]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise ConfigError(f"{where}: {kind} is there twice; name each once.")
    return tuple(each for each in checked if each["type"] in SERVICES)


def _one(entry: Any, where: str) -> dict[str, Any]:
    """One of the list: a name, a name with settings, or what `check` returned before."""
    if isinstance(entry, Mapping) and "type" in entry:
        settings = dict(entry)
        kind = settings.pop("type")
    elif isinstance(entry, Mapping) and len(entry) == 1:
        ((kind, given),) = entry.items()
        settings = checks.mapping(given, f"{where}: {kind}")
    elif isinstance(entry, str):
        kind, settings = entry, {}
    else:
        raise ConfigError(
            f"{where} must be a list such as [wandb] or [{{wandb: {{project: foraging}}}}], but "
            f"has {checks.describe(entry)}."
        )
    if kind not in (*ALWAYS, *SERVICES):
        raise unknown("logger", kind, (*ALWAYS, *SERVICES), where)
    checks.check_keys(settings, SERVICES.get(kind, ()), "key", f"{where}: {kind}")
    if settings.get("mode", "online") not in WANDB_MODES:
        raise ConfigError(
            f"{where}: mode must be one of {', '.join(WANDB_MODES)}, not '{settings['mode']}'."
        )
    if kind in SERVICES:
        require_extra(kind, where)
    return {"type": kind, **settings}
