"""One line a person can read, for each trial every few seconds."""

from __future__ import annotations

import dataclasses
import math
import shutil
import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from ray.tune import Callback
from ray.tune.experiment import Trial

from rllib_mmsa.command.run import labels
from rllib_mmsa.report.names import game_name
from rllib_mmsa.rllib import metrics as keys

STEPS = "num_env_steps_sampled_lifetime"
TERMINAL_INTERVAL_S = 5.0
FILE_INTERVAL_S = 20.0
SHORTEST_LABEL = 8
# What gives way, in this order, where a line is wider than the terminal: the piece's name.
GIVE_WAY = (
    *("episodes", "steps", "eps", "dropped", "test", "speed", "label"),
    *("speed", "win", "test", "dropped", "left"),
)


def get(result: Mapping[str, Any], path: str) -> float:
    """Read a number at a path such as "env_runners/episode_return_mean"; NaN where absent."""
    value: Any = result
    for key in path.split("/"):
        value = value.get(key) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) else math.nan


def format_number(value: float, form: str = ".2f") -> str:
    """Format a number; "-" stands for one that is not there."""
    return "-" if math.isnan(value) else format(value, form)


def format_return(value: float) -> str:
    """Format a return in at most nine characters."""
    if abs(value) < 1000:
        return format_number(value)
    return format_number(value, ",.0f" if abs(value) < 1e6 else ".1e")


def format_count(value: float) -> str:
    """Format a number of steps in at most five characters: 9,999, 120k, 1.25M."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= max(0.9995 * size, 1e4):
            return f"{value / size:.{3 if value < 999.5 * size else 6}g}{unit}"
    return format_number(value, ",.0f")


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
        tested_at: Env steps of the latest evaluation that a line has shown.
        history: (training seconds, env steps) of the last lines, for speed and time left.
        shown_at: When the last line was printed, in monotonic seconds.
    """

    stop: Mapping[str, float]
    tested_at: float = math.nan
    history: deque[tuple[float, float]] = dataclasses.field(
        default_factory=lambda: deque(maxlen=10)
    )
    shown_at: float = -math.inf

    def update(self, result: Mapping[str, Any]) -> bool:
        """Take in a result; return whether it holds a new evaluation."""
        before, self.tested_at = self.tested_at, get(result, keys.TEST_ENV_STEPS)
        return not math.isnan(self.tested_at) and self.tested_at != before

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

    def format(self, label: str, result: Mapping[str, Any], width: int | None = None) -> str:
        """Write the line.

        Args:
            label: The trial's.
            result: Its result.
            width: Columns that there are; None: any number.

        Returns:
            The line. Where it is too wide, less important pieces are shortened or left out.
        """
        pieces = {"label": [label], **self._pieces(result)}
        self.history.append((get(result, "time_total_s"), get(result, STEPS)))
        give_way = iter(GIVE_WAY)
        while width and len(line := _join(pieces)) > width:
            name = next(give_way, None)
            if name is None:
                return labels.cut(line, width)
            if name == "label":
                room = len(label) - (len(line) - width)
                pieces[name] = [labels.cut(label, max(room, SHORTEST_LABEL))]
            else:
                pieces[name] = pieces[name][1:] or pieces[name]
        return _join(pieces)

    def _pieces(self, result: Mapping[str, Any]) -> dict[str, list[str]]:
        """The pieces of a line in their order: each as it should be, then shorter ones."""
        steps, total = get(result, STEPS), self.stop.get(STEPS)
        speed = self.speed(result)
        epsilon = get(result, f"env_runners/{keys.EPSILON}")
        win = get(result, keys.TEST_WIN_RATE)
        win = get(result, f"env_runners/{keys.WIN_RATE}") if math.isnan(win) else win
        return {
            "steps": [
                f"{format_number(steps, ',.0f')}{f'/{total:,.0f}' if total else ''} steps",
                f"{format_count(steps)}{f'/{format_count(total)}' if total else ''}",
            ],
            "episodes": [
                f"{format_number(get(result, 'env_runners/num_episodes_lifetime'), ',.0f')} "
                "episodes",
                "",
            ],
            "dropped": [*_dropped(result), ""],
            "return": [f"return {format_return(get(result, 'env_runners/episode_return_mean'))}"],
            "test": _test(result, steps),
            "win": ["" if math.isnan(win) else f"win {win:.2f}", ""],
            "eps": ["" if math.isnan(epsilon) else f"eps {format_number(epsilon)}", ""],
            "speed": [f"{format_number(speed, ',.0f')} steps/s", f"{format_count(speed)}/s", ""],
            "left": [f"left {format_duration(self.time_left(result, speed))}", ""],
        }


def _join(pieces: Mapping[str, list[str]]) -> str:
    return "  ".join(forms[0] for forms in pieces.values() if forms[0])


def _test(result: Mapping[str, Any], steps: float) -> list[str]:
    """The latest greedy test, with the env steps at which it was made if that was earlier."""
    text = f"test {format_return(get(result, keys.TEST_RETURN))}"
    tested = get(result, keys.TEST_ENV_STEPS)
    if math.isnan(tested) or tested >= steps:
        return [text]
    return [f"{text} (at {tested:,.0f})", f"{text} @{format_count(tested)}", text]


def _dropped(result: Mapping[str, Any]) -> list[str]:
    """What did not get into learning: episodes, and updates that were skipped."""
    dropped = get(result, f"env_runners/{keys.NUM_EPISODES_DROPPED_LIFETIME}")
    not_finite = get(result, f"env_runners/{keys.NUM_EPISODES_NOT_FINITE_LIFETIME}")
    skipped = get(result, f"learners/team/{keys.NUM_SKIPPED_UPDATES}")
    words, short = [], []
    if dropped > 0:
        of_them = f", {not_finite:,.0f} not finite" if not_finite > 0 else ""
        words.append(f"({dropped:,.0f} dropped{of_them})")
        short.append(f"({format_count(dropped)} dropped)")
    if skipped > 0:
        words.append(f"({skipped:,.0f} updates skipped)")
        short.append(f"({format_count(skipped)} skipped)")
    return ["  ".join(words), "  ".join(short)]


class ProgressCallback(Callback):
    """Prints progress lines: on time, at each new evaluation and at each trial's end.

    Args:
        numbered: Whether labels begin with the trial's number: a population's values change.
    """

    numbered = False  # of one that an older version pickled

    def __init__(self, *, numbered: bool = False) -> None:
        self.numbered = numbered
        self._trials: dict[str, TrialProgress] = {}
        self._begun: dict[str, dict[str, Any]] = {}  # trial -> its searched settings
        self._engine = ""  # the last that was named

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Unpickles, for a run that resumes: nothing has begun in this process."""
        self.__init__(numbered=state.get("numbered", False))

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Say what starts, or goes on with other settings; a turn of a population is silent."""
        values, label = labels.searched(trial), self._label(trial, trials)
        before = self._begun.get(trial.trial_id)
        self._begun[trial.trial_id] = values
        if before is None:
            settings = labels.write(values)
            of_what = "" if settings in label else f": {settings}"
            began = "resumes" if trial.checkpoint else "starts"
            if trial.checkpoint and trial.checkpoint.path == trial.restore_path:
                began = f"starts from {trial.restore_path}"
            typer.echo(f"{label}  {began}{of_what}")
        elif before != values:
            changes = (
                f"{key} {labels.write({key: before[key]})[len(key) + 1 :]} -> "
                f"{labels.write({key: value})[len(key) + 1 :]}"
                for key, value in values.items()
                if before.get(key) != value
            )
            source = self._source(trial, trials)
            typer.echo(f"{label}  goes on from {source}: {', '.join(changes)}")

    @staticmethod
    def _source(trial: Trial, trials: list[Trial]) -> str:
        """Whose weights a trial starts with."""
        folder = Path(trial.checkpoint.path).parent.name if trial.checkpoint else ""
        owners = (labels.number(t) for t in trials if t.storage.trial_dir_name == folder)
        return next(owners, "another's weights")

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict, **info: Any
    ) -> None:
        """Print a line if it is time for one, or if there is something new to see."""
        # A population has changed the trial's settings by now; the result's are those it is of.
        label = self._label(trial, trials, result.get("config"))
        label = game_name(label, result.get(keys.ENV_BACKEND))
        progress = self._trials.get(trial.trial_id)
        if progress is None:
            progress = TrialProgress(trial.stopping_criterion or {})
            self._trials[trial.trial_id] = progress
            engine = result.get(keys.ENGINE)
            if engine and engine != self._engine:  # once, where many trials have the same
                typer.echo(f"{label}  engine {engine}")
                self._engine = engine
        evaluated = progress.update(result)
        terminal = sys.stdout.isatty()
        interval = TERMINAL_INTERVAL_S if terminal else FILE_INTERVAL_S
        due = time.monotonic() - progress.shown_at >= interval
        if due or evaluated or result.get("done"):
            width = shutil.get_terminal_size().columns if terminal else None
            typer.echo(progress.format(label, result, width))
            sys.stdout.flush()
            progress.shown_at = time.monotonic()

    def _label(
        self, trial: Trial, trials: list[Trial], config: Mapping[str, Any] | None = None
    ) -> str:
        return labels.label(trial, trials, numbered=self.numbered, config=config)
