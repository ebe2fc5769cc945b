"""Logs of a trial that resumes are cut back to the checkpoint it resumes from.

A killed trial has logged results that came after its last checkpoint. Resumed, it trains through
the same iterations again; both in one log would count twice.

What a kill or a power cut leaves is read as far as it can be: a torn last line, rows of another
width than the header, zero bytes. `progress.csv` is written anew from `result.json`, which holds
all of it.
"""

from __future__ import annotations

import csv
import io
import json
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.result import EXPR_PROGRESS_FILE, EXPR_RESULT_FILE
from ray.tune.utils.util import SafeFallbackEncoder

from rllib_mmsa import whole
from rllib_mmsa.command.run.logs import flat, local_folder
from rllib_mmsa.replacing import replacing

ITERATION = "training_iteration"


class RewindLogs(Callback):
    """Cuts result.json and progress.csv of each trial that this process finds half done.

    It must stand before the loggers, which go on with the files as they find them. TensorBoard
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
        folder = local_folder(trial)
        if not first or folder is None:
            return
        checkpoint = trial.latest_checkpoint_result
        try:
            metrics = checkpoint.metrics if checkpoint else {ITERATION: 0}
            if ITERATION not in metrics:
                metrics = result_of(Path(checkpoint.checkpoint.path))
            own = metrics.get("trial_id") == trial.trial_id
            rewind(folder, metrics[ITERATION], metrics if own else None)
        except Exception as err:  # logs are not worth the run
            typer.echo(
                f"warning: the logs in '{folder}' could not be cut back to the checkpoint, and "
                f"iterations may be in them twice: {type(err).__name__}: {err}",
                err=True,
            )

    def on_trial_recover(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        """A failed trial goes back to its checkpoint, and its logs with it."""
        self._started.discard(trial.trial_id)


def rewind(folder: Path, last: int, result: Mapping[str, Any] | None = None) -> None:
    """Drop the results after an iteration from a trial's logs.

    Args:
        folder: The trial's; logs that are not there are left alone.
        last: The last iteration to keep.
        result: That iteration's result, added where the log has lost it.

    Raises:
        OSError: If a log cannot be read or written; it is then as it was.
    """
    log, table = folder / EXPR_RESULT_FILE, folder / EXPR_PROGRESS_FILE
    iterations = [row[ITERATION] for _, row in _results(log)]
    if not iterations and table.exists():
        _replace_table(table, _table_rows(table, last))
    if not log.exists():
        return
    columns: dict[str, None] = {}
    with replacing(log, "wb") as file:
        for line, row in _kept(log, iterations, last):
            file.write(line + b"\n")
            columns.update(dict.fromkeys(flat(row)))
        if result is not None and last > max(iterations, default=0):
            file.write(json.dumps(result, cls=SafeFallbackEncoder).encode() + b"\n")
            columns.update(dict.fromkeys(flat(result)))
    if iterations:
        _replace_table(table, (flat(row) for _, row in _results(log)), list(columns))


def result_of(checkpoint: Path) -> dict[str, Any]:
    """Find the result at which a checkpoint was saved.

    Args:
        checkpoint: Its folder, in the trial's.

    Returns:
        The result, without the settings; of an older version's checkpoint no more than its
        iteration, where the log has lost the row.

    Raises:
        OSError: If it cannot be read.
    """
    said = whole.saved_result(checkpoint)
    if ITERATION in said:
        return said
    # RLlib's state, with the replay: slow, and only for checkpoints that do not say it themselves.
    iteration = pickle.loads((checkpoint / "algorithm_state.pkl").read_bytes())[ITERATION]
    rows = (row for _, row in _results(checkpoint.parent / EXPR_RESULT_FILE))
    found = next((row for row in rows if row[ITERATION] == iteration), {ITERATION: iteration})
    return {key: value for key, value in found.items() if key != "config"}


def _results(log: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The lines of result.json that are whole results."""
    if not log.exists():
        return
    with log.open("rb") as file:
        for line in file:
            line = line.strip(b"\0\r\n ")
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and isinstance(row.get(ITERATION), int):
                yield line, row


def _kept(
    log: Path, iterations: Sequence[int], last: int
) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The results up to the one of the checkpoint.

    An iteration may be there twice: population based training goes back to another's checkpoint.
    What counts is therefore the place of the last such result in the file.
    """
    if last in iterations:
        number = len(iterations) - iterations[::-1].index(last)
        wanted = [place < number for place in range(len(iterations))]
    else:
        wanted = [iteration <= last for iteration in iterations]
    return (pair for pair, want in zip(_results(log), wanted, strict=True) if want)


def _table_rows(table: Path, last: int) -> list[dict[str, Any]]:
    """The rows of a progress.csv without a result.json; rows of another width mean nothing."""
    if not table.exists():
        return []
    text = table.read_bytes().replace(b"\0", b"").decode("utf-8", errors="replace")
    header, *rows = list(csv.reader(io.StringIO(text, newline=""))) or [[]]
    named = (dict(zip(header, row, strict=True)) for row in rows if len(row) == len(header))
    return [
        row for row in named if row.get(ITERATION, "").isdigit() and int(row[ITERATION]) <= last
    ]


def _replace_table(
    table: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = ()
) -> None:
    """Write progress.csv anew with the columns, or the first row's; without a row it is empty."""
    with replacing(table) as file:
        writer = None
        for row in rows:
            if writer is None:
                writer = csv.DictWriter(file, list(columns or row))
                writer.writeheader()
            writer.writerow(row)
