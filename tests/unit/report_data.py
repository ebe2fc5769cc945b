"""Folders of results in the layout that Ray Tune writes, and runs, for the tests of the report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rllib_mmsa.report.runs import FINISHED, Run

STEPS = "num_env_steps_sampled_lifetime"


def result(
    step: int,
    value: float | None,
    config: Mapping[str, Any],
    *,
    win: float | None = None,
    done: bool = False,
    **more: Any,
) -> dict[str, Any]:
    """One line of result.json; without a value it is one without an evaluation."""
    line: dict[str, Any] = {
        "env_runners": {"episode_return_mean": 0.1, "epsilon": 0.5},
        STEPS: float(step),
        "time_total_s": step / 100,
        "done": done,
        "config": dict(config),
        **more,
    }
    if value is not None:
        line["evaluation"] = {"env_runners": {"episode_return_mean": value, "win_rate": win}}
    return line


def config_of(seed: int, **options: Any) -> dict[str, Any]:
    """A resolved configuration in small: settings, resources, an address of a function."""
    return {
        "env": "lbf",
        "env_config": {"task": "8x8-2p-2f-v2"},
        "seed": seed,
        "lr": 1e-3,
        "gamma": 0.99,
        "num_cpus_for_main_process": 1,
        "engine": "auto",
        "policy_mapping_fn": f"<function team_policy at 0x7f{seed:06x}>",
        "_internal": seed,
        **options,
    }


def write_trial(
    experiment: Path,
    name: str,
    lines: Sequence[Mapping[str, Any]],
    *,
    params: Mapping[str, Any] | None = None,
    error: str = "",
) -> Path:
    """Write one trial's folder."""
    trial = experiment / name
    trial.mkdir(parents=True)
    if lines:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (trial / "result.json").write_text(text)
    (trial / "params.json").write_text(json.dumps(params or {"env": "lbf", "seed": 1}))
    if error:
        (trial / "error.txt").write_text(error)
    return trial


def write_experiment(
    folder: Path,
    run: str,
    seeds: Sequence[int],
    *,
    level: float = 0.5,
    planned: int = 1000,
    **options: Any,
) -> list[Path]:
    """Write an experiment of finished trials that are evaluated four times."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {folder.name: {"run": run, "env": "lbf", "stop": {STEPS: planned}}}
    (folder / "experiment.yaml").write_text(yaml.safe_dump(record))
    trials = []
    for seed in seeds:
        config = config_of(seed, **options)
        lines = []
        for i in range(1, 5):
            step = i * planned // 4 + seed
            value = level * i / 4 + 0.01 * seed
            lines.append(result(step - 50, None, config))
            lines.append(result(step, value, config, win=min(1.0, value), done=i == 4))
        tag = "_".join(f"{key}={value}" for key, value in options.items())
        name = f"{run}_lbf_a1b2c_0000{seed}_{seed}_{tag}_2026-01-01_00-00-00"
        trials.append(write_trial(folder, name, lines, params={**options, "seed": seed}))
    return trials


def make_run(
    seed: int | str = 1,
    final: float = 0.5,
    *,
    task: str = "lbf 8x8-2p-2f-v2",
    algorithm: str = "MMSA",
    last: int = 1000,
    status: str = FINISHED,
    **more: Any,
) -> Run:
    """A run with five evaluations that rises in a straight line from 0 to its final value."""
    steps = np.linspace(0, last, 5)
    return Run(
        task=task,
        algorithm=algorithm,
        seed=str(seed),
        status=status,
        planned_steps=1000.0,
        env_steps=steps,
        seconds=steps / 10,
        test_return=final * steps / 1000,
        win_rate=np.full(5, np.nan),
        **more,
    )
