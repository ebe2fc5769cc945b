"""What an earlier run left in an experiment's folder: nothing, unfinished trials, or finished ones.

Read from Tune's state before Ray starts, and changed there where a run is to go on for longer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME
from ray.tune.experiment import Trial
from ray.tune.utils import flatten_dict

from rllib_mmsa.command import trust
from rllib_mmsa.command.checkpoints import latest
from rllib_mmsa.command.experiment.experiment import Experiment
from rllib_mmsa.command.run import state
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.rllib.latest_test import met


@dataclasses.dataclass(frozen=True)
class EarlierTrial:
    """One trial, as Tune's state has it.

    Attributes:
        status: Tune's word: PENDING, RUNNING, PAUSED, TERMINATED, ERROR.
        stop: Metric path -> value at which it ends.
        result: Its last result, nested keys with "/".
        saved: Whether it has a checkpoint.
    """

    status: str
    stop: Mapping[str, float]
    result: Mapping[str, Any]
    saved: bool

    @property
    def finished(self) -> bool:
        """Whether it reached its end."""
        return self.status == Trial.TERMINATED

    def reached(self, stop: Mapping[str, float]) -> dict[str, float]:
        """The criteria that its last result already meets."""
        return met(stop, self.result)

    def goes_on(self, stop: Mapping[str, float]) -> bool:
        """Whether it has something to do under these criteria."""
        extended = self.saved and stop != self.stop
        return not self.reached(stop) and (extended or not self.finished)


def earlier_trials(folder: Path) -> list[EarlierTrial]:
    """Read the trials of an experiment's folder; none where no state can be read."""
    found = state.newest(folder)
    return [_trial(folder, *pair) for pair in found.trials] if found else []


def _trial(folder: Path, trial: Mapping[str, Any], said: Mapping[str, Any]) -> EarlierTrial:
    logs = trial["storage"].trial_dir_name
    return EarlierTrial(
        status=trial["status"],
        stop=trial["stopping_criterion"] or {},
        result=flatten_dict(dict(said.get("last_result") or {}), delimiter="/"),
        saved=bool(logs and latest(folder / logs)),
    )


def refuse_to_bury(experiment: Experiment, resume_command: str) -> None:
    """Refuse a new run beside an unfinished one, which could then no longer be resumed.

    One without a checkpoint has nothing to lose.

    Args:
        experiment: What is to run.
        resume_command: What the user types to resume.

    Raises:
        ConfigError: If there is such a run, or one that another wrote and the user does not trust.
    """
    trials = earlier_trials(experiment.path)
    if not trials:
        trust.require_run(experiment.path)  # there may be one that was left closed
        trials = earlier_trials(experiment.path)
    if all(trial.finished for trial in trials) or not any(trial.saved for trial in trials):
        return
    raise ConfigError(
        f"'{experiment.path}' holds an unfinished run ({_progress(trials)}). Go on with it: "
        f"{resume_command}. To begin anew beside it, after which it can be evaluated but no longer "
        "resumed, add --fresh."
    )


def is_due(experiment: Experiment, more_stop: Mapping[str, float]) -> bool:
    """Whether an experiment that is resumed has something to do; says so where it has not.

    Args:
        experiment: What is resumed.
        more_stop: Criteria that replace those of the same name from now on; they are written into
            the state of the run.

    Raises:
        ConfigError: If the criteria of this run cannot be changed.
    """
    trials = earlier_trials(experiment.path)
    if not trials:
        return True
    before = dict(trials[0].stop)
    stop = {**before, **more_stop}
    if stop != before and experiment.scheduler:
        raise ConfigError(
            f"{experiment.name}: --stop: the trials of a search with a scheduler "
            f"({experiment.scheduler['type']}) end where it began to plan them; resume without "
            "--stop, or go on from one trial's checkpoint with --restore."
        )
    if any(trial.goes_on(stop) for trial in trials):
        if stop != before:
            extend(experiment.path, stop)
        return True
    typer.echo(f"{experiment.name}: {_why_over(trials, stop)}")
    return False


def _why_over(trials: list[EarlierTrial], stop: Mapping[str, float]) -> str:
    """Why there is nothing to do, and how to go on."""
    reached = {k: v for trial in trials for k, v in trial.reached(stop).items()}
    if reached:
        said = ", ".join(f"{name}: {_rounded(value)}" for name, value in reached.items())
        done = [trial.result for trial in trials]
        furthest = {n: max([v, *(r[n] for r in done if n in r)]) for n, v in reached.items()}
        more = ", ".join(f"{name}: {_rounded(2 * value)}" for name, value in furthest.items())
        return (
            f"finished ({_progress(trials)}): reached {said}. To train on, resume with a later "
            f"stop: --stop '{{{more}}}'"
        )
    if not any(trial.saved for trial in trials):
        return "finished, and without a checkpoint to go on from; begin anew without --resume"
    return f"finished ({_progress(trials)})"


def _rounded(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(value)


def _progress(trials: list[EarlierTrial]) -> str:
    """How far trials have come."""
    steps = [int(trial.result.get(NUM_ENV_STEPS_SAMPLED_LIFETIME, 0)) for trial in trials]
    if len(trials) == 1:
        return f"{steps[0]:,} env steps"
    done = sum(trial.finished for trial in trials)
    return f"{done} of {len(trials)} trials finished, {sum(steps):,} env steps in all"


def extend(folder: Path, stop: Mapping[str, float]) -> None:
    """Change the stop criteria in Tune's state; finished trials that fall short of them go on.

    Args:
        folder: The experiment's.
        stop: All criteria of the run from now on.
    """
    found = state.newest(folder)
    if found is None:
        return
    for trial, said in found.trials:
        earlier = _trial(folder, trial, said)
        trial["stopping_criterion"] = dict(stop)
        if earlier.finished and earlier.goes_on(stop):
            trial["status"] = Trial.PAUSED
    beside, _ = state.companions(folder, found)
    state.replace(folder, found, beside)
