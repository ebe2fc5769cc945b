"""From Ray Tune's folders of results to runs. Reads text and JSON alone: Ray is not imported.

A trial's folder holds `result.json` (one result per line), `params.json`, and `error.txt` once it
has failed; the experiment's folder above it `experiment.yaml` (this project's) and
`experiment_state-*.json` (Tune's).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rllib_mmsa.errors import ConfigError
from rllib_mmsa.report import runs
from rllib_mmsa.report.runs import Absolute, Run

RESULTS = "result.json"
PARAMS = "params.json"
ERROR = "error.txt"
ABSOLUTE = "absolute.json"  # written by `rllib evaluate --absolute`
RECORD = "experiment.yaml"
STATE = "experiment_state-*.json"
STEPS = "num_env_steps_sampled_lifetime"
IN_FLIGHT = "changed in flight"  # population-based training changes options while a trial runs

# Options that say where and how fast a run computes, or what it prints, not what it computes.
BOOKKEEPING = re.compile(
    r"_.*|.*/_.*|env|seed|env_config/task|callbacks.*|.*_cls|.*_class|stats_cls_lookup/.*|log_.*"
    r"|num_[cg]pus.*|learner_threads|engine|compiled_kernels|custom_resources.*|.*timeout_s"
    r"|placement_strategy|local_gpu_idx|in_evaluation"
    r"|(local_)?tf_session_args/.*|render_env|policy_map_.*|store_buffer_in_checkpoints|.*eager.*"
    r"|checkpoint_trainable_policies_only|export_.*|.*offline.*|output.*|input.*|.*restart.*"
    r"|.*unhealthy.*|.*_failures_tolerance|ignore_env_runner_failures|keep_per_episode.*"
    r"|extra_python_environs.*|model/.*|sample_collector|worker_cls|.*_state_server.*"
)
# Where a function lay in memory, which says nothing of it.
ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def find_trials(folder: Path) -> list[Path]:
    """List the trials' folders at or below a folder, sorted by path."""
    parents = {file.parent for name in (RESULTS, PARAMS) for file in folder.rglob(name)}
    return sorted(parents)


def read_folder(folder: Path, extra: tuple[str, ...] = ()) -> list[Run]:
    """Read every trial at or below a folder.

    Args:
        folder: A trial's folder, an experiment's, or any above them.
        extra: More result keys to read at each evaluation ("learners/team/td_loss").

    Returns:
        The runs, those that have not started included, in the order of their paths.

    Raises:
        ConfigError: If a file of a trial cannot be understood.
    """
    trials = find_trials(folder)
    collected = [read_trial(trial, extra) for trial in trials]
    names = {trial.name for trial in trials}
    for experiment in sorted({state.parent for state in folder.rglob(STATE)}):
        collected += _pending(experiment, names)
    return collected


def read_trial(trial: Path, extra: tuple[str, ...] = ()) -> Run:
    """Read one trial's folder."""
    results, last = _evaluations(trial / RESULTS)
    params = _json(trial / PARAMS) if (trial / PARAMS).exists() else {}
    first = results[0] if results else last
    config = first.get("config") or params
    settings = flatten(config)
    for later in (*results[1:], last):
        for key, value in flatten(later.get("config") or config).items():
            if settings.get(key, value) != value:
                settings[key] = IN_FLIGHT
    record = _record(trial.parent)
    planned = _number((record.get("stop") or {}).get(STEPS))
    return Run(
        task=task_of(config),
        algorithm=str(record.get("run") or trial.name.split("_")[0]),
        seed="" if config.get("seed") is None else str(config["seed"]),
        settings=settings,
        explicit=frozenset(flatten(params)),
        env_backend=_in_turn(results or [last], runs.BACKEND),
        version=_in_turn(results or [last], runs.VERSION),
        trial=trial.name,
        status=_status(trial, last, planned),
        planned_steps=planned,
        env_steps=_column(results, STEPS),
        seconds=_column(results, "time_total_s"),
        test_return=_column(results, "evaluation/env_runners/episode_return_mean"),
        win_rate=_column(results, "evaluation/env_runners/win_rate"),
        extra={key: _column(results, key) for key in extra},
        absolute=_absolute(trial / ABSOLUTE),
    )


def _in_turn(results: list[dict[str, Any]], key: str) -> str:
    """The values of a key in the order they came: a run may go on under another version."""
    return " then ".join(dict.fromkeys(str(r[key]) for r in results if r.get(key)))


def task_of(config: Mapping[str, Any]) -> str:
    """Name the environment and its task: "lbf 8x8-2p-2f-v2"."""
    task = (config.get("env_config") or {}).get("task")
    return f"{config.get('env', 'unknown')}{f' {task}' if task else ''}"


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Flatten options to "a/b" -> text, without bookkeeping (`BOOKKEEPING`)."""
    flat: dict[str, str] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{name}/"))
        elif not BOOKKEEPING.fullmatch(name):
            flat[name] = as_text(value)
    return flat


def as_text(value: Any) -> str:
    """Write an option's value as text that is equal for equal values (1 and 1.0 are)."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    if isinstance(value, str):
        return ADDRESS.sub("", value)
    if isinstance(value, list):
        return f"[{', '.join(as_text(item) for item in value)}]"
    return json.dumps(value)


def _evaluations(file: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The results that hold an evaluation, and the last result of all.

    Lines without an evaluation, most of a long run, are not parsed. The last line may be half
    written while the trial runs.
    """
    evaluations: list[dict[str, Any]] = []
    line, complete, number = "", "", 0
    if file.exists():
        with file.open(encoding="utf-8", errors="replace") as text:
            for number, line in enumerate(text, start=1):
                if line.endswith("\n"):
                    complete = line
                    if '"evaluation"' in line:
                        _append(evaluations, _parse(file, number, line))
    if line != complete:  # no line end: whole where the file was copied so, or still being written
        try:
            last = json.loads(line)
            _append(evaluations, last)
            return evaluations, last
        except json.JSONDecodeError:
            number -= 1
    return evaluations, _parse(file, number, complete) if complete else {}


def _append(evaluations: list[dict[str, Any]], result: dict[str, Any]) -> None:
    """Add a result that holds an evaluation, in the place of those that it overtakes.

    A trial that went on from a checkpoint writes the results after that checkpoint once more.
    """
    if math.isnan(_number(_at(result, "evaluation/env_runners/episode_return_mean"))):
        return
    step = _number(result.get(STEPS))
    while evaluations and _number(evaluations[-1].get(STEPS)) >= step:
        evaluations.pop()
    evaluations.append(result)


def _parse(file: Path, number: int, line: str) -> dict[str, Any]:
    """Parse one whole line of results."""
    try:
        result = json.loads(line)
        problem = "it is no mapping"
    except json.JSONDecodeError as err:
        result, problem = None, err.msg
    if isinstance(result, dict):
        return result
    raise ConfigError(
        f"{file}, line {number}, cannot be read: every line but the last must be one whole result "
        f"as JSON ({problem}). Remove the line, or leave this trial out."
    )


def _json(file: Path) -> dict[str, Any]:
    """Read a JSON mapping."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as err:
        raise ConfigError(
            f"{file} cannot be read: it must be JSON, as Ray Tune wrote it ({err}). Restore it, or "
            "leave this trial out."
        ) from None
    return content if isinstance(content, dict) else {}


def _record(experiment: Path) -> dict[str, Any]:
    """What was run, from this project's record beside the trials; {} where there is none."""
    file = experiment / RECORD
    if not file.exists():
        return {}
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as err:
        raise ConfigError(f"{file} cannot be read as YAML: {err}. Restore or remove it.") from None
    entry = next(iter(content.values()), None) if isinstance(content, dict) else None
    return entry if isinstance(entry, dict) else {}


def _status(trial: Path, last: Mapping[str, Any], planned: float) -> str:
    """How a trial ended. A failed trial that went on and ended well keeps its error.txt."""
    if last.get("done"):
        early = not math.isnan(planned) and _number(last.get(STEPS)) < planned
        return runs.STOPPED_EARLY if early else runs.FINISHED
    return runs.CRASHED if (trial / ERROR).exists() else runs.UNFINISHED


def _absolute(file: Path) -> Absolute:
    """Read what `rllib evaluate --absolute` wrote."""
    if not file.exists():
        return Absolute()
    content = _json(file)
    returns, wins = content.get("returns") or [], content.get("wins") or []
    if not returns:
        raise ConfigError(
            f"{file} holds no returns; it must be what `rllib evaluate --absolute` writes. Run "
            "that again, or remove the file."
        )
    return Absolute(len(returns), float(np.mean(returns)), float(np.mean(wins or [math.nan])))


def _pending(experiment: Path, started: set[str]) -> list[Run]:
    """The trials that Tune has planned and not started, from the newest state of an experiment."""
    state = _json(max(experiment.glob(STATE)))
    pending = []
    for row in state.get("trial_data", []):
        trial = json.loads(row[0]) if isinstance(row[0], str) else row[0]
        if trial.get("status") != "PENDING" or trial.get("relative_logdir") in started:
            continue
        config = trial.get("config") or {}
        planned = _number((trial.get("stopping_criterion") or {}).get(STEPS))
        pending.append(
            Run(
                task=task_of(config),
                algorithm=str(trial.get("trainable_name")),
                seed="" if config.get("seed") is None else str(config["seed"]),
                settings=flatten(config),
                explicit=frozenset(flatten(config)),
                trial=str(trial.get("relative_logdir") or trial.get("trial_id")),
                status=runs.PENDING,
                planned_steps=planned,
            )
        )
    return pending


def _at(result: Mapping[str, Any], path: str) -> Any:
    """The value at a path such as "env_runners/win_rate"; None where absent."""
    value: Any = result
    for key in path.split("/"):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _number(value: Any) -> float:
    """A number as float; NaN for what is none (Tune writes NaN as null)."""
    return float(value) if isinstance(value, int | float) else math.nan


def _column(results: list[dict[str, Any]], path: str) -> runs.Array:
    """(E,) the values at a path over the evaluations."""
    return np.array([_number(_at(result, path)) for result in results], dtype=np.float64)
