"""Tune's state of an experiment: which of its files to believe, and how to put one in their place.

Each process that runs an experiment writes its own files, named after the local time at its start,
and copies them over and over into the folder of results: a kill may leave a part of one, and a
clock that was set back a wrong order. Hence:

* `KeepState` keeps whole copies in `.state`, below the experiment's folder.
* `replace` leaves one state, under a name that sorts before any time: what a later process has
  written beside it is newer, whatever its clock said.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pyarrow.fs import LocalFileSystem
from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.utils.serialization import TuneFunctionDecoder, TuneFunctionEncoder

from rllib_mmsa.command import trust
from rllib_mmsa.command.run import sealed, search_state
from rllib_mmsa.command.run.sealed import BACKUP
from rllib_mmsa.replacing import replacing
from rllib_mmsa.whole import ends_as_a_pickle

TUNER = "tuner.pkl"
REPAIRED = "0-repaired"
STATE = "experiment_state-"
# Beside the trials: how far the search has come, and what callbacks keep. All are pickles.
SEARCH = ((search_state.KIND, ".json"), ("search_gen_state-", ".json"))
OTHERS = (("searcher-state-", ".pkl"), ("callback-states-", ".pkl"))


@dataclasses.dataclass(frozen=True)
class State:
    """One state that could be read.

    Attributes:
        session: What its files have in their names.
        content: The whole of it, as Tune writes it.
        trials: What it says of each trial, and of each trial's results and checkpoints.
    """

    session: str
    content: dict[str, Any]
    trials: list[tuple[dict[str, Any], dict[str, Any]]]

    @property
    def progress(self) -> tuple[int, int, str]:
        """What grows from state to state of one run: checkpoints, iterations; then the name."""
        saved = sum(trial["storage"].current_checkpoint_index + 1 for trial, _ in self.trials)
        results = (said.get("last_result") or {} for _, said in self.trials)
        return saved, sum(each.get("training_iteration", 0) for each in results), self.session


def newest(folder: Path) -> State | None:
    """Find the newest state of an experiment that can be read and has a trial in it.

    A state is a pickle in part. One that no run of this user wrote is left closed, unless he has
    said that he trusts it (trust.py).

    Args:
        folder: The experiment's.
    """
    names = {path.name for path in (*folder.glob("*"), *folder.glob(f"{BACKUP}/*"))}
    pattern = re.compile(re.escape(STATE) + r"(.+)\.json")
    sessions = {match[1] for match in map(pattern.fullmatch, names) if match}
    later = [_read(folder, each) for each in sessions - {REPAIRED}]
    found = max((each for each in later if each), key=lambda each: each.progress, default=None)
    return found or _read(folder, REPAIRED)


def _read(folder: Path, session: str) -> State | None:
    """Read a session's state, or the copy that was kept of it."""
    for path in _places(folder, f"{STATE}{session}.json"):
        if not trust.is_given() and sealed.strange(folder, [path]):
            continue
        try:
            content = json.loads(path.read_bytes())
            trials = [(_decoded(one), _decoded(two)) for one, two in content["trial_data"]]
            found = State(session, content, trials)
            assert content["runner_data"] and found.progress
        except Exception:  # half a pickle raises anything
            continue
        if trials:
            return found
    return None


def _places(folder: Path, name: str) -> list[Path]:
    """Where a file may be: in the folder, and its copy."""
    return [path for path in (folder / name, folder / BACKUP / name) if path.is_file()]


def _decoded(text: str) -> dict[str, Any]:
    # Tune itself reads it so; like its checkpoints, it is a pickle in part.
    return json.loads(text, cls=TuneFunctionDecoder, allow_cloudpickle=True)


def _encoded(said: dict[str, Any]) -> str:
    return json.dumps(said, indent=2, cls=TuneFunctionEncoder)


def companions(folder: Path, state: State) -> tuple[dict[str, bytes], list[str]]:
    """Read what Tune needs beside a state, or the copies that were kept.

    Returns:
        Name after `replace` -> content, and the names of those that are damaged in all copies.
    """
    kept, lost = {}, []
    for kind, end in (*SEARCH, *OTHERS):
        names = [f"{kind}{session}{end}" for session in (state.session, REPAIRED)]
        there = [path for name in names for path in _places(folder, name)]
        found = next(filter(ends_as_a_pickle, there), None)
        if found:
            content = found.read_bytes()
            own = search_state.portable(content) if kind == search_state.KIND else None
            kept[f"{kind}{REPAIRED}{end}"] = own or content
        elif there:
            lost.append(there[0].name)
    tuner = next(filter(ends_as_a_pickle, _places(folder, TUNER)), None)
    if tuner:
        kept[TUNER] = tuner.read_bytes()
    else:
        lost.append(TUNER)
    return kept, lost


def replace(folder: Path, state: State, beside: Mapping[str, bytes]) -> None:
    """Leave one state alone in an experiment's folder.

    Args:
        folder: The experiment's.
        state: With `trials` as they should be.
        beside: What `companions` read.

    Raises:
        OSError: If a file cannot be written. What was there is then still there.
    """
    (folder / BACKUP).mkdir(exist_ok=True)
    data = [[_encoded(part) for part in pair] for pair in state.trials]
    # A save that failed leaves the decision to stop, which would end the trial at its next save.
    undecided = {"_cached_trial_decisions": {}, "_queued_trial_decisions": {}}
    runner = {**state.content["runner_data"], **undecided, "_should_stop_experiment": False}
    content = {**state.content, "trial_data": data, "runner_data": runner}
    files = {**beside, f"{STATE}{REPAIRED}.json": json.dumps(content).encode()}  # the last
    sealed.note(folder, files)
    for name, text in files.items():
        for place in (folder / BACKUP / name, folder / name):
            with replacing(place, "wb") as file:
                file.write(text)
    remove(folder, keep=files.keys())


def remove(folder: Path, keep: Collection[str] = ()) -> None:
    """Remove the files of Tune's state.

    Args:
        folder: The experiment's.
        keep: Names of those to leave alone.
    """
    for path in files(folder):
        if path.name not in keep:
            path.unlink()


def files(folder: Path) -> list[Path]:
    """The files of Tune's state, the copies too; all of them are pickles, or hold some."""
    kinds = [f"{kind}*{end}" for kind, end in ((STATE, ".json"), *SEARCH, *OTHERS)]
    places = (folder, folder / BACKUP)
    return [p for place in places for kind in (*kinds, TUNER) for p in sorted(place.glob(kind))]


def suffices(names: Collection[str]) -> bool:
    """Whether files of these names are enough to go on from: a state, and what began the run."""
    return TUNER in names and any(name.startswith(STATE) for name in names)


class KeepState(Callback):
    """Keeps whole copies of the files of Tune's state.

    Tune writes them into a temporary folder, from where another thread copies them. What is read
    here is the temporary folder's, between two writes.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int]] = {}

    def on_step_end(self, iteration: int, trials: list[Trial], **info: object) -> None:
        """Copy what has changed."""
        if not trials or not isinstance(trials[0].storage.storage_filesystem, LocalFileSystem):
            return
        storage = trials[0].storage
        backup = Path(storage.experiment_fs_path, BACKUP)
        for path in Path(storage.experiment_driver_staging_path).glob("*"):
            if path.suffix not in (".json", ".pkl") or path.name.startswith("."):
                continue
            about = path.stat()
            now = (about.st_mtime_ns, about.st_size)
            if self._seen.get(path.name) == now:
                continue
            with contextlib.suppress(OSError):  # a full disk: what it fails to keep is older
                backup.mkdir(exist_ok=True)
                content = path.read_bytes()
                sealed.note(backup.parent, {path.name: content})
                with replacing(backup / path.name, "wb") as file:
                    file.write(content)
                self._seen[path.name] = now
