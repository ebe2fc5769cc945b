"""Names of trials that say what was searched: `lr=0.0005,horizon=3`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.utils import date_str

import env_registry

LINE_LENGTH = 40  # of a label in lines that are read
FOLDER_LENGTH = 60  # of the searched values in a folder's name


def searched(trial: Trial, config: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The searched settings by the last part of their names.

    Args:
        trial: The trial.
        config: The settings in force, which a population changes while a trial runs; None: now.
    """
    values = {}
    for path, drawn in (trial.evaluated_params or {}).items():
        value: Any = trial.config if config is None else config
        for key in path.split("/"):
            value = value.get(key, drawn) if isinstance(value, Mapping) else drawn
        values[path.rsplit("/", 1)[-1]] = value
    return values


def write(values: Mapping[str, Any]) -> str:
    """Settings as text, floating point numbers to three digits."""
    return ",".join(f"{key}={_short(value)}" for key, value in values.items())


def _short(value: Any) -> str:
    return format(value, ".3g") if isinstance(value, float) else str(value)


def number(trial: Trial) -> str:
    """A trial's number in its run, "#3"; its id where Tune gave it none."""
    last = trial.trial_id.rsplit("_", 1)[-1]
    return f"#{int(last)}" if last.isdigit() else last


def label(
    trial: Trial,
    trials: Sequence[Trial],
    *,
    numbered: bool = False,
    config: Mapping[str, Any] | None = None,
) -> str:
    """The name of a trial in lines that a person reads.

    Args:
        trial: The trial.
        trials: All of its experiment.
        numbered: Begin with the trial's number, since its values will change.
        config: The settings in force; None: now.

    Returns:
        The searched values, after the trial's number where they alone do not tell it apart. The
        experiment's name where nothing was searched and there is one trial (so far).
    """
    text = write(searched(trial, config))
    if len(trials) == 1 and not text:
        return trial.experiment_dir_name
    same = any(other is not trial and write(searched(other)) == text for other in trials)
    if numbered or same or not text:
        text = f"{number(trial)} {text}".strip()
    return cut(text, LINE_LENGTH)


def cut(text: str, length: int) -> str:
    """At most so many characters, the last an ellipsis where some are left out."""
    return text if len(text) <= length else text[: length - 1] + "…"


def folder(trial: Trial) -> str:
    """A trial's folder: the searched values, its id and the time of its start."""
    values = re.sub(r"[^\w.=,+-]", "_", write(searched(trial)))[:FOLDER_LENGTH]
    name = f"{values}_{trial.trial_id}" if values else str(trial)
    config = trial.config or {}
    game = env_registry.stand_in(str(config.get("env")), config.get("env_config"))
    return f"{name}{f'_on_{game}' if game else ''}_{date_str()}"
