"""What the processes of a run have to say, printed as soon as it is said."""

from __future__ import annotations

import time
from typing import Any

import typer
from ray.tune import Callback
from ray.tune.experiment import Trial

from rllib_mmsa.rllib import messages

#: Seconds between two looks.
INTERVAL_S = 1.0


class ShowNotes(Callback):
    """Prints the trials' notes (`rllib_mmsa.rllib.messages`) between their progress lines."""

    def __init__(self) -> None:
        self._looked_at = 0.0

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Look for notes, now and then."""
        now = time.monotonic()
        if now - self._looked_at >= INTERVAL_S:
            self._looked_at = now
            for trial in trials:
                if trial.status == Trial.RUNNING:
                    self._show(trial, trials)

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Print what a trial said before it failed."""
        self._show(trial, trials)

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Print what a trial said before it ended."""
        self._show(trial, trials)

    @staticmethod
    def _show(trial: Trial, trials: list[Trial]) -> None:
        name, number = trial.experiment_dir_name, trial.trial_id.rsplit("_", 1)[-1]
        label = name if len(trials) == 1 else f"{name}_{number}"
        for note in messages.heard(trial.storage.trial_dir_name):
            typer.echo(f"{label}  {note}", err=True)
