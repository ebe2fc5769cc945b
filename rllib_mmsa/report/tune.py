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

from rllib_mmsa.report import files, runs
from rllib_mmsa.report.files import STEPS, TEST_RETURN
from rllib_mmsa.report.runs import Absolute, Run

RESULTS = "result.json"
PARAMS = "params.json"
ERROR = "error.txt"
ABSOLUTE = "absolute.json"  # written by `rllib evaluate --absolute`
RECORD = "experiment.yaml"
STATE = "experiment_state-*.json"
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
        The runs, those that have not started included, in the order of their paths. What could
        not be read of a run stands in its `lacks`.
    """
    trials = find_trials(folder)
    collected = [read_trial(trial, extra) for trial in trials]
    names = {trial.name for trial in trials}
    for experiment in sorted({state.parent for state in folder.rglob(STATE)}):
        collected += _pending(experiment, names)
    return collected


def read_trial(trial: Path, extra: tuple[str, ...] = ()) -> Run:
    """Read one trial's folder."""
    lacks: list[str] = []
    results, last = files.read_results(trial / RESULTS, lacks)
    params = files.read_json(trial / PARAMS, lacks)
    record = files.read_record(trial.parent / RECORD, lacks)
    first = results[0] if results else last
    config = _mapping(first.get("config")) or params
    settings = flatten(config)
    for later in (*results[1:], last):
        for key, value in flatten(_mapping(later.get("config")) or config).items():
            if settings.get(key, value) != value:
                settings[key] = IN_FLIGHT
    planned = files.number(_mapping(record.get("stop")).get(STEPS))
    absolute = _absolute(trial / ABSOLUTE, lacks)
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
        test_episodes=_test_episodes(first, settings),
        env_steps=_column(results, STEPS),
        seconds=_column(results, "time_total_s"),
        test_return=_column(results, TEST_RETURN),
        win_rate=_column(results, "evaluation/env_runners/win_rate"),
        extra={key: _column(results, key) for key in extra},
        absolute=absolute,
        lacks=tuple(lacks),
    )


def _mapping(value: Any) -> dict[str, Any]:
    """A mapping; {} for whatever else stands in its place."""
    return dict(value) if isinstance(value, Mapping) else {}


def _test_episodes(result: Mapping[str, Any], settings: Mapping[str, str]) -> int:
    """Episodes of one evaluation, as counted or as set; 0 where neither is there."""
    counted = files.number(files.at(result, "evaluation/env_runners/num_episodes"))
    if math.isnan(counted):
        as_set = settings.get("evaluation_duration", "")
        counted = float(as_set) if as_set.isdecimal() else 0.0
    return int(counted)


def _in_turn(results: list[dict[str, Any]], key: str) -> str:
    """The values of a key in the order they came: a run may go on under another version."""
    return " then ".join(dict.fromkeys(str(r[key]) for r in results if r.get(key)))


def task_of(config: Mapping[str, Any]) -> str:
    """Name the environment and its task: "lbf 8x8-2p-2f-v2"."""
    task = _mapping(config.get("env_config")).get("task")
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


def _status(trial: Path, last: Mapping[str, Any], planned: float) -> str:
    """How a trial ended. A failed trial that went on and ended well keeps its error.txt."""
    if last.get("done"):
        early = not math.isnan(planned) and files.number(last.get(STEPS)) < planned
        return runs.STOPPED_EARLY if early else runs.FINISHED
    return runs.CRASHED if (trial / ERROR).exists() else runs.UNFINISHED


def _absolute(file: Path, lacks: list[str]) -> Absolute:
    """Read what `rllib evaluate --absolute` wrote."""
    content = files.read_json(file, lacks)
    returns = [files.number(value) for value in content.get("returns") or []]
    wins = [files.number(value) for value in content.get("wins") or []]
    if content and (not returns or np.isnan(returns).any()):
        lacks.append(
            f"{file} holds no returns and is left out; `rllib evaluate --absolute` writes it anew"
        )
        return Absolute()
    if not returns:
        return Absolute()
    won = float(np.mean(wins or [math.nan]))
    return Absolute(len(returns), float(np.mean(returns)), won, _actions(content))


def _actions(content: Mapping[str, Any]) -> str:
    """How the actions of an evaluation were chosen."""
    if content.get("drawn"):
        return "drawn"
    return f"epsilon {content['epsilon']:g}" if content.get("epsilon") else runs.GREEDY


def _pending(experiment: Path, started: set[str]) -> list[Run]:
    """The trials that Tune has planned and not started, from the newest state of an experiment."""
    state = files.read_json(max(experiment.glob(STATE)), [])
    pending = []
    for row in state.get("trial_data", []):
        trial = _planned_trial(row)
        if trial.get("status") != "PENDING" or trial.get("relative_logdir") in started:
            continue
        config = _mapping(trial.get("config"))
        planned = files.number(_mapping(trial.get("stopping_criterion")).get(STEPS))
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


def _planned_trial(row: Any) -> dict[str, Any]:
    """A trial's part of Tune's state, which Tune writes as text; {} where it is torn."""
    first = row[0] if isinstance(row, list) and row else row
    try:
        return _mapping(json.loads(first) if isinstance(first, str) else first)
    except json.JSONDecodeError:
        return {}


def _column(results: list[dict[str, Any]], path: str) -> runs.Array:
    """(E,) the values at a path over the evaluations."""
    return np.array([files.number(files.at(r, path)) for r in results], dtype=np.float64)
