"""The tuned examples that are installed with the package. No Ray, no torch."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from rllib_mmsa.command.experiment.files import read_file
from rllib_mmsa.errors import unknown

FOLDER = Path(__file__).resolve().parents[1] / "tuned_examples"


@dataclasses.dataclass(frozen=True)
class Example:
    """One file.

    Attributes:
        name: Without its ending.
        runs: Its algorithms.
        env: Its environment, with the task where there is one alone.
    """

    name: str
    runs: tuple[str, ...]
    env: str


def path_of(name: str) -> Path:
    """The file of an example.

    Args:
        name: With or without ".yaml".

    Raises:
        ConfigError: If there is none; the nearest is named.
    """
    path = FOLDER / f"{name.removesuffix('.yaml')}.yaml"
    if path.parent == FOLDER and path.is_file():
        return path
    raise unknown("example", name, names())


def names() -> list[str]:
    """All of them, in alphabetical order."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read(name: str) -> Example:
    """What an example is.

    Raises:
        ConfigError: If there is none.
    """
    path = path_of(name)
    entries: list[dict[str, Any]] = list(read_file(path).values())
    config = entries[0].get("config", {})
    task = config.get("env_config", {}).get("task")
    return Example(
        name=path.stem,
        runs=tuple(dict.fromkeys(str(entry["run"]) for entry in entries)),
        env=f"{entries[0]['env']} {task}" if isinstance(task, str) else str(entries[0]["env"]),
    )
