"""One command at a time runs an experiment: two would bury each other's state."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import typer

from rllib_mmsa.errors import ConfigError

LOCK = ".lock"


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold an experiment's folder, which is made if it is not there.

    The operating system lets go of the lock when the process ends, however it ends. A file system
    that has no locks (some network mounts) is used without, which is said.

    Args:
        folder: The experiment's.

    Raises:
        ConfigError: If another process holds it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Not inherited by what Ray starts, which may live a moment longer.
        file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as err:
        raise ConfigError(
            f"'{folder}' cannot be written: {err.strerror}; name another --storage-path."
        ) from None
    try:
        _lock(file, folder)
        owner = {"pid": os.getpid(), "host": socket.gethostname()}
        with contextlib.suppress(OSError):  # a full disk; the lock holds all the same
            os.ftruncate(file, 0)
            os.pwrite(file, json.dumps(owner).encode(), 0)
        yield
    finally:
        # The file stays: another process may have opened it already.
        os.close(file)


def _lock(file: int, folder: Path) -> None:
    """Take the lock, or say who has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as err:
        if err.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            typer.echo(
                f"note: no locks on the file system of {folder} ({err.strerror}); see to it that "
                "only one command at a time runs this experiment",
                err=True,
            )
            return
        raise ConfigError(
            f"'{folder}' is being run by {_owner(file)}; wait for it, stop it, or take another "
            "folder (--experiment-name, --storage-path)."
        ) from None


def _owner(file: int) -> str:
    """Who holds the lock, in words."""
    try:
        owner = json.loads(os.pread(file, 1000, 0))
        return f"process {owner['pid']} on {owner['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
