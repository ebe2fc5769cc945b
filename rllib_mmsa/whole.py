"""Whether a checkpoint is whole, told without loading it.

A kill or a full disk leaves checkpoints half written and half deleted. What is saved last says
what must be there: every file's name and size, and the result at which it was saved. Tune copies
the files in any order, so that this one may come first.

No Ray, no torch.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from rllib_mmsa import seal

COMPLETE = "complete.json"
#: Of a checkpoint; counted up when an older version could not read it (origin.py).
FORMAT = 1
CLASS_FILE = "class_and_ctor_args.pkl"  # RLlib's; marks a checkpoint of the new API stack
TEAM_FILE = "team.json"  # beside it, or alone: a team that acts (rllib_mmsa/team)
TEAM = "team"
MODULES = "learner_group/learner/rl_module"
MODULE_FOLDER = f"{MODULES}/{TEAM}"
# RLlib's names for what describes a component; its state lies beside, under the name in there.
METADATA = ("rllib_checkpoint.json", "metadata.json")
_PACKAGES = {"version": "rllib-mmsa", "ray": "ray"}
STOP_OPCODE = b"."  # the last byte of every pickle


def mark(checkpoint: Path, result: Mapping[str, Any] | None) -> None:
    """Note what a checkpoint that has just been written consists of.

    Args:
        checkpoint: Its folder, on this machine.
        result: The last result before it; None: there was none yet.

    Raises:
        OSError: If the note cannot be written.
    """
    place = checkpoint / COMPLETE
    sizes = {
        path.relative_to(checkpoint).as_posix(): path.stat().st_size
        for path in sorted(checkpoint.rglob("*"))
        if path.is_file() and path != place
    }
    said = {k: v for k, v in (result or {}).items() if k != "config"}
    made = {"written_by": here(), "files": sizes, "result": said, "seal": seal.of(checkpoint)}
    _write(checkpoint, made)


def here() -> dict[str, Any]:
    """What a checkpoint that is written here says of who wrote it: its format, the versions."""
    versions = {name: _version(package) for name, package in _PACKAGES.items()}
    return {"format": FORMAT, **versions, "python": platform.python_version()}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def written_by(checkpoint: Path) -> dict[str, Any]:
    """What a checkpoint says of who wrote it, as ``here``; empty where it says nothing."""
    try:
        said = dict(_said(checkpoint)["written_by"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    kinds = {"format": int, **dict.fromkeys((*_PACKAGES, "python"), str)}
    return said if all(isinstance(said.get(key), kind) for key, kind in kinds.items()) else {}


def _write(checkpoint: Path, said: Mapping[str, Any]) -> None:
    aside = checkpoint / f".{COMPLETE}.new"
    aside.write_text(json.dumps(said, default=_plain))
    os.replace(aside, checkpoint / COMPLETE)


def _plain(value: Any) -> Any:
    """A number of NumPy's as Python's; anything else that JSON does not know as text."""
    return value.item() if getattr(value, "ndim", None) == 0 else str(value)


def saved_result(checkpoint: Path) -> dict[str, Any]:
    """The last result before a checkpoint was saved, without the settings.

    Returns:
        RLlib's result; empty where there was none, or an older version made the checkpoint.
    """
    try:
        return dict(_said(checkpoint)["result"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def is_own(checkpoint: Path) -> bool:
    """Whether this user wrote a checkpoint's pickles, or has trusted them (seal.py)."""
    try:
        return seal.fits(checkpoint, _said(checkpoint).get("seal"))
    except (OSError, ValueError, AttributeError):
        return False


def seal_as_own(checkpoint: Path) -> None:
    """Take a checkpoint for this user's own from now on, where it can be written."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        _write(checkpoint, {**_said(checkpoint), "seal": seal.of(checkpoint)})


def _said(checkpoint: Path) -> dict[str, Any]:
    return json.loads((checkpoint / COMPLETE).read_bytes())


def damage(checkpoint: Path, under: str = "") -> str | None:
    """Say what a checkpoint lacks.

    Args:
        checkpoint: Its folder.
        under: Look only at files below this folder of it, such as `MODULE_FOLDER`.

    Returns:
        Words such as "learner_group/state.pkl is missing"; None: it is whole.
    """
    try:
        files = dict(_said(checkpoint)["files"])
    except FileNotFoundError:
        files = dict.fromkeys(_expected(checkpoint))  # of an older version: sizes are not known
    except (OSError, ValueError, KeyError, TypeError):
        return f"{COMPLETE} cannot be read"
    wanted = ((name, size) for name, size in files.items() if name.startswith(under))
    return next(filter(None, (_file_damage(checkpoint, *each) for each in wanted)), None)


def _file_damage(checkpoint: Path, name: str, size: int | None) -> str | None:
    """What is wrong with one file."""
    path = checkpoint / name
    if not path.is_file():
        return f"{name} is missing"
    found = path.stat().st_size
    if size is not None and found != size:
        return f"{name} has {found:,} of its {size:,} bytes"
    if path.suffix == ".pkl" and not ends_as_a_pickle(path):
        return f"{name} is cut off"
    return None


def ends_as_a_pickle(path: Path) -> bool:
    """Whether a file ends as a pickle does: not cut off, nor zeros after a power cut."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) == STOP_OPCODE


def _expected(checkpoint: Path) -> Iterator[str]:
    """The files of a checkpoint that does not say of what it consists."""
    folders = {"", "env_runner", "learner_group", "learner_group/learner", MODULES}
    there = (path for path in checkpoint.rglob("*") if path.is_dir())
    folders |= {path.relative_to(checkpoint).as_posix() for path in there}
    if not any(folder.startswith(f"{MODULES}/") for folder in folders):
        folders.add(MODULE_FOLDER)
    for folder in sorted(folders):
        prefix = f"{folder}/" if folder else ""
        metadata = METADATA[bool(folder)]
        yield prefix + metadata
        yield prefix + CLASS_FILE
        try:
            state = json.loads((checkpoint / folder / metadata).read_text())["state_file"]
        except (OSError, ValueError, KeyError):
            continue  # missing, which is said
        found = next((checkpoint / folder).glob(f"{state}.*"), None)
        yield prefix + (found.name if found else f"{state}.pkl")
