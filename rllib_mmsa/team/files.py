"""The two files of a team that acts: what it is as JSON, its weights as safetensors.

Every checkpoint holds them. Nothing is unpickled: a folder from a stranger runs no code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from rllib_mmsa.whole import TEAM_FILE as DESCRIPTION

WEIGHTS = "team.safetensors"
#: Of both files; counted up when an older version could not read them.
FORMAT = 1
NEEDED = ("algorithm", "settings", "environment")


class MeaninglessFolder(ValueError):
    """A folder holds no team that this version reads. Its text is the whole message."""


def write(folder: str | Path, said: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    """Write a team.

    Args:
        folder: It exists.
        said: What JSON holds: "algorithm", "settings" and "environment" (`Team`), and more.
        weights: The acting network's, by their names in it.
    """
    text = json.dumps({"format": FORMAT, **said}, indent=2)
    Path(folder, DESCRIPTION).write_text(text + "\n", encoding="utf-8")
    packed = save({k: v.detach().cpu().contiguous() for k, v in weights.items()})
    Path(folder, WEIGHTS).write_bytes(packed)  # a full disk is an OSError then


def read(folder: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read what `write` wrote.

    Args:
        folder: A checkpoint's, or an exported one.

    Returns:
        What it says of itself, and its weights.

    Raises:
        MeaninglessFolder: If the files are missing, damaged or of a newer format.
    """
    place = Path(folder).expanduser()
    said = _read_description(place)
    missing = [key for key in NEEDED if key not in said]
    if missing:
        raise MeaninglessFolder(
            f"'{place / DESCRIPTION}' lacks {', '.join(missing)}; is the copy complete?"
        )
    try:
        return said, load_file(place / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise MeaninglessFolder(
            f"'{place / WEIGHTS}' cannot be read ({error}); is the copy complete?"
        ) from None


def _read_description(place: Path) -> dict[str, Any]:
    path = place / DESCRIPTION
    if not place.is_dir():
        what = "is a file" if place.exists() else "does not exist"
        raise MeaninglessFolder(f"'{place}' {what}; name the folder of a checkpoint or of a team.")
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        newer = said["format"] > FORMAT
    except FileNotFoundError:
        raise MeaninglessFolder(
            f"'{place}' holds no {DESCRIPTION}. MAPPO and IPPO write none: `rllib evaluate` plays "
            "their checkpoints. Otherwise name the folder of a checkpoint that this version wrote "
            "(`rllib train` prints it), or train the run on for a moment: the next one has it."
        ) from None
    except KeyError:
        raise MeaninglessFolder(f"'{path}' says no format; is it a team's?") from None
    except (OSError, ValueError, TypeError) as error:
        raise MeaninglessFolder(f"'{path}' cannot be read ({error}).") from None
    if newer:
        raise MeaninglessFolder(
            f"'{path}' has format {said['format']}, and this version reads up to {FORMAT}; install "
            f"the version that wrote it ({said.get('version', 'it does not say which')})."
        )
    return said
