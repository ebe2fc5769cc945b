"""Logs of a trial that resumes are cut back to the checkpoint it resumes from.

A killed trial has logged results that came after its last checkpoint. Resumed, it trains through
the same iterations again; both in one log would count twice.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from pyarrow.fs import LocalFileSystem
from ray.tune import Callback
from ray.tune.experiment import Trial

ITERATION = "training_iteration"


class RewindLogs(Callback):
    """Cuts result.json and progress.csv of each trial that this process finds half done.

    It must stand before Tune's loggers, which go on with the files as they find them. TensorBoard
    itself drops what a later event file of the same run goes through again.
    """

    def __init__(self) -> None:
        self._started: set[str] = set()

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        """Cut the logs at a trial's first start here; after a later one (PBT) they go on."""
        first = trial.trial_id not in self._started
        self._started.add(trial.trial_id)
        local = isinstance(trial.storage.storage_filesystem, LocalFileSystem)
        result = trial.latest_checkpoint_result
        if not first or not local or result is None:
            return
        rewind(Path(trial.storage.trial_fs_path), result.metrics[ITERATION])


def rewind(folder: Path, last: int) -> None:
    """Drop the results after an iteration from a trial's logs.

    Args:
        folder: The trial's; logs that are not there are left alone.
        last: The last iteration to keep.
    """
    log = folder / "result.json"
    if log.exists():
        lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if json.loads(line)[ITERATION] <= last]
        log.write_text("".join(kept), encoding="utf-8")
    table = folder / "progress.csv"
    if table.exists():
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        if not rows:
            return
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(row for row in rows if int(row[ITERATION]) <= last)
        table.write_text(text.getvalue(), encoding="utf-8", newline="")
