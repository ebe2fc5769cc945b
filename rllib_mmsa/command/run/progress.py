"""One line a person can read, for each trial every few seconds."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import typer
from ray.tune import Callback
from ray.tune.experiment import Trial

from rllib_mmsa.rllib.metrics import ENGINE, NUM_EPISODES_DROPPED_LIFETIME

STEPS = "num_env_steps_sampled_lifetime"
TERMINAL_INTERVAL_S = 5.0
FILE_INTERVAL_S = 20.0


def get(result: Mapping[str, Any], path: str) -> float:
    """Read a number at a path such as "env_runners/episode_return_mean"; NaN where absent."""
    value: Any = result
    for key in path.split("/"):
        value = value.get(key) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) else math.nan


def format_number(value: float, form: str = ".2f") -> str:
    """Format a number; "-" stands for one that is not there."""
    return "-" if math.isnan(value) else format(value, form)


def format_duration(seconds: float) -> str:
    """Format seconds as 3:14 or 2:03:14; "-" where unknown."""
    if math.isnan(seconds) or math.isinf(seconds):
        return "-"
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@dataclasses.dataclass
class TrialProgress:
    """What the lines of one trial remember from result to result.

    Attributes:
        stop: Metric path -> value at which the trial ends.
        test_return: Latest evaluation's mean return; evaluations are rarer than results.
        test_win: Latest evaluation's win rate.
        history: (training seconds, env steps) of the last lines, for speed and time left.
        shown_at: When the last line was printed, in monotonic seconds.
    """

    stop: Mapping[str, float]
    test_return: float = math.nan
    test_win: float = math.nan
    history: deque[tuple[float, float]] = dataclasses.field(
        default_factory=lambda: deque(maxlen=10)
    )
    shown_at: float = -math.inf

    def update(self, result: Mapping[str, Any]) -> bool:
        """Take in a result; return whether it holds a new evaluation."""
        test = get(result, "evaluation/env_runners/episode_return_mean")
        if math.isnan(test):
            return False
        self.test_return = test
        self.test_win = get(result, "evaluation/env_runners/win_rate")
        return True

    def speed(self, result: Mapping[str, Any]) -> float:
        """Env steps per second of training and evaluation, over the last lines."""
        now, steps = get(result, "time_total_s"), get(result, STEPS)
        before, steps_before = self.history[0] if self.history else (0.0, 0.0)
        return (steps - steps_before) / (now - before) if now > before else math.nan

    def time_left(self, result: Mapping[str, Any], speed: float) -> float:
        """Seconds until the first of the stop criteria that can be foreseen."""
        now, left = get(result, "time_total_s"), []
        if STEPS in self.stop and speed > 0:
            left.append((self.stop[STEPS] - get(result, STEPS)) / speed)
        if "time_total_s" in self.stop:
            left.append(self.stop["time_total_s"] - now)
        if "training_iteration" in self.stop:
            done = get(result, "training_iteration")
            left.append((self.stop["training_iteration"] - done) * now / done)
        return min(left, default=math.nan)

    def format(self, label: str, result: Mapping[str, Any]) -> str:
        """Write the line. The first one names the engine of the updates, where a result does."""
        steps, speed = get(result, STEPS), self.speed(result)
        total = self.stop.get(STEPS)
        win = get(result, "env_runners/win_rate") if math.isnan(self.test_win) else self.test_win
        of_total = f"/{total:,.0f}" if total else ""
        dropped = get(result, f"env_runners/{NUM_EPISODES_DROPPED_LIFETIME}")
        engine = "" if self.history else result.get(ENGINE, "")
        line = "  ".join(
            (
                label,
                *([f"engine {engine}"] if engine else []),
                f"{format_number(steps, ',.0f')}{of_total} steps",
                f"{format_number(get(result, 'env_runners/num_episodes_lifetime'), ',.0f')} "
                f"episodes{f' ({dropped:,.0f} dropped)' if dropped > 0 else ''}",
                f"return {format_number(get(result, 'env_runners/episode_return_mean'))}",
                f"test {format_number(self.test_return)}",
                f"win {format_number(win)}",
                f"eps {format_number(get(result, 'env_runners/epsilon'))}",
                f"{format_number(speed, ',.0f')} steps/s",
                f"left {format_duration(self.time_left(result, speed))}",
            )
        )
        self.history.append((get(result, "time_total_s"), steps))
        return line


class ProgressCallback(Callback):
    """Prints progress lines: on time, at each new evaluation and at each trial's end."""

    def __init__(self) -> None:
        self._trials: dict[str, TrialProgress] = {}

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Say what starts, and with which of the searched values."""
        settings = ", ".join(f"{k}={v}" for k, v in (trial.evaluated_params or {}).items())
        began = "resumes" if trial.checkpoint else "starts"
        label = self._label(trial, trials)
        typer.echo(f"{label}  {began}{': ' + settings if settings else ''}")

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict, **info: Any
    ) -> None:
        """Print a line if it is time for one, or if there is something new to see."""
        progress = self._trials.setdefault(
            trial.trial_id, TrialProgress(trial.stopping_criterion or {})
        )
        evaluated = progress.update(result)
        interval = TERMINAL_INTERVAL_S if sys.stdout.isatty() else FILE_INTERVAL_S
        due = time.monotonic() - progress.shown_at >= interval
        if due or evaluated or result.get("done"):
            typer.echo(progress.format(self._label(trial, trials), result))
            sys.stdout.flush()
            progress.shown_at = time.monotonic()

    @staticmethod
    def _label(trial: Trial, trials: list[Trial]) -> str:
        """The experiment's name, with the trial's number where there are several."""
        name = trial.experiment_dir_name
        number = trial.trial_id.rsplit("_", 1)[-1]
        return name if len(trials) == 1 else f"{name}_{number}"
