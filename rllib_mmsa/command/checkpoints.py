"""Which checkpoint a path means: the newest that is whole."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import typer

from rllib_mmsa import whole
from rllib_mmsa.command.experiment.search import ENV_STEPS
from rllib_mmsa.command.trials import choose
from rllib_mmsa.errors import ConfigError

STEPS_FILE = "env_runner/state.pkl"


def locate(path: str | Path) -> Path:
    """Find the checkpoint that a path means.

    Args:
        path: A checkpoint, an exported team, a trial's folder (its latest whole checkpoint is
            taken), or the folder of an experiment: its one trial, the newest run's, or a search's
            best is taken.

    Returns:
        The checkpoint's folder.

    Raises:
        ConfigError: If there is none, or several trials that nothing tells apart, or if the one
            that is named lacks what acts.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        what = "is not a directory" if folder.exists() else "does not exist"
        raise ConfigError(f"checkpoint '{path}' {what}; name a folder such as checkpoint_000000.")
    if is_exported(folder):
        return folder.resolve()
    if (folder / whole.CLASS_FILE).exists() or re.fullmatch(r"checkpoint_\d+", folder.name):
        _refuse_damaged(folder)
        return folder.resolve()
    if found := latest(folder):
        return found.resolve()
    below = ((each, latest(each)) for each in sorted(folder.iterdir()) if each.is_dir())
    trials = {trial: newest for trial, newest in below if newest}
    if len(trials) == 1:
        return next(iter(trials.values())).resolve()
    if chosen := choose(list(trials)):
        others = f"'{path}' holds {len(trials)} trials; name another's folder to take that one"
        typer.echo(f"note: this is {chosen.folder.name}, {chosen.why}; {others}", err=True)
        return trials[chosen.folder].resolve()
    if trials:
        names = "\n  ".join(str(trial) for trial in list(trials)[:10])
        raise ConfigError(f"'{path}' holds {len(trials)} trials; name one of them:\n  {names}")
    empty = "is empty" if not any(folder.iterdir()) else "holds no whole checkpoint"
    raise ConfigError(
        f"'{path}' {empty}; name a checkpoint_000000 folder, or the folder of the trial above it "
        "(`rllib train` prints it at the end)."
    )


def is_exported(folder: Path) -> bool:
    """Whether a folder holds a team that acts and nothing to train it further."""
    return (folder / whole.TEAM_FILE).exists() and not (folder / whole.CLASS_FILE).exists()


def pickled_env_steps(checkpoint: Path) -> int:
    """Env steps sampled up to a checkpoint that is trusted, by its pickle; 0: it does not say."""
    try:
        return int(pickle.loads((checkpoint / STEPS_FILE).read_bytes())[ENV_STEPS])
    except Exception:  # a damaged pickle raises anything
        return 0


def _refuse_damaged(folder: Path) -> None:
    """Refuse a checkpoint that lacks what acts; the rest of it may have been left out."""
    acting = (whole.CLASS_FILE, whole.MODULE_FOLDER)
    found = next(filter(None, (whole.damage(folder, under) for under in acting)), None)
    if found:
        others = [each.name for each in checkpoints(folder.parent)]
        hint = f"take {others[0]}" if others else "take another, or copy it again"
        raise ConfigError(f"checkpoint '{folder}' is not whole: {found}; {hint}.")


def numbered(trial: Path) -> dict[int, Path]:
    """The folders of checkpoints in a trial's folder, whole or not, by their number."""
    named = ((re.fullmatch(r"checkpoint_(\d+)", each.name), each) for each in trial.glob("*"))
    found = ((int(match[1]), each) for match, each in named if match and each.is_dir())
    return dict(sorted(found))


def checkpoints(trial: Path) -> list[Path]:
    """The whole checkpoints of a trial's folder by number, the newest first."""
    return list(_whole(trial))


def latest(trial: Path) -> Path | None:
    """The newest whole checkpoint of a trial's folder; None where there is none."""
    return next(_whole(trial), None)


def _whole(trial: Path) -> Iterator[Path]:
    """One after another: whether a checkpoint is whole takes a look at all of its files."""
    return (each for each in reversed(numbered(trial).values()) if not whole.damage(each))
