"""Ctrl-C that finishes the iteration, saves every running trial and leaves a run to resume.

Tune's handler ends at once: what was learnt since the last checkpoint is lost. Here the signal
only raises a flag. The scheduler then pauses each trial at its next result, which makes Tune save
it, and starts no other; when none runs any more, Tune is told to end.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

import typer
from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

# A module's attribute, since Tune pickles scheduler and callbacks with the experiment.
requested = threading.Event()


class Pausing(TrialScheduler):
    """Mixed into a scheduler: once the flag is up, pauses what runs and starts nothing.

    It also has Tune save its state whenever a trial has ended. Tune itself does so every ten
    seconds or more; killed in between, it would run a finished trial again.
    """

    _ended: Any = None  # Tune's controller while an end is unsaved

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict) -> str:
        """Pause instead of continue; pausing saves a checkpoint."""
        if requested.is_set():
            return TrialScheduler.PAUSE
        return super().on_trial_result(tune_controller, trial, result)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict) -> None:
        """Note the end; to Tune, the trial still runs."""
        super().on_trial_complete(tune_controller, trial, result)
        self._ended = tune_controller

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Start nothing new once the flag is up."""
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended.checkpoint(force=True, wait=True)
        return None if requested.is_set() else super().choose_trial_to_run(tune_controller)


class PausingScheduler(Pausing, FIFOScheduler):
    """First in, first out."""


class EndWhenPaused(Callback):
    """Ends the Tune run when the flag is up and the last running trial has been saved."""

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Send the signal by which Tune ends a run and keeps its state."""
        if requested.is_set() and not any(trial.status == Trial.RUNNING for trial in trials):
            signal.raise_signal(signal.SIGUSR1)


@contextlib.contextmanager
def graceful() -> Iterator[None]:
    """Within it, a first SIGINT or SIGTERM raises the flag and a second one interrupts at once."""

    def on_signal(number: int, frame: Any) -> None:
        if requested.is_set():
            raise KeyboardInterrupt
        requested.set()
        typer.echo(
            "\nstopping: finishing the iteration and saving; press Ctrl-C again to stop at once",
            err=True,
        )

    previous = {s: signal.signal(s, on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler or signal.SIG_DFL)  # None: not set from Python
