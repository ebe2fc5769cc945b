"""Which files of Tune's state the user's own runs wrote: Tune opens them as pickles.

Tune writes them over and over. What was written lately is noted by its seal (seal.py), so that a
file of that content is the user's own, also the older one that a kill leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from rllib_mmsa import seal
from rllib_mmsa.replacing import replacing

#: Below the experiment's folder: the seals, and whole copies of the files (state.py).
BACKUP = ".state"
SEALS = "seals"
_MOST = 500  # seals kept: a few files, each of them of many moments


def note(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Note files as the user's own, before they are written.

    Args:
        folder: The experiment's.
        contents: File name -> content.

    Raises:
        OSError: If that cannot be written.
    """
    new = [seal.of_content(name, content) for name, content in contents.items()]
    known = _known(folder)
    kept = [*(each for each in known if each not in new), *filter(None, new)][-_MOST:]
    if kept == known:
        return
    (folder / BACKUP).mkdir(exist_ok=True)
    with replacing(folder / BACKUP / SEALS, "wb") as file:
        file.write("\n".join(kept).encode())


def note_files(folder: Path, files: Iterable[Path]) -> None:
    """Note files that are there as the user's own: his run has written, or he trusts them."""
    for path in files:
        note(folder, {path.name: path.read_bytes()})


def strange(folder: Path, files: Iterable[Path]) -> list[Path]:
    """Those of an experiment's files that none of the user's runs wrote as they are."""
    known = _known(folder)
    return [p for p in files if seal.of_content(p.name, p.read_bytes()) not in known]


def _known(folder: Path) -> list[str]:
    try:
        return (folder / BACKUP / SEALS).read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return []
