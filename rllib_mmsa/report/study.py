"""What is compared with what, at which env steps, on which scale: the numbers behind a report."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rllib_mmsa.errors import ConfigError, unknown
from rllib_mmsa.report import runs, statistics
from rllib_mmsa.report.groups import Group
from rllib_mmsa.report.runs import Array
from rllib_mmsa.report.tables import Estimate

MEAN, MEDIAN = "mean", "median"
RAW, MIN_MAX = "none", "min-max"


@dataclasses.dataclass(frozen=True)
class Options:
    """How a report is made.

    Attributes:
        statistic: `MEAN` with 95 % interval or `MEDIAN` with quartiles, in curves and final tables.
        normalise: What is done to put tasks together: `RAW` (nothing, and test returns of several
            tasks are not), `MIN_MAX` (each task's lowest and highest measured value become 0 and
            1), or "LOW,HIGH" (these do, on every task).
        at: Env steps at which runs are compared; None: what `compare_at` says.
        target_return: The return of the sample efficiency; None: the lowest final one of the task.
        pool: Options in which replicates may differ.
        title: The page's title.
    """

    statistic: str = MEAN
    normalise: str = RAW
    at: float | None = None
    target_return: float | None = None
    pool: tuple[str, ...] = ()
    title: str = "Results"


class Curve(NamedTuple):
    """A group's learning curve. Shapes: (C,) over the evaluations of its longest run."""

    x: Array
    centre: Array
    low: Array
    high: Array
    runs: Array  # how many runs that have got so far


@dataclasses.dataclass(frozen=True)
class Study:
    """Groups, the env steps at which they are compared, and the options.

    Attributes:
        groups: The groups by task, algorithm and label, on tasks where something was measured.
        steps: Task -> env steps at which its runs are compared.
        options: How the report is made.
        unmeasured: The groups on tasks where no run has an evaluation: all crashed, or young.
    """

    groups: tuple[Group, ...]
    steps: dict[str, float]
    options: Options
    unmeasured: tuple[Group, ...] = ()

    @property
    def every(self) -> tuple[Group, ...]:
        """All groups; nothing can be compared in the last ones."""
        return (*self.groups, *self.unmeasured)

    @property
    def tasks(self) -> list[str]:
        """The tasks, sorted."""
        return sorted(self.steps)

    @property
    def labels(self) -> list[str]:
        """The labels, in the order of the groups."""
        return list(dict.fromkeys(g.label for g in self.groups))

    def on(self, task: str) -> list[Group]:
        """The groups of a task."""
        return [g for g in self.groups if g.task == task]

    def has(self, metric: str, task: str | None = None) -> bool:
        """Whether a measure was taken, on one task or on any."""
        return any(
            not np.all(np.isnan(run.metric(metric)))
            for g in self.groups
            if task in (None, g.task)
            for run in g.measured
        )

    def finals(self, g: Group, metric: str) -> Array:
        """(n,) final values of a group."""
        return g.finals(metric, self.steps[g.task])

    def final(self, g: Group, metric: str) -> Estimate:
        """The final value of a group: `estimate` of its runs' `finals`."""
        at = self.steps[g.task]
        there = [run for run in g.runs if not math.isnan(run.value_at(metric, at))]
        episodes = [run.test_episodes for run in there] if metric == runs.WIN_RATE else None
        return self.estimate([run.value_at(metric, at) for run in there], episodes)

    def estimate(self, values: ArrayLike, episodes: ArrayLike | None = None) -> Estimate:
        """Mean with 95 % interval, or median with quartiles, of (n,) values.

        Win rates come with the (n,) numbers of episodes that they are parts of.
        """
        columns = np.asarray(values, np.float64)[:, None]
        if not columns.size:
            return Estimate(math.nan)
        return Estimate(*(float(part[0]) for part in self._summary(columns, episodes)))

    def _summary(
        self, values: Array, episodes: ArrayLike | None = None
    ) -> tuple[Array, Array, Array]:
        """(C,) centres, lower and upper ends of (n, C) values."""
        if self.options.statistic == MEDIAN:
            return statistics.median_quartiles(values)
        if episodes is None:
            return statistics.mean_interval(values)
        return statistics.win_interval(values, np.asarray(episodes, np.float64))

    def curve(self, g: Group, metric: str, *, seconds: bool = False) -> Curve:
        """The learning curve of a group over env steps, or over seconds.

        The points are the evaluations of its longest run; the other runs are read there on the
        straight lines between their own evaluations, and not beyond their ends. Before its first
        evaluation, a moment after the start, a run counts with that one.
        """
        axes = [run.seconds if seconds else run.env_steps for run in g.measured]
        longest = max(axes, key=lambda x: (x[-1], x.size))
        rows = [
            np.interp(longest, x, run.metric(metric), right=np.nan)
            for x, run in zip(axes, g.measured, strict=True)
        ]
        if not seconds:  # the last evaluations of equal runs are some steps apart
            for row, x, run in zip(rows, axes, g.measured, strict=True):
                near = np.isnan(row) & (np.abs(longest - x[-1]) <= run.tolerance)
                row[near] = run.metric(metric)[-1]
        values = np.stack(rows)
        count = np.sum(~np.isnan(values), axis=0).astype(np.float64)
        episodes = [run.test_episodes for run in g.measured] if metric == runs.WIN_RATE else None
        return Curve(longest, *self._summary(values, episodes), count)


def left_out(study: Study) -> list[str]:
    """Which groups were measured and have no value where the runs are compared, a sentence each."""
    return [
        f"{g.label} on {g.task}: no run has got to {study.steps[g.task]:,.0f} env steps, where "
        f"runs are compared (the furthest evaluation is at "
        f"{max(run.last_step for run in g.measured):,.0f}); it has no final value."
        for g in study.groups
        if g.measured and not study.finals(g, runs.TEST_RETURN).size
    ]


def build(groups: Sequence[Group], options: Options) -> Study:
    """Decide where the runs are compared.

    Raises:
        ConfigError: If no run has an evaluation, or an option is not what it must be.
    """
    check(options)
    tasks = sorted({g.task for g in groups if g.measured})
    if not tasks:
        states = collections.Counter(run.status for g in groups for run in g.runs)
        how = ", ".join(f"{count} {status}" for status, count in states.items())
        raise ConfigError(
            f"none of the {sum(states.values())} trials has an evaluation yet ({how}); a "
            "report needs one. The first is at the end of the first iteration, where "
            "`evaluation_interval_env_steps` or `evaluation_interval` is set."
        )
    steps = {
        task: options.at or compare_at([g for g in groups if g.task == task]) for task in tasks
    }
    measured = [(g.task, run) for g in groups for run in g.measured]
    if options.at and not any(run.reached(steps[task]) for task, run in measured):
        furthest = max(run.last_step for _, run in measured)
        raise ConfigError(
            f"--at is {options.at:,.0f}, but no run has got so far; the furthest evaluation is at "
            f"{furthest:,.0f} env steps. Name no more than that."
        )
    there = tuple(g for g in groups if g.task in steps)
    return Study(there, steps, options, tuple(g for g in groups if g.task not in steps))


def check(options: Options) -> None:
    """Refuse options that mean nothing: a ConfigError at the first."""
    if options.statistic not in (MEAN, MEDIAN):
        raise unknown("statistic", options.statistic, (MEAN, MEDIAN), "--statistic")
    bounds(options)


def compare_at(groups: Sequence[Group]) -> float:
    """The env steps at which the runs of a task are compared.

    The most that at least half of the measured runs of every group have reached, so that one
    crashed run does not pull the comparison down and a group that is still young does. Runs that
    have not got there are left out of final values, and counted.
    """
    reached = []
    for g in groups:
        lasts = sorted((run.last_step for run in g.measured), reverse=True)
        if lasts:
            reached.append(lasts[(len(lasts) - 1) // 2])
    step = min(reached)
    there = [run for g in groups for run in g.measured if run.last_step >= step]
    tolerance = max(run.tolerance for run in there)
    planned = [run.planned_steps for g in groups for run in g.runs if run.planned_steps > 0]
    near = [p for p in planned if abs(p - step) <= tolerance]
    # A round number, as long as every run that got as far as `step` got there too.
    round_numbers = (*near[:1], float(f"{step:.3g}"))
    return next((p for p in round_numbers if all(run.reached(p) for run in there)), step)


def bounds(options: Options) -> tuple[float, float] | None:
    """The bounds that "LOW,HIGH" in `Options.normalise` names; None for the other two words."""
    if options.normalise in (RAW, MIN_MAX):
        return None
    try:
        low, high = (float(part) for part in options.normalise.split(","))
        if low < high:
            return low, high
    except ValueError:
        pass
    raise ConfigError(
        f"--normalise is '{options.normalise}', but must be '{RAW}', '{MIN_MAX}' or two numbers "
        "LOW,HIGH with LOW below HIGH, such as 0,1."
    )


def task_bounds(study: Study, task: str, metric: str) -> tuple[float, float]:
    """What becomes 0 and 1 on a task."""
    fixed = bounds(study.options)
    if study.options.normalise == RAW or metric == runs.WIN_RATE:
        return 0.0, 1.0  # a win rate is on one scale as it is
    if fixed:
        return fixed
    values = np.concatenate([r.metric(metric) for g in study.on(task) for r in g.measured])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return (low, high) if high > low else (low, low + 1.0)


class Suite(NamedTuple):
    """Labels that have runs on the same tasks, and their scores.

    Attributes:
        tasks: The tasks that are put together.
        scores: Label -> per task (n,) final values, normalised as the options say.
    """

    tasks: tuple[str, ...]
    scores: dict[str, list[Array]]


def suites(study: Study, metric: str) -> list[Suite]:
    """Every set of tasks that some label covers, with all labels that cover it, largest first.

    Only what was measured on the same tasks is put side by side. Raw returns of several tasks
    have no common scale: there, each task is a set of its own.
    """
    scores: dict[str, dict[str, Array]] = {}
    for g in study.groups:
        low, high = task_bounds(study, g.task, metric)
        values = (study.finals(g, metric) - low) / (high - low)
        if values.size:
            scores.setdefault(g.label, {})[g.task] = values
    sets = {tuple(sorted(by_task)) for by_task in scores.values()}
    if study.options.normalise == RAW and metric == runs.TEST_RETURN:
        sets = {(task,) for tasks in sets for task in tasks}
    return [
        Suite(
            tasks,
            {
                label: [by_task[task] for task in tasks]
                for label, by_task in scores.items()
                if set(tasks) <= set(by_task)
            },
        )
        for tasks in sorted(sets, key=lambda tasks: (-len(tasks), tasks))
    ]
