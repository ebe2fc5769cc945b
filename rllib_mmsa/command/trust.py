"""The question before a stranger's pickles are opened."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from rllib_mmsa import whole
from rllib_mmsa.command import checkpoints
from rllib_mmsa.errors import ConfigError

#: Set to 1, it is the option `--trust`, for batch jobs too.
VARIABLE = "RLLIB_MMSA_TRUST"


def give(trusted: bool) -> None:
    """Take `--trust`; processes that are started from here have it as well."""
    if trusted:
        os.environ[VARIABLE] = "1"


def is_given() -> bool:
    """Whether the user trusts what he opens, whoever wrote it."""
    return os.environ.get(VARIABLE) == "1"


def require(checkpoint: Path) -> None:
    """Ask before a checkpoint's pickles are opened that this user did not write.

    What was trusted once is sealed as the user's own. An exported team has no pickles.

    Args:
        checkpoint: Its folder.

    Raises:
        ConfigError: If the user does not trust it, or cannot be asked.
    """
    if checkpoints.is_exported(checkpoint) or whole.is_own(checkpoint):
        return
    why = (
        f"'{checkpoint}' was not written by you on this machine, or by an older version. It holds "
        "pickles, and opening them runs whatever code is in them."
    )
    if not _asked(why):
        raise ConfigError(f"{why} If you trust who made it, add --trust.")
    whole.seal_as_own(checkpoint)


def require_run(folder: Path) -> None:
    """The same for a folder of results, which goes on from two kinds of pickles; none may be there.

    These are the newest checkpoint of each trial and Tune's state. Of the state, what is a
    stranger's is left out where the user's own lies beside it: a kill leaves such files, too.

    Raises:
        ConfigError: See `require`.
    """
    trials = [each for each in sorted(folder.glob("*")) if each.is_dir()]
    saved = list(filter(None, map(checkpoints.latest, trials)))
    for newest in saved:
        require(newest)
    from rllib_mmsa.command.run import sealed, state  # slow

    files = state.files(folder)
    strange = sealed.strange(folder, files)
    if not strange or not (saved or state.newest(folder)):
        return  # nothing of a stranger's will be opened: the run begins anew
    own = [path.name for path in files if path not in strange]
    if not is_given() and state.suffices(own):
        for path in strange:
            typer.echo(f"'{path}' was not written by a run of yours, and is left out", err=True)
            path.unlink()
        return
    why = (
        f"'{strange[0]}' was not written by a run of yours on this machine, or by an older "
        "version. Tune opens it as a pickle, which runs whatever code is in it."
    )
    if not _asked(why):
        raise ConfigError(f"{why} If you trust who made it, add --trust.")
    sealed.note_files(folder, strange)


def _asked(why: str) -> bool:
    if is_given():
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    typer.echo(why, err=True)
    return typer.confirm("Do you trust who made it?", err=True)
