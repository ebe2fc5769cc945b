"""The repository's own form of results: one CSV row per evaluation.

The columns `FIXED` come first; then `config/<option>` for every option that was set or that differs
between the runs of the file, and `metric/<result key>` for what else was kept. An empty cell means
"not recorded". A run without an evaluation has one row with no numbers. The rows of a run stand
together; `trial` tells runs apart that agree in everything else. docs/reports.md describes it.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rllib_mmsa.errors import ConfigError, unknown
from rllib_mmsa.replacing import replacing
from rllib_mmsa.report import runs
from rllib_mmsa.report.runs import Absolute, Run

IDENTITY = ("task", "algorithm", "configuration", "seed", "trial")
RUN = ("status", "planned_steps", "env_backend", "version", "test_episodes")
POINT = ("env_steps", "seconds", "test_return", "win_rate")
ABSOLUTE = ("absolute_episodes", "absolute_return", "absolute_win_rate", "absolute_actions")
FIXED = (*IDENTITY, *POINT, *RUN, *ABSOLUTE)
REQUIRED = ("task", "algorithm", "seed", "env_steps", "test_return")
CONFIG, METRIC = "config/", "metric/"


def write(file: Path, all_runs: Sequence[Run]) -> None:
    """Write runs as a data file, numbers to six digits; the same runs give the same bytes.

    Raises:
        ConfigError: If it cannot be written.
    """
    options = _options(all_runs)
    metrics = sorted({key for run in all_runs for key in run.extra})
    header = [*FIXED, *(CONFIG + key for key in options), *(METRIC + key for key in metrics)]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as text:
            writer = csv.DictWriter(text, header, restval="", lineterminator="\n")
            writer.writeheader()
            for run in all_runs:
                writer.writerows(_rows(run, options))
    except OSError as err:
        raise ConfigError(
            f"'{file}' cannot be written ({err.strerror}); name a .csv file in a folder that "
            "exists or can be made."
        ) from None


def _options(all_runs: Sequence[Run]) -> list[str]:
    """The options worth a column: set for some run, or unlike between runs."""
    names = {key for run in all_runs for key in run.settings}
    kept = {key for run in all_runs for key in run.explicit} & names
    kept |= {key for key in names if len({run.settings.get(key) for run in all_runs}) > 1}
    return sorted(kept)


def _rows(run: Run, options: Iterable[str]) -> list[dict[str, str]]:
    """One row per evaluation; one without numbers where there was none."""
    common = {
        "task": run.task,
        "algorithm": run.algorithm,
        "configuration": run.configuration,
        "seed": run.seed,
        "trial": run.trial,
        "status": run.status,
        "planned_steps": _text(run.planned_steps),
        "env_backend": run.env_backend,
        "version": run.version,
        "test_episodes": str(run.test_episodes or ""),
        "absolute_episodes": str(run.absolute.episodes or ""),
        "absolute_return": _text(run.absolute.test_return),
        "absolute_win_rate": _text(run.absolute.win_rate),
        "absolute_actions": run.absolute.actions if run.absolute.episodes else "",
        **{CONFIG + key: run.settings.get(key, "") for key in options},
    }
    return [
        {
            **common,
            "env_steps": str(round(run.env_steps[i])),
            "seconds": "" if math.isnan(run.seconds[i]) else f"{run.seconds[i]:.1f}",
            "test_return": _text(run.test_return[i]),
            "win_rate": _text(run.win_rate[i]),
            **{METRIC + key: _text(values[i]) for key, values in run.extra.items()},
        }
        for i in range(run.env_steps.size)
    ] or [common]


def _text(value: float) -> str:
    """A number to six digits; "" for one that is not there."""
    if math.isnan(value):
        return ""
    return str(int(value)) if float(value).is_integer() else f"{value:.6g}"


def read(file: Path) -> list[Run]:
    """Read a data file.

    Raises:
        ConfigError: If it is no such file, or a value in it is not what its column says.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text)
            rows = list(reader)
            header = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise ConfigError(f"'{file}' cannot be read as CSV: {err}.") from None
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise ConfigError(
            f"'{file}' lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; a "
            f"data file has at least {', '.join(REQUIRED)} (`rllib docs reports`). "
            "`rllib report RESULTS --export FILE.csv` writes one."
        )
    for name in header:
        if name not in FIXED and not name.startswith((CONFIG, METRIC)):
            raise unknown("column", name, FIXED, str(file))
    numbered = [
        (line, {k: v or "" for k, v in row.items() if k}) for line, row in enumerate(rows, 2)
    ]
    groups = itertools.groupby(numbered, key=lambda pair: _key(pair[1], header))
    return [_run(file, list(members), header) for _, members in groups]


def _key(row: dict[str, str], header: Sequence[str]) -> tuple[str, ...]:
    """What the rows of one run have in common."""
    names = (*IDENTITY, "env_backend", "version")
    options = (name for name in header if name.startswith(CONFIG))
    return tuple(row.get(name, "") for name in (*names, *options))


def _run(file: Path, members: list[tuple[int, dict[str, str]]], header: Sequence[str]) -> Run:
    """Build one run from its rows."""
    row = members[-1][1]
    line = members[-1][0]
    status = row.get("status") or runs.FINISHED
    if status not in runs.STATUSES:
        raise unknown("status", status, runs.STATUSES, f"{file}, line {line}")
    measured = [pair for pair in members if pair[1]["env_steps"]]

    def column(name: str) -> runs.Array:
        return np.array([_number(file, n, r, name) for n, r in measured], dtype=np.float64)

    steps = column("env_steps")
    if np.any(np.diff(steps) <= 0):
        raise ConfigError(
            f"{file}, lines {members[0][0]} to {line}: the env_steps of a run must increase. Are "
            "these several runs? Tell them apart by seed or trial."
        )
    options = [name for name in header if name.startswith(CONFIG) and row.get(name)]
    settings = {name.removeprefix(CONFIG): row[name] for name in options}
    texts: dict[str, Any] = {n: row.get(n, "") for n in (*IDENTITY, "env_backend", "version")}
    return Run(
        **texts,
        settings=settings,
        explicit=frozenset(settings),
        status=status,
        planned_steps=_number(file, line, row, "planned_steps"),
        test_episodes=_test_episodes(file, line, row),
        env_steps=steps,
        seconds=column("seconds"),
        test_return=column("test_return"),
        win_rate=column("win_rate"),
        extra={n.removeprefix(METRIC): column(n) for n in header if n.startswith(METRIC)},
        absolute=Absolute(
            int(np.nan_to_num(_number(file, line, row, "absolute_episodes"))),
            _number(file, line, row, "absolute_return"),
            _number(file, line, row, "absolute_win_rate"),
            row.get("absolute_actions") or runs.GREEDY,
        ),
    )


def _test_episodes(file: Path, line: int, row: dict[str, str]) -> int:
    """Episodes of an evaluation: as counted, or as the options say; 0 where neither is there."""
    names = ("test_episodes", CONFIG + "evaluation_duration")
    found = (_number(file, line, row, name) for name in names if row.get(name, "auto") != "auto")
    return int(np.nan_to_num(next(found, 0.0)))


def _number(file: Path, line: int, row: dict[str, str], name: str) -> float:
    """A cell as a number; NaN where it is empty or the column absent."""
    text = row.get(name, "")
    try:
        return float(text) if text else math.nan
    except ValueError:
        raise ConfigError(
            f"{file}, line {line}: {name} must be a number or empty, but is '{text}'."
        ) from None
