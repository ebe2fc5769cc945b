"""A run goes on from what a kill, a full disk or a power cut left of it."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import typer
from ray import tune
from ray.train._internal.checkpoint_manager import _CheckpointManager, _insert_into_sorted_list
from ray.train._internal.session import _TrainingResult
from ray.tune import Callback, Checkpoint
from ray.tune.experiment import Trial
from ray.tune.utils import flatten_dict

from rllib_mmsa import origin, whole
from rllib_mmsa.command import checkpoints, evaluate
from rllib_mmsa.command.experiment.storage import FULL
from rllib_mmsa.command.run import rewind, search_state, state
from rllib_mmsa.command.run.announce import AnnounceStop
from rllib_mmsa.command.run.logs import CsvLog, JsonLog
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.rllib.latest_test import met


def callbacks() -> list[Callback]:
    """What a run has, whichever version began it; after `RewindLogs`, before Tune's own."""
    return [AnnounceStop(), JsonLog(), CsvLog(), state.KeepState()]


def renew(tuner: tune.Tuner) -> None:
    """Give a restored run the callbacks that an earlier version did not start it with."""
    config = tuner._local_tuner.get_run_config()
    there = {type(callback) for callback in config.callbacks}
    config.callbacks += [each for each in callbacks() if type(each) not in there]


def prepare(folder: Path) -> None:
    """Make what Tune will read of a run agree with what is there; Tune itself believes its state.

    The newest state that can be read stands alone afterwards. Each unfinished trial goes on from
    its newest whole checkpoint, and one that has reached its end has ended. Where a run was killed
    before it had saved anything, nothing of it is left for Tune to read: it begins anew.

    Args:
        folder: The experiment's, on this machine. No process may be running it.

    Raises:
        ConfigError: If there is something to lose, but no state or no checkpoint to go on from; or
            if another version or Python wrote what cannot be read here.
    """
    _refuse_unreadable(folder)
    try:
        found = state.newest(folder)
        if found is None:
            _begin_anew(folder)
            return
        beside, lost = state.companions(folder, found)
        _report_lost(folder, lost)
        for trial, said in found.trials:
            _repair(folder, trial, said)
        state.replace(folder, found, beside)
    except OSError as err:
        remedy = "; make room, then resume" if err.errno in FULL else f" ({err.filename})"
        raise ConfigError(
            f"'{folder}' cannot be made ready to go on: {err.strerror}{remedy}."
        ) from None


def _refuse_unreadable(folder: Path) -> None:
    """Leave alone what another version or Python wrote: it would pass for damaged."""
    files = state.files(folder)
    saved = (checkpoints.numbered(trial).values() for trial in folder.glob("*") if trial.is_dir())
    for checkpoint in itertools.chain.from_iterable(saved):
        origin.refuse_newer(checkpoint)
        origin.refuse_code(checkpoint, filter(_is_bound, files))


def _is_bound(path: Path) -> bool:
    """Whether a file may be bound to the Python that wrote it."""
    grid = path.name.startswith(search_state.KIND)
    return not (grid and search_state.portable(path.read_bytes()))


def _begin_anew(folder: Path) -> None:
    """Clear away what is left of a run that had saved nothing."""
    trials = (each for each in folder.glob("*") if each.is_dir())
    saved = next(filter(None, map(checkpoints.latest, trials)), None)
    if saved:
        raise ConfigError(
            f"the state of the run in '{folder}' cannot be read, nor a copy of it. Its checkpoints "
            f"can be evaluated, and a new run begins from one with --restore {saved}."
        )
    if (folder / state.TUNER).exists():
        typer.echo(f"'{folder}': it had saved nothing yet when it ended, and begins anew", err=True)
    state.remove(folder)


def _report_lost(folder: Path, lost: list[str]) -> None:
    """Say what Tune will miss; refuse where the run would become another."""
    needed = [name for name in lost if name.startswith((state.TUNER, *dict(state.SEARCH)))]
    if needed:
        raise ConfigError(
            f"'{folder / needed[0]}' is damaged, and there is no copy of it: the run cannot go on "
            "as it was. A new run begins from one of its checkpoints with --restore."
        )
    for name in lost:
        typer.echo(
            f"warning: '{folder / name}' is damaged and left out: a scheduler compares the trials "
            "only by what they do from now on",
            err=True,
        )


def _repair(folder: Path, trial: dict[str, Any], said: dict[str, Any]) -> None:
    """Make what is said of a trial agree with its folder.

    Args:
        folder: The experiment's.
        trial: Tune's state of a trial; changed.
        said: What Tune says of its results and checkpoints; changed.
    """
    storage, manager = trial["storage"], said["checkpoint_manager"]
    name = storage.trial_dir_name
    there = checkpoints.numbered(folder / name) if name else {}
    found = {number: path for number, path in there.items() if not whole.damage(path)}
    kept = {Path(result.checkpoint.path).name: result for result in manager._checkpoint_results}
    latest = manager._latest_checkpoint_result
    if latest and _is_own(latest, name):
        kept[Path(latest.checkpoint.path).name] = latest
    results = {}
    for number, path in found.items():
        result = kept.get(path.name) or _TrainingResult(None, {})
        # The experiment may have been moved: Tune replaces the folder's old name by its new one.
        result.checkpoint = Checkpoint(
            f"{storage.trial_fs_path}/{path.name}", storage.storage_filesystem
        )
        result.metrics = (
            result.metrics if rewind.ITERATION in result.metrics else rewind.result_of(path)
        )
        results[number] = result
    if found:
        _keep_settings(trial, found[max(found)])
    before = storage.current_checkpoint_index
    _set_checkpoints(manager, results, _latest(folder, name, latest, results, before))
    storage.current_checkpoint_index = max([before, *there])
    _settle(trial, said, folder, had_one=latest is not None)
    newest = manager._latest_checkpoint_result
    if newest and (folder / name / Path(newest.checkpoint.path).name / whole.COMPLETE).exists():
        _remove_halves(there[number] for number in there.keys() - found.keys())


def _keep_settings(trial: dict[str, Any], checkpoint: Path) -> None:
    """Give a trial the settings that it began with, where today's defaults are others.

    Args:
        trial: Tune's state of a trial; changed.
        checkpoint: What it goes on from.
    """
    try:
        _, config = evaluate.read_config(checkpoint)
    except ConfigError:
        return  # said by who restores it
    default = type(config)()
    for name in config.settings_names:
        if getattr(config, name) != getattr(default, name):
            trial["config"].setdefault(name, getattr(config, name))


def _is_own(result: _TrainingResult, trial_name: str | None) -> bool:
    """Whether a checkpoint is in the trial's folder, or a population's member copied another."""
    return Path(result.checkpoint.path).parent.name == trial_name


def _latest(
    folder: Path,
    name: str | None,
    said: _TrainingResult | None,
    results: Mapping[int, _TrainingResult],
    index: int,
) -> _TrainingResult | None:
    """The checkpoint that a trial goes on from: another trial's, or its own newest."""
    newest = max(results, default=-1)
    if said and not _is_own(said, name) and newest <= index:
        other = folder / Path(said.checkpoint.path).parent.name / Path(said.checkpoint.path).name
        if other.is_dir() and not whole.damage(other):
            return said
    return results.get(newest)


def _set_checkpoints(
    manager: _CheckpointManager,
    results: Mapping[int, _TrainingResult],
    latest: _TrainingResult | None,
) -> None:
    """Put checkpoints into Tune's list as it would have itself, but delete none."""
    manager._latest_checkpoint_result = latest
    manager._checkpoint_results = []
    attribute = manager.checkpoint_config.checkpoint_score_attribute
    for number in sorted(results):
        result = results[number]
        if attribute and attribute in result.metrics:
            _insert_into_sorted_list(
                manager._checkpoint_results, result, key=manager._get_checkpoint_score
            )
        else:
            manager._checkpoint_results.append(result)


def _settle(trial: dict[str, Any], said: dict[str, Any], folder: Path, had_one: bool) -> None:
    """End a trial whose checkpoint meets its stop criteria; refuse one that lost all of them."""
    if trial["status"] == Trial.TERMINATED:
        return
    latest = said["checkpoint_manager"]._latest_checkpoint_result
    if latest is None and had_one:
        raise ConfigError(
            f"no whole checkpoint is left in '{folder / trial['storage'].trial_dir_name}', so "
            "that the run cannot go on; begin anew without resuming."
        )
    # What came after is trained again.
    said["last_result"] = latest.metrics if latest else {}
    reached = flatten_dict(said["last_result"], delimiter="/")
    if met(trial["stopping_criterion"] or {}, reached):
        trial["status"] = Trial.TERMINATED


def _remove_halves(paths: Iterable[Path]) -> None:
    """Remove what is left of checkpoints that were being written or deleted; nothing can use it."""
    for path in sorted(paths):
        typer.echo(f"'{path}' was half written or deleted, and is removed", err=True)
        shutil.rmtree(path, ignore_errors=True)
