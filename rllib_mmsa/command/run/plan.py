"""`rllib train file --dry-run`: what would run, what is done of it, and about how long it takes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from rllib_mmsa.command.experiment import search
from rllib_mmsa.command.experiment.experiment import RECORD, Experiment
from rllib_mmsa.command.run import going_on
from rllib_mmsa.command.run.going_on import EarlierTrial
from rllib_mmsa.command.run.progress import STEPS, format_duration


@dataclasses.dataclass(frozen=True)
class Planned:
    """One experiment as it would run.

    Attributes:
        experiment: What it is.
        earlier: Its trials that have begun, or ended.
        speed: Env steps per second of one trial, as it or its like have run; NaN where none has.
    """

    experiment: Experiment
    earlier: list[EarlierTrial]
    speed: float

    @property
    def trials(self) -> int:
        """How many there are in all; below 1: without end."""
        return search.num_trials(self.experiment)

    @property
    def steps_left(self) -> float:
        """Env steps of all trials until they stop; NaN where another criterion ends them."""
        if len(self.earlier) == self.trials and all(trial.finished for trial in self.earlier):
            return 0.0
        last = self.experiment.stop.get(STEPS, math.nan)
        done = sum(
            last if trial.finished else min(last, trial.result.get(STEPS, 0))
            for trial in self.earlier
        )
        return self.trials * last - done if self.trials > 0 else math.nan

    @property
    def seconds_left(self) -> float:
        """Of one trial after another; NaN where not known."""
        return 0.0 if self.steps_left == 0 else self.steps_left / self.speed

    def line(self) -> str:
        """One line for a person."""
        experiment = self.experiment
        number = f"{self.trials} trial{'s' * (self.trials != 1)}" if self.trials > 0 else "trials"
        stop = " or ".join(map(_criterion, experiment.stop.items()))
        finished = sum(trial.finished for trial in self.earlier)
        begun = len(self.earlier) - finished
        state = f"{finished} finished, {begun} begun" if self.earlier else "not begun"
        if not math.isnan(self.steps_left):
            state += f", {self.steps_left:,.0f} env steps left"
        if not math.isnan(self.seconds_left):
            state += f", {format_duration(self.seconds_left)} on one core"
        return (
            f"{experiment.name}: {experiment.run} on {experiment.env}, {number} "
            f"{f'to {stop}' if stop else 'without end'} -> {experiment.path}; {state}"
        )


def _criterion(item: tuple[str, float]) -> str:
    """A stop criterion in words."""
    name, value = item
    number = f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"
    return f"{number} env steps" if name == STEPS else f"{name} {number}"


def lines(experiments: Sequence[Experiment], at_once: int) -> Iterator[str]:
    """What would run, a line for each experiment and one for all.

    Args:
        experiments: Checked.
        at_once: Trials at a time, at most.

    Yields:
        The lines.
    """
    planned = [_plan(experiment) for experiment in experiments]
    yield from (each.line() for each in planned)
    steps = sum(each.steps_left for each in planned)
    left = sum(each.seconds_left for each in planned)
    words = "" if math.isnan(steps) else f", {steps:,.0f} env steps left"
    if math.isnan(left):
        words += "; how long that takes is known once trials of each kind have run"
    else:
        trials = max(1, sum(max(each.trials, 0) for each in planned))
        cores = min(at_once, trials)
        words += f", about {format_duration(left / cores)} with {cores} at a time"
    yield f"{sum(max(each.trials, 0) for each in planned)} trials{words}"


def _plan(experiment: Experiment) -> Planned:
    earlier = [] if experiment.is_remote else going_on.earlier_trials(experiment.path)
    speed = _speed(earlier)
    if math.isnan(speed) and not experiment.is_remote:
        speeds = [_speed(going_on.earlier_trials(folder)) for folder in _alike(experiment)]
        known = [each for each in speeds if not math.isnan(each)]
        speed = sum(known) / len(known) if known else math.nan
    return Planned(experiment, earlier, speed)


def _speed(trials: Sequence[EarlierTrial]) -> float:
    """Env steps per second of trials, of training and tests; NaN where none has run."""
    steps = sum(trial.result.get(STEPS, 0) for trial in trials)
    seconds = sum(trial.result.get("time_total_s", 0) for trial in trials)
    return steps / seconds if seconds else math.nan


def _alike(experiment: Experiment) -> Iterator[Path]:
    """Folders beside it in which the same algorithm has played the same environment."""
    for record in sorted(Path(experiment.storage_path).glob(f"*/{RECORD}")):
        try:
            (entry,) = yaml.safe_load(record.read_text(encoding="utf-8")).values()
        except (OSError, ValueError, AttributeError, yaml.YAMLError):
            continue
        if (entry.get("run"), entry.get("env")) == (experiment.run, experiment.env):
            yield record.parent
