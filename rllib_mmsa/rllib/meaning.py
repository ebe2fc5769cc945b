"""What the numbers of a checkpoint mean: the game, its agents, actions and sizes.

Weights fit an environment by size alone, and mean something by the order of its agents and actions.
`environment.json` in each checkpoint keeps both, and whoever reads the checkpoint compares.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from env_registry.contract import ACTION_MASK, OBS, STATE, TEAM, checked_layout
from rllib_mmsa.whole import CLASS_FILE, MODULE_FOLDER

FILE = "environment.json"
FORMAT = 1
#: What must agree: key -> what it is called in a message.
COMPARED = {
    "num_agents": "number of agents",
    "agents": "agents, in this order",
    "num_actions": "number of actions",
    "actions": "actions, in this order",
    "obs_size": "size of an observation",
    "state_size": "size of the state",
}


class MeaningError(ValueError):
    """A checkpoint and an environment mean different things. Its text is the whole message."""


def describe(env: Any, name: str, settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """The record of an environment.

    Args:
        env: One that follows the contract (`env_registry.contract`).
        name: Its registered name.
        settings: Its configuration.

    Returns:
        What JSON holds: "env", "env_config", "backend", the entries of `COMPARED`, and
        "observation_layout", a mapping for each entity; None where the environment does not say.
    """
    sizes = _sizes(env.observation_spaces[TEAM])
    agents = list(map(str, getattr(env, "agent_names", ())))
    if agents == [f"agent_{i}" for i in range(sizes["num_agents"])]:
        agents = []  # counted, not named
    layout = checked_layout(env)
    record = {
        "format": FORMAT,
        "env": str(name),
        "env_config": dict(settings or {}),
        "backend": getattr(env, "backend", None),
        **sizes,
        "agents": agents or None,
        "actions": list(map(str, getattr(env, "action_names", ()))) or None,
        "observation_layout": layout and [entity._asdict() for entity in layout],
    }
    return json.loads(json.dumps(record, default=str))


def save(record: Mapping[str, Any], checkpoint: str | Path) -> None:
    """Writes a record into a checkpoint's folder."""
    text = json.dumps(record, indent=2)
    Path(checkpoint, FILE).write_text(text + "\n", encoding="utf-8")


def read(checkpoint: str | Path) -> dict[str, Any] | None:
    """The record of a checkpoint; None where an earlier version wrote none.

    Raises:
        MeaningError: If the file is damaged, or of a newer format.
    """
    path = Path(checkpoint, FILE)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        newer = record["format"] > FORMAT
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MeaningError(f"'{path}' cannot be read ({error}); is the copy complete?") from None
    if newer:
        raise MeaningError(
            f"'{path}' has format {record['format']}, and this version reads up to {FORMAT}; "
            "install the version that wrote it, or a newer one."
        )
    return record


def compare(
    saved: Mapping[str, Any] | None, found: Mapping[str, Any], checkpoint: str | Path
) -> None:
    """Refuses weights that mean something else than the environment that is there.

    Args:
        saved: The checkpoint's record, or None: nothing is compared.
        found: The environment's.
        checkpoint: For the message.

    Raises:
        MeaningError: With what differs, both values, and what to do.
    """
    if saved is None:
        return
    differing = [
        f"its {what}: {saved[key]} (environment: {found[key]})"
        for key, what in COMPARED.items()
        if saved.get(key) is not None and found.get(key) is not None and saved[key] != found[key]
    ]
    if not differing:
        return
    settings = _changed(saved.get("env_config") or {}, found.get("env_config") or {})
    raise MeaningError(
        f"'{checkpoint}' was trained on another environment than '{found['env']}' as it is now. "
        f"{'; '.join(differing)}.{settings} Restore it with the environment and the settings "
        "that it was trained with, or train anew."
    )


def agreed(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The record that the environments of all processes have.

    Args:
        records: One of each process, the same environment's.

    Raises:
        MeaningError: If names or sizes differ, as they do where they come from a Python set.
    """
    first = records[0]
    for other in records[1:]:
        for key, what in COMPARED.items():
            if other[key] != first[key]:
                raise MeaningError(
                    f"the environment '{first['env']}' differs from process to process in its "
                    f"{what}: {first[key]} and {other[key]}. A Python set has another order in "
                    "each process; sort it."
                )
    return first


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The settings of the environment that differ, as a sentence; "" where none does."""
    keys = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
    pairs = [f"{key} was {before.get(key)!r}, is {now.get(key)!r}" for key in keys]
    return f" Settings that differ: {'; '.join(pairs)}." if pairs else ""


def of_checkpoint(checkpoint: str | Path) -> dict[str, Any] | None:
    """What a checkpoint says of itself: its record, or the sizes that its module was made for.

    Returns:
        None where neither is there.

    Raises:
        MeaningError: See `read`.
    """
    record = read(checkpoint)
    if record is not None:
        return record
    try:
        made = pickle.loads(Path(checkpoint, MODULE_FOLDER, CLASS_FILE).read_bytes())
        return _sizes(made["ctor_args_and_kwargs"][1]["observation_space"])
    except Exception:  # whoever loads the module will say what is wrong with it
        return None


def _sizes(space: Any) -> dict[str, int]:
    """N, A, D and S of a team's observation space."""
    num_agents, obs_size = space[OBS].shape
    return {
        "num_agents": num_agents,
        "num_actions": space[ACTION_MASK].shape[1],
        "obs_size": obs_size,
        "state_size": space[STATE].shape[0],
    }
