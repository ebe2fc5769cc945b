"""Whether results can be written where they are to go, found out before anything starts."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

from rllib_mmsa.command.experiment.experiment import Experiment
from rllib_mmsa.errors import ConfigError

BLOCK = bytes(4096)  # a full disk still takes an empty file
FULL = (errno.ENOSPC, errno.EDQUOT)


def check_writable(experiment: Experiment) -> None:
    """Refuse a folder of results that cannot be made or written.

    Nothing is left behind: folders are not made, a file without a name is written above them.

    Args:
        experiment: Its results may be on a remote file system, which is not looked at.

    Raises:
        ConfigError: If its folder, or the nearest one above that exists, is a file or read-only,
            or on a full disk.
    """
    if experiment.is_remote:
        return
    remedy = "name another folder with --storage-path or storage_path"
    try:
        place = _nearest(experiment.path)
        if not place.is_dir():
            raise ConfigError(
                f"{experiment.name}: the results go to '{experiment.path}', but '{place}' is a "
                f"file; {remedy}."
            )
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(BLOCK)
    except OSError as err:
        room = "make room there, or " if err.errno in FULL else ""
        raise ConfigError(
            f"{experiment.name}: results cannot be written to '{experiment.path}': "
            f"{err.strerror or err}; {room}{remedy}."
        ) from None


def _nearest(path: Path) -> Path:
    """The path, or the nearest above it that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
