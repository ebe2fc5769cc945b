"""The figures of a report, from a study. Here: curves and profiles; charts.py has the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from rllib_mmsa.report import charts, drawing, runs, statistics
from rllib_mmsa.report.contents import band, interval, scale
from rllib_mmsa.report.drawing import Picture
from rllib_mmsa.report.groups import Group
from rllib_mmsa.report.runs import METRICS, WIN_RATE, Array
from rllib_mmsa.report.study import Study, suites
from rllib_mmsa.report.tables import digits

MAX_MARKED = 25  # points of a curve that are marked one by one
MAX_THIN = 6  # groups on a panel up to which bands and single runs are drawn
THRESHOLDS = 101
BAND_ROOM = 0.5  # of the curves' height: what bands may add to a panel above and below
# How a run that did not end as planned is marked at its end.
ENDS = {runs.CRASHED: "x", runs.UNFINISHED: "o", runs.STOPPED_EARLY: "|"}
END_WORDS = "cross: crashed, ring: unfinished, bar: stopped early"


def all_figures(study: Study) -> list[Picture]:
    """Every figure that the study has numbers for, in the order of the page."""
    pictures: list[Picture | None] = []
    with drawing.style():
        for metric in METRICS:
            for seconds in (False, True):
                pictures.append(curves(study, metric, seconds=seconds))
        pictures += [
            charts.bars(study),
            charts.iqms(study),
            charts.improvements(study),
            profiles(study),
        ]
        pictures += charts.designs(study)
    return [picture for picture in pictures if picture]


def curves(study: Study, metric: str, *, seconds: bool) -> Picture | None:
    """Learning curves of every group, one panel per task; None where nothing was measured."""
    tasks = [t for t in study.tasks if study.has(metric, t) and (not seconds or _timed(study, t))]
    if not tasks:
        return None
    figure, axes = drawing.grid_of(len(tasks))
    shown: dict[str, Line2D] = {}
    for task, panel in zip(tasks, axes, strict=True):
        mine = [g for g in study.on(task) if g.measured and (not seconds or _has_seconds(g))]
        unit = _unit(mine) if seconds else 1.0
        thin = len(mine) <= MAX_THIN
        for g in mine:
            handle = _curve(panel, study, g, metric, seconds=seconds, unit=unit, thin=thin)
            if len(tasks) > 1:  # numbers of runs may differ between the tasks
                handle.set_label(g.label)
            shown.setdefault(g.label, handle)
        _limit(panel, np.concatenate([run.metric(metric) for g in mine for run in g.measured]))
        panel.set_title(drawing.wrapped(task, drawing.TITLE_LETTERS))
        panel.set_ylabel(METRICS[metric])
        if seconds:
            panel.set_xlabel({3600.0: "hours", 60.0: "minutes"}[unit])
        else:
            drawing.step_axis(panel)
    drawing.legend(figure, list(shown.values()))
    over = "wall-clock" if seconds else "env steps"
    caption = (
        f"{METRICS[metric].capitalize()} of test episodes over {over}: {band(study)} over runs; "
        f"thin lines are single runs (bands and single runs up to {MAX_THIN} groups); dotted "
        "where fewer runs of the group have got so far. "
        f"Ends of runs that did not finish: {END_WORDS}.{interval(study, metric)}"
    )
    name = f"{'win_rate' if metric == WIN_RATE else 'return'}_{'seconds' if seconds else 'steps'}"
    alt = f"Learning curves of {METRICS[metric]} over {over}. " + _ends(study, metric, tasks)
    return drawing.finish(figure, name, caption, alt)


def _limit(panel: Axes, values: Array) -> None:
    """Keep the interval of few runs, which Student's t makes wide, from flattening the curves."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    room = BAND_ROOM * (high - low)
    if room > 0:
        bottom, top = panel.get_ylim()
        panel.set_ylim(max(bottom, low - room), min(top, high + room))


def _timed(study: Study, task: str) -> bool:
    return any(_has_seconds(g) for g in study.on(task))


def _has_seconds(g: Group) -> bool:
    """Whether every measured run of a group has a time at each evaluation."""
    return bool(g.measured) and not any(np.isnan(run.seconds).any() for run in g.measured)


def _unit(groups: list[Group]) -> float:
    """Seconds of the time axis' unit."""
    longest = max(float(run.seconds[-1]) for g in groups for run in g.measured)
    return 3600.0 if longest > 2 * 3600 else 60.0


def _ends(study: Study, metric: str, tasks: list[str]) -> str:
    """The final estimates in words, for the alternative text."""
    ends = [
        f"{g.label} on {g.task} {study.final(g, metric)}" for g in study.groups if g.task in tasks
    ]
    return "Final values: " + "; ".join(ends) + "."


def _curve(
    panel: Axes, study: Study, g: Group, metric: str, *, seconds: bool, unit: float, thin: bool
) -> Line2D:
    """Draw a group: its runs thinly, the band, the centre, and the ends of runs that broke off."""
    look = drawing.look(study.labels.index(g.label))
    colour = look["color"]
    for run in g.measured:
        x, y = (run.seconds if seconds else run.env_steps) / unit, run.metric(metric)
        if thin:
            panel.plot(x, y, color=colour, alpha=0.35, linewidth=0.7)
        if run.status in ENDS:
            face = "none" if run.status == runs.UNFINISHED else colour
            panel.plot(x[-1], y[-1], ENDS[run.status], color=colour, markersize=7,
                       markerfacecolor=face, markeredgewidth=1.6)  # fmt: skip
    c = study.curve(g, metric, seconds=seconds)
    x = c.x / unit
    if thin:
        panel.fill_between(x, c.low, c.high, color=colour, alpha=0.16, linewidth=0)
    full = c.runs == c.runs.max()
    # The dotted part starts at the last point that all runs have.
    fewer = ~full | np.append(~full[1:], False)
    every = None if x.size <= MAX_MARKED else -(-x.size // MAX_MARKED)
    lines: dict[str, Any] = {"linewidth": 2.0, "markersize": 4, "markevery": every}
    panel.plot(x, np.where(fewer, c.centre, np.nan), color=colour, linestyle=":", linewidth=1.8)
    return panel.plot(x, np.where(full, c.centre, np.nan), **look, **lines,
                      label=f"{g.label} ({len(g.measured)})")[0]  # fmt: skip


def profiles(study: Study) -> Picture:
    """Performance profiles, one panel per measure and set of tasks."""
    drawn = [(metric, suite) for metric in METRICS for suite in suites(study, metric)]
    figure, axes = drawing.grid_of(len(drawn))
    shown: dict[str, Line2D] = {}
    words = []
    for (metric, suite), panel in zip(drawn, axes, strict=True):
        every = np.concatenate([task for scores in suite.scores.values() for task in scores])
        low, high = min(0.0, float(every.min())), float(every.max())
        tau = np.linspace(low, high if high > low else low + 1, THRESHOLDS)
        for label, scores in suite.scores.items():
            look = drawing.look(study.labels.index(label))
            part, lower, upper = statistics.profile(scores, tau)
            if len(suite.scores) <= MAX_THIN:
                panel.fill_between(tau, lower, upper, color=look["color"], alpha=0.16, linewidth=0)
            line = {**look, "marker": None}
            shown.setdefault(label, panel.plot(tau, part, **line, linewidth=2, label=label)[0])
            middle = digits(float(np.median(np.concatenate(scores))))
            words.append(f"half of {label}'s runs are at or above {middle} ({METRICS[metric]})")
        title = ", ".join(suite.tasks) if len(suite.tasks) < 3 else f"{len(suite.tasks)} tasks"
        panel.set_title(drawing.wrapped(title, drawing.TITLE_LETTERS))
        panel.set(
            xlabel=f"{METRICS[metric]} \N{GREEK SMALL LETTER TAU}",
            ylabel="runs above",
            ylim=(-0.02, 1.02),
        )
    drawing.legend(figure, list(shown.values()))
    caption = (
        "Performance profiles: the part of all runs on all tasks of a panel that end above each "
        f"value, with pointwise 95 % stratified bootstrap bands {statistics.FROM} (up to "
        f"{MAX_THIN} groups). "
        f"{scale(study)}"
    )
    return drawing.finish(figure, "profiles", caption, "Falling curves: " + "; ".join(words) + ".")
