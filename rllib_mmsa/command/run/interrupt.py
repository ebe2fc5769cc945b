"""Signals that finish the iteration, save every running trial and leave a run to resume.

Tune's handler ends at once: what was learnt since the last checkpoint is lost. Here a signal only
raises a flag. The scheduler then pauses each trial at its next result, which makes Tune save it,
and starts no other; when none runs any more, Tune is told to end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import ray
import typer
from ray.tune import Callback, tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from rllib_mmsa.command.exits import EXIT_INTERRUPTED
from rllib_mmsa.command.run.memory import forget_finished

# Ctrl-C; `kill`, `timeout`, `scancel`, a container's end; a terminal that closes; the warnings of
# batch systems before they kill (`sbatch --signal=USR1@60`). All mean the same.
NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")
# `timeout` and others signal the process and then its group: that is one request, not two.
REPEAT_S = 1.0
WATCH_S = 0.5

# Module attributes, since Tune pickles scheduler and callbacks with the experiment.
requested = threading.Event()  # a signal came
_training = threading.Event()  # there may be something to save
_ending = threading.Event()  # nothing is left to save: a signal changes nothing
_paused = threading.Event()  # all that ran is saved: Tune's loop may end


class Pausing(TrialScheduler):
    """Mixed into a scheduler: once the flag is up, pauses what runs and starts nothing.

    It also has Tune save its state whenever a trial has ended. Tune itself does so every ten
    seconds or more; killed in between, it would run a finished trial again.
    """

    _ended: Any = None  # Tune's controller while an end is unsaved

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict) -> str:
        """Pause instead of continue; pausing saves a checkpoint."""
        forget_finished(tune_controller)
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
        """End Tune's loop; it keeps its state."""
        if requested.is_set() and not any(trial.status == Trial.RUNNING for trial in trials):
            _paused.set()


class _Handler:
    """What a signal does: raise the flag; if it comes again, interrupt at once, then exit."""

    def __init__(self) -> None:
        self._first = 0.0
        self._seen: set[int] = set()
        self._at_once = False

    def __call__(self, number: int, frame: Any) -> None:
        """Called by Python in the main thread."""
        urgent = {signal.SIGINT, signal.SIGTERM}
        again = number in self._seen or (number in urgent and bool(self._seen & urgent))
        self._seen.add(number)
        if not requested.is_set():
            self._first = time.monotonic()
            requested.set()
            if not _training.is_set() and not _ending.is_set():
                _ending.set()
                raise KeyboardInterrupt
        elif again and time.monotonic() - self._first >= REPEAT_S:
            if self._at_once:
                os._exit(EXIT_INTERRUPTED)  # Ray's processes end with this one
            if not _ending.is_set():
                self._at_once = True
                raise KeyboardInterrupt


def stopping_signals() -> list[int]:
    """The signals that stop a run, where the system has them and `nohup` does not ignore them."""
    numbers = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    ignored = [n for n in numbers if signal.getsignal(n) == signal.SIG_IGN]
    return [n for n in numbers if n not in ignored or n != getattr(signal, "SIGHUP", None)]


def deafen() -> None:
    """Ignore these signals from now on: the run has ended, and its exit code stands."""
    for number in stopping_signals():
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def _swallowed() -> Iterator[None]:
    """Within it, an interrupt that nothing could catch prints no traceback.

    Python drops what a handler raises while a destructor or a callback of the garbage collector
    runs, and prints it. The flag is up all the same, and is looked at before each step.
    """
    former = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            former(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = former


@contextlib.contextmanager
def graceful() -> Iterator[None]:
    """Within it, a first signal raises the flag, and a second one interrupts at once.

    Until `training` is entered there is nothing to save, and the first one interrupts, too. A
    SIGHUP that was ignored at the start, as `nohup` has it, stays ignored.
    """
    requested.clear()
    _training.clear()
    _ending.clear()
    _paused.clear()
    handler = _Handler()
    previous = {number: signal.signal(number, handler) for number in stopping_signals()}
    # Tune ends its loop by an event that its own handler of SIGUSR1 sets; ours is set instead.
    tunes, tune._setup_signal_catching = tune._setup_signal_catching, lambda: _paused
    try:
        with _swallowed():
            yield
    finally:
        tune._setup_signal_catching = tunes
        for number, former in previous.items():
            signal.signal(number, former or signal.SIG_DFL)  # None: not set from Python


@contextlib.contextmanager
def training(lost: Callable[[], None]) -> Iterator[None]:
    """Within it, a signal has what runs finished and saved.

    Args:
        lost: Says how to go on; called before the process ends because Ray's processes, which
            would have saved, were stopped too.
    """
    _ending.clear()
    _training.set()
    over = threading.Event()
    watch = threading.Thread(target=_watch, args=(over, lost), daemon=True)
    watch.start()
    try:
        yield
    finally:
        _ending.set()
        over.set()
        watch.join(5)


def _watch(over: threading.Event, lost: Callable[[], None]) -> None:
    """Say that a signal came, tell the trials, and see to it that somebody is left to save.

    In a thread of its own: a handler interrupts anything, a print or a call of Ray included.
    """
    from rllib_mmsa.rllib import stop

    while not requested.wait(WATCH_S):
        if over.is_set():
            return
    if over.is_set():
        return
    typer.echo("\nstopping: finishing and saving; once more (Ctrl-C) stops at once", err=True)
    # Aside, since it waits for a minute where Ray's head is gone. Trials that do not hear of it
    # finish their iterations.
    threading.Thread(target=stop.request, daemon=True).start()
    while not over.wait(WATCH_S):
        node = ray._private.worker._global_node
        if node is not None and node.dead_processes():
            typer.echo("Ray's processes were stopped, too, before all was saved", err=True)
            lost()
            sys.stdout.flush()
            os._exit(EXIT_INTERRUPTED)  # calls of Ray would wait for a minute
