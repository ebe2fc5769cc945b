"""What Ray Tune wrote, as it is found: also half written, torn by a kill, or damaged.

Nothing here raises for a file that cannot be read: what is whole is taken, and what is not becomes
a sentence in `lacks`, which the report shows. A run of a week is not lost to one bad line.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

STEPS = "num_env_steps_sampled_lifetime"
TEST_RETURN = "evaluation/env_runners/episode_return_mean"


def at(result: Mapping[str, Any], path: str) -> Any:
    """The value at a path such as "env_runners/win_rate"; None where absent."""
    value: Any = result
    for key in path.split("/"):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def number(value: Any) -> float:
    """A number as float; NaN for what is none (Tune writes NaN as null) or is not finite."""
    found = float(value) if isinstance(value, int | float) else math.nan
    return found if math.isfinite(found) else math.nan


def read_results(file: Path, lacks: list[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The results that hold an evaluation, and the last result of all.

    Lines without an evaluation, most of a long run, are not parsed. A last line without its end
    is still being written, unless it is whole.

    Args:
        file: A trial's result.json; it may be missing.
        lacks: Takes a sentence for what could not be read.

    Returns:
        Evaluations in the order of their env steps, and the last result; {} where there is none.
    """
    evaluations: list[dict[str, Any]] = []
    bad: dict[int, None] = {}
    newest, rest, number_of_newest = "", "", 0
    for n, line in enumerate(_lines(file, lacks), start=1):
        if not line.endswith("\n"):
            rest = line
        elif line.strip():
            newest, number_of_newest = line, n
            if '"evaluation"' in line:
                result, whole = _parse(line)
                bad.update({} if whole else {n: None})
                _append(evaluations, result)
    last, whole = _parse(newest)
    bad.update({} if whole or not newest else {number_of_newest: None})
    still_written, whole = _parse(rest)
    if whole:
        last = still_written
        _append(evaluations, last)
    if bad:
        which = ", ".join(map(str, list(bad)[:5])) + (" and more" if len(bad) > 5 else "")
        lacks.append(f"{file}: line {which} cannot be read in whole and counts as far as it can")
    return evaluations, last or (evaluations[-1] if evaluations else {})


def _lines(file: Path, lacks: list[str]) -> Iterator[str]:
    """The lines of a file; none of one that is missing or cannot be opened."""
    if not file.exists():
        return
    try:
        with file.open(encoding="utf-8", errors="replace") as text:
            yield from (line.replace("\0", "") for line in text)
    except OSError as err:
        lacks.append(f"{file} cannot be read: {err.strerror}")


def _parse(line: str) -> tuple[dict[str, Any], bool]:
    """A line's result, and whether the line is that and nothing else.

    A killed writer leaves half a line, and the one that goes on writes behind it: then the result
    is what stands at the line's end.
    """
    start = 0
    while 0 <= start < len(line):
        try:
            found = json.loads(line[start:])
            return (found, start == 0) if isinstance(found, dict) else ({}, False)
        except (json.JSONDecodeError, RecursionError):
            start = line.find('{"', start + 1)
    return {}, False


def _append(evaluations: list[dict[str, Any]], result: dict[str, Any]) -> None:
    """Add a result that holds an evaluation, in the place of those that it overtakes.

    A trial that went on from a checkpoint writes the results after that checkpoint once more.
    """
    step = number(result.get(STEPS))
    if math.isnan(number(at(result, TEST_RETURN))) or math.isnan(step):
        return
    while evaluations and number(evaluations[-1].get(STEPS)) >= step:
        evaluations.pop()
    evaluations.append(result)


def read_json(file: Path, lacks: list[str]) -> dict[str, Any]:
    """A JSON mapping; {} where there is none, with a sentence where it is damaged."""
    if not file.exists():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as err:
        lacks.append(f"{file} cannot be read as JSON and is left out: {err}")
        return {}
    return content if isinstance(content, dict) else {}


def read_record(file: Path, lacks: list[str]) -> dict[str, Any]:
    """What was run, from this project's record beside the trials; {} where there is none."""
    if not file.exists():
        return {}
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as err:
        words = " ".join(str(err).split())
        lacks.append(f"{file} cannot be read as YAML and is left out: {words}")
        return {}
    entry = next(iter(content.values()), None) if isinstance(content, dict) else None
    return entry if isinstance(entry, dict) else {}
