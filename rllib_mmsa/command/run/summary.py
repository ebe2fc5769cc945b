"""What a run found, at its end: where it ended, and the trials of a search, the best first."""

from __future__ import annotations

import dataclasses
import math
import shutil
import sys

import typer
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.result import TRAINING_ITERATION
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from rllib_mmsa.command.experiment.experiment import Experiment
from rllib_mmsa.command.run import labels
from rllib_mmsa.command.run.progress import STEPS, format_number, format_return, get
from rllib_mmsa.rllib import metrics as keys

MOST_ROWS = 10
NAMES = {
    keys.TEST_RETURN: "test return",
    keys.TEST_WIN_RATE: "test win rate",
    "env_runners/episode_return_mean": "return",
}
STATES = {Trial.TERMINATED: "", Trial.ERROR: "failed"}
UNFINISHED = "unfinished"
FILE_WIDTH = 100  # columns of the table where there is no terminal


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How one trial ended.

    Attributes:
        label: The trial's name in lines that a person reads.
        status: Tune's.
        result: Tune's; its last result and newest checkpoint.
        value: What the trials are compared by; NaN where it was never measured.
        asked: Env steps at which it was to stop; infinite where it was not.
    """

    label: str
    status: str
    result: tune.Result
    value: float
    asked: float


def is_unfinished(trial: Trial) -> bool:
    """Whether a trial is not done, whatever ended it; that is no success.

    Tune calls one that was stopped while its process was starting terminated.
    """
    if trial.status == Trial.TERMINATED:
        return not trial.run_metadata.last_result.get(TRAINING_ITERATION)
    return trial.status != Trial.ERROR


def show(experiment: Experiment, results: tune.ResultGrid) -> list[str]:
    """Print how far a run went and, of several trials, which was best.

    Args:
        experiment: What was run.
        results: What Tune returned.

    Returns:
        The checkpoint to go on with: the best trial's newest, or no element where there is none.
    """
    metric = compared_by(experiment, results)
    outcomes = best_first(experiment, results, metric)
    _say_where_it_ended(outcomes)
    if len(outcomes) > 1:
        _print(_table(outcomes, metric))
        best = outcomes[0]
        if not math.isnan(best.value):
            at = f" at {best.result.metrics[STEPS]:,.0f} env steps" if best.result.metrics else ""
            value = f"{NAMES.get(metric, metric)} {format_return(best.value)}"
            typer.echo(f"best:       {best.label}: {value}{at}")
    saved = (o.result.checkpoint.path for o in outcomes if o.result.checkpoint)
    return [path] if (path := next(saved, None)) else []


def compared_by(experiment: Experiment, results: tune.ResultGrid) -> str:
    """The scheduler's metric; else the test return or, where there was no test, the training's."""
    if experiment.scheduler:
        return experiment.scheduler["metric"]
    tested = any(keys.TEST_RETURN in (result.metrics or {}) for result in results)
    return keys.TEST_RETURN if tested else "env_runners/episode_return_mean"


def best_first(experiment: Experiment, results: tune.ResultGrid, metric: str) -> list[Outcome]:
    """All trials by the last value of a metric; those without one come last."""
    trials = results._experiment_analysis.trials
    changing = experiment.scheduler.get("type") == "pbt"  # settings, while a trial runs
    outcomes = [
        Outcome(
            labels.label(trial, trials, numbered=changing),
            trial.status,
            result,
            get(result.metrics or {}, metric),
            # Not the experiment's: a finished run may have been trained further.
            (trial.stopping_criterion or {}).get(STEPS, math.inf),
        )
        for trial, result in zip(trials, results, strict=True)
    ]
    sign = -1 if experiment.scheduler.get("mode") == "min" else 1
    return sorted(
        outcomes,
        key=lambda o: -math.inf if math.isnan(o.value) else sign * o.value,
        reverse=True,
    )


def _say_where_it_ended(outcomes: list[Outcome]) -> None:
    """Say why there are a few env steps more than were asked for."""
    asked = max((o.asked for o in outcomes), default=math.inf)
    steps = max((get(o.result.metrics or {}, STEPS) for o in outcomes), default=math.nan)
    if steps > asked:
        typer.echo(
            f"ended:      at {steps:,.0f} env steps, since the episodes that were running at "
            f"{asked:,.0f} were played to their ends"
        )


def _table(outcomes: list[Outcome], metric: str) -> Table:
    """The best trials, as many as a person reads."""
    shown = outcomes[:MOST_ROWS]
    columns = {metric: NAMES.get(metric, metric), keys.TEST_WIN_RATE: "win rate"}
    if all(math.isnan(get(o.result.metrics or {}, keys.TEST_WIN_RATE)) for o in shown):
        del columns[keys.TEST_WIN_RATE]
    left = len(outcomes) - len(shown)
    table = Table(box=SIMPLE_HEAD, caption=f"and {left} more" if left else None)
    table.add_column("trial", overflow="fold")
    for name in (*columns.values(), "env steps"):
        table.add_column(name, justify="right")
    states = [STATES.get(o.status, UNFINISHED) for o in shown]
    if any(states):
        table.add_column("")
    for outcome, state in zip(shown, states, strict=True):
        metrics = outcome.result.metrics or {}
        table.add_row(
            outcome.label,
            *(format_return(get(metrics, key)) for key in columns),
            format_number(get(metrics, STEPS), ",.0f"),
            *([state] if any(states) else []),
        )
    return table


def _print(table: Table) -> None:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else FILE_WIDTH
    console = Console(width=width, highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        console.print(table)
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))
