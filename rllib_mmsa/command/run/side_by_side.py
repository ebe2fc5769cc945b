"""The experiments of one file side by side: a process for each, all on one Ray.

Ray hands out the CPUs: trials that find none wait for them, whichever experiment they are of. Each
process runs its experiment as if it were alone, with its own logs and resume line. This one starts
them, passes signals on, and waits.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import ray
import typer
from ray._private import utils as ray_utils

from rllib_mmsa.command import trust
from rllib_mmsa.command.exits import EXIT_INTERRUPTED
from rllib_mmsa.command.experiment import search
from rllib_mmsa.command.experiment.experiment import Experiment
from rllib_mmsa.command.name import command_words
from rllib_mmsa.command.run import going_on, interrupt, launch

VARIABLE = "RLLIB_MMSA_SIDE_BY_SIDE"
LOOK_S = 0.2


@dataclasses.dataclass(frozen=True)
class Orders:
    """What a process is told that runs one of several experiments.

    Attributes:
        address: of the Ray that all are on.
        resume_command: What the user types to resume all.
        parent: The process that waits for it.
    """

    address: str
    resume_command: str
    parent: int


def orders() -> Orders | None:
    """What this process was told, once; None where it runs what the user typed.

    On Linux it ends with the process that started it, as Ray's processes do.
    """
    text = os.environ.pop(VARIABLE, "")
    if not text:
        return None
    told = Orders(**json.loads(text))
    if ray_utils.detect_fate_sharing_support_linux():
        ray_utils.set_kill_on_parent_death_linux()
    if os.getppid() != told.parent:  # it ended before that
        sys.exit(EXIT_INTERRUPTED)
    return told


def run(
    experiments: Sequence[Experiment],
    command: Sequence[str],
    options: launch.LaunchOptions,
    at_once: int,
) -> int:
    """Run experiments beside each other, each in a process of its own.

    Args:
        experiments: Checked experiments.
        command: Arguments of `rllib` that run all of them.
        options: How to run them.
        at_once: How many at a time.

    Returns:
        The highest exit code; 130 where the user interrupted.
    """
    if options.resume and not options.begin:
        launch.check_resumable(experiments)
    for experiment in experiments:
        if options.resume and not experiment.is_remote:
            trust.require_run(experiment.path)  # its own process cannot ask
        elif not (options.fresh or experiment.is_remote):
            going_on.refuse_to_bury(experiment, launch.resume_command(experiment, options))
    with interrupt.graceful():
        try:
            if options.ray_address is None:
                launch.start_ray(experiments, options)
            address = options.ray_address or ray.get_runtime_context().gcs_address
            told = Orders(address, options.resume_command, os.getpid())
            return _run_all(experiments, command, told, at_once)
        except KeyboardInterrupt:
            typer.echo("stopped before the training began", err=True)
            return EXIT_INTERRUPTED
        finally:
            ray.shutdown()


def _run_all(
    experiments: Sequence[Experiment], command: Sequence[str], told: Orders, at_once: int
) -> int:
    """Start, pass signals on, wait; the exit code."""
    environment = {**os.environ, VARIABLE: json.dumps(dataclasses.asdict(told))}
    waiting, codes = deque(experiments), [0]
    running: list[subprocess.Popen] = []
    typer.echo(f"{len(experiments)} experiments, {at_once} at a time")
    with _caught() as signals:
        while running or (waiting and not signals):
            while waiting and len(running) < at_once and not signals:
                name = waiting.popleft().name
                arguments = [*command_words(), *command, "--only", name]
                # In a session of its own: the terminal's Ctrl-C comes by way of this process, once.
                running.append(subprocess.Popen(arguments, env=environment, start_new_session=True))
            time.sleep(LOOK_S)
            codes += [child.returncode for child in running if child.poll() is not None]
            running = [child for child in running if child.returncode is None]
            signals.pass_on(running)
    if waiting:
        typer.echo(f"not begun: {', '.join(experiment.name for experiment in waiting)}")
        return EXIT_INTERRUPTED
    return max(code if code >= 0 else EXIT_INTERRUPTED for code in codes)  # below 0: killed


def share_cores(experiments: Sequence[Experiment]) -> list[Experiment]:
    """The same with one thread for the updates of each trial, unless the options say otherwise."""
    return [
        dataclasses.replace(e, config=search.with_threads(e.config, num_samples=2))
        for e in experiments
    ]


class _Signals:
    """Signals that came, and how many of them the processes have."""

    def __init__(self) -> None:
        self.came: list[int] = []
        self._passed = 0

    def __bool__(self) -> bool:
        return bool(self.came)

    def take(self, number: int, frame: Any) -> None:
        """The handler."""
        self.came.append(number)

    def pass_on(self, running: Sequence[subprocess.Popen]) -> None:
        """Send to each process what has come since the last time."""
        new, self._passed = self.came[self._passed :], len(self.came)
        for number in new:
            for child in running:
                child.send_signal(number)


@contextmanager
def _caught() -> Iterator[_Signals]:
    """Within it, signals that stop a run are collected."""
    signals = _Signals()
    with ExitStack() as stack:
        for number in interrupt.stopping_signals():
            former = signal.signal(number, signals.take)
            stack.callback(signal.signal, number, former or signal.SIG_DFL)
        yield signals
