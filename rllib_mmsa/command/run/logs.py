"""result.json and progress.csv, written straight into a trial's folder of results.

Tune's own loggers write into a temporary folder that is copied every so often: a kill loses the
rows since. And they name the columns of progress.csv once, from the first result that a process
sees: later columns are dropped, and a resumed run writes rows that the header does not fit.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyarrow.fs import LocalFileSystem
from ray.tune.experiment import Trial
from ray.tune.logger import CSVLoggerCallback, JsonLoggerCallback
from ray.tune.result import EXPR_PROGRESS_FILE, EXPR_RESULT_FILE
from ray.tune.utils import flatten_dict

from rllib_mmsa.replacing import replacing


def local_folder(trial: Trial) -> Path | None:
    """A trial's folder of results, made if need be; None where it is on a remote file system."""
    if not isinstance(trial.storage.storage_filesystem, LocalFileSystem):
        return None
    folder = Path(trial.storage.trial_fs_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class JsonLog(JsonLoggerCallback):
    """Tune's, but each result is in the folder of results at once."""

    def log_trial_start(self, trial: Trial) -> None:
        """Open the log to append to it; the settings go where Tune's own go."""
        folder = local_folder(trial)
        if folder is None:
            super().log_trial_start(trial)
            return
        self.log_trial_end(trial)
        trial.init_local_path()
        self.update_config(trial, trial.config)
        self._trial_files[trial] = (folder / EXPR_RESULT_FILE).open("a", encoding="utf-8")


class CsvLog(CSVLoggerCallback):
    """Tune's, but a column means the same in all rows, whenever it came.

    A result with a column that no earlier one had makes the file be written anew, with that
    column empty in the rows before.
    """

    def log_trial_start(self, trial: Trial) -> None:
        """Forget the open file: it may have been replaced since (`rewind`)."""
        self.log_trial_end(trial)

    def log_trial_result(self, iteration: int, trial: Trial, result: dict[str, Any]) -> None:
        """Append a row."""
        folder = local_folder(trial)
        if folder is None:
            super().log_trial_result(iteration, trial, result)
            return
        row = flat(result)
        table = folder / EXPR_PROGRESS_FILE
        if trial not in self._trial_files:
            self._open(trial, table, read_header(table))
        columns = list(self._trial_csv[trial].fieldnames)
        new = [name for name in row if name not in set(columns)]
        if new:
            self.log_trial_end(trial)
            widen(table, columns, [*columns, *new])
            self._open(trial, table, [*columns, *new])
        self._trial_csv[trial].writerow(row)
        self._trial_files[trial].flush()

    def _open(self, trial: Trial, table: Path, columns: list[str]) -> None:
        """Open the file to append rows of these columns; its header is there."""
        self._trial_files[trial] = table.open("a", encoding="utf-8", newline="")
        self._trial_csv[trial] = csv.DictWriter(self._trial_files[trial], columns)


def flat(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result as progress.csv has it: "env_runners/episode_return_mean", without the settings."""
    return flatten_dict({k: v for k, v in result.items() if k != "config"}, delimiter="/")


def read_header(table: Path) -> list[str]:
    """The columns of a progress.csv; none where it is empty or not there."""
    if not table.exists():
        return []
    with table.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file), [])


def widen(table: Path, columns: list[str], wider: list[str]) -> None:
    """Write a progress.csv anew with more columns, which are empty in the rows so far.

    Args:
        table: The file; made with a header alone where it is not there.
        columns: Its columns so far.
        wider: The same, and the new ones after them.
    """
    more = [""] * (len(wider) - len(columns))
    with replacing(table) as file:
        writer = csv.writer(file)
        writer.writerow(wider)
        if columns:
            with table.open(encoding="utf-8", newline="") as old:
                rows = csv.reader(old)
                next(rows)
                writer.writerows([*row, *more] for row in rows)
