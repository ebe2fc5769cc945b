"""The study in marl-eval's JSON, for other tools (Gorsane et al., 2022).

environment -> task -> algorithm -> run -> step -> {step_count, elapsed_time, return, win_rate},
and beside the steps `absolute_metrics`, where they have been measured.
https://github.com/instadeepai/marl-eval
"""

from __future__ import annotations

import json
import math
from typing import Any

from rllib_mmsa.report.runs import Run
from rllib_mmsa.report.study import Study


def to_json(study: Study) -> str:
    """Write the study as marl-eval reads it.

    Each metric is a list of one number, the mean over the evaluation's episodes. marl-eval wants
    equally many runs and steps everywhere and an absolute metric in each; it says what is lacking.
    """
    content: dict[str, Any] = {}
    for g in study.groups:
        if not g.measured:  # marl-eval takes no algorithm without a run
            continue
        environment, _, task = g.task.partition(" ")
        algorithm = content.setdefault(environment, {}).setdefault(task or environment, {})
        names = [f"run_{i}" for i in range(1, len(g.measured) + 1)]
        algorithm[g.label] = {name: _run(run) for name, run in zip(names, g.measured, strict=True)}
    return json.dumps(content, indent=1) + "\n"


def _run(run: Run) -> dict[str, Any]:
    """The steps of one run."""
    steps: dict[str, Any] = {}
    for i in range(run.env_steps.size):
        values = {"return": run.test_return[i], "win_rate": run.win_rate[i]}
        steps[f"step_{i + 1}"] = {"step_count": round(run.env_steps[i])}
        if not math.isnan(run.seconds[i]):
            steps[f"step_{i + 1}"]["elapsed_time"] = round(float(run.seconds[i]), 1)
        steps[f"step_{i + 1}"].update(_lists(values))
    if run.absolute.episodes:
        values = {"return": run.absolute.test_return, "win_rate": run.absolute.win_rate}
        steps["absolute_metrics"] = _lists(values)
    return steps


def _lists(values: dict[str, float]) -> dict[str, list[float]]:
    """Each number that is there in a list, to six digits."""
    return {k: [float(f"{v:.6g}")] for k, v in values.items() if not math.isnan(v)}
