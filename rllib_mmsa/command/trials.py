"""Which trial of several in an experiment's folder is meant: the newest run's, its best one."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rllib_mmsa.report.files import TEST_RETURN, at, number

RESULTS = "result.json"
TAIL_BYTES = 2**21  # of a log: hundreds of results


@dataclasses.dataclass(frozen=True)
class Found:
    """The trial that was chosen.

    Attributes:
        folder: The trial's.
        why: How it was chosen, to be told: "the newest of 2 runs".
    """

    folder: Path
    why: str


@dataclasses.dataclass(frozen=True)
class _Logged:
    """What a trial's log says: which run it is of, when that was, how well it went."""

    folder: Path
    run: str
    time: float
    test: float


def choose(trials: Sequence[Path]) -> Found | None:
    """Choose the newest run's trial; of a search, the one with the best test return.

    Args:
        trials: Folders of trials.

    Returns:
        The trial, or None where nothing tells them apart: no log, or a search without a test.
    """
    logged = [each for trial in trials if (each := _read(trial))]
    if not logged:
        return None
    newest = max(logged, key=lambda each: each.time)
    runs = {each.run for each in logged}
    mine = [each for each in logged if each.run == newest.run]
    which = f"the newest of {len(runs)} runs" if len(runs) > 1 else ""
    if len(mine) == 1:
        return Found(newest.folder, which)
    tested = [each for each in mine if not math.isnan(each.test)]
    if not tested:
        return None
    best = max(tested, key=lambda each: each.test)
    of = f"the best of {len(mine)} trials by their latest test return ({best.test:.2f})"
    return Found(best.folder, f"{of} in {which}" if which else of)


def _read(trial: Path) -> _Logged | None:
    """What the newest results of a trial say; None where there are none."""
    newest, test = None, math.nan  # older results have no latest test
    for result in _backwards(trial / RESULTS):
        newest = newest or result
        test = number(result.get("test_return", at(result, TEST_RETURN)))
        if not math.isnan(test):
            break
    if newest is None:
        return None
    # Tune names the trials of a run a1b2c_00000, a1b2c_00001; those of a searcher have no run.
    run, _, place = str(newest.get("trial_id", "")).rpartition("_")
    return _Logged(trial, run if place.isdigit() else "", number(newest.get("timestamp")), test)


def _backwards(log: Path) -> Iterator[dict[str, Any]]:
    """The results of a log, the newest first; a torn one is passed over."""
    if not log.exists():
        return
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        lines = file.read().splitlines()
    for line in reversed(lines):
        try:
            result = json.loads(line)
        except ValueError:
            continue
        if isinstance(result, dict):
            yield result
