"""The figures of final values: bars, intervals, design studies."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from rllib_mmsa.report import drawing, statistics
from rllib_mmsa.report.contents import band, interval, pairs, scale
from rllib_mmsa.report.designs import Panel, panels
from rllib_mmsa.report.drawing import COLOURS, INK, Picture
from rllib_mmsa.report.runs import METRICS, TEST_RETURN
from rllib_mmsa.report.study import Study, suites
from rllib_mmsa.report.tables import Estimate

TITLE_WIDTH = 52  # letters of a panel's title on one line
VALUE_LETTERS = 14  # of a setting's value on one line
MAX_ROWS = 5  # rows of design studies in a picture: more would be too small in print


def bars(study: Study) -> Picture:
    """Final value and mean over training of every group, one row per task."""
    groups = {task: study.on(task) for task in study.tasks}
    lines = [[drawing.wrapped(g.label) for g in mine] for mine in groups.values() for _ in (0, 1)]
    figure, axes = drawing.rows_of(lines)
    words = []
    for i, (task, mine) in enumerate(groups.items()):
        step = study.steps[task]
        finals = [study.final(g, TEST_RETURN) for g in mine]
        areas = [study.estimate(g.areas(TEST_RETURN, step)) for g in mine]
        labels = [g.label for g in mine]
        colours = [drawing.look(study.labels.index(label))["color"] for label in labels]
        at = drawing.short(step)
        _horizontal(axes[2 * i], labels, finals, colours, f"{task}: test return at {at}")
        _horizontal(axes[2 * i + 1], labels, areas, colours, f"{task}: mean until {at}",
                    "takes two evaluations")  # fmt: skip
        words += [f"{label} on {task} {end}" for label, end in zip(labels, finals, strict=True)]
    caption = (
        f"Test return at the env steps compared, and its mean over training until then (area under "
        f"the curve by the steps it spans): {band(study)} over runs.{interval(study)}"
    )
    return drawing.finish(figure, "bars", caption, "Bar chart. " + "; ".join(words) + ".")


def _horizontal(
    panel: Axes,
    labels: list[str],
    values: list[Estimate],
    colours: list[str],
    title: str,
    missing: str = "not reached",
) -> None:
    """Horizontal bars with their numbers written beside them, or why there is none."""
    y = range(len(labels) - 1, -1, -1)
    centre = np.array([v.value for v in values])
    panel.barh(y, np.nan_to_num(centre), color=colours, height=0.66, alpha=0.65)
    ends = _whiskers(panel, values, y, horizontal=True)
    right = max([0.0, *(e for e in ends if np.isfinite(e))])
    left = min([0.0, *(v.low for v in values if np.isfinite(v.low)), *np.nan_to_num(centre)])
    for position, value, end in zip(y, values, ends, strict=True):
        text = missing if np.isnan(value.value) else str(value)
        gap = 0.015 * (right - left if right > left else 1)
        panel.text((0 if np.isnan(end) else max(end, 0)) + gap, position, text,
                   va="center", fontsize=8)  # fmt: skip
    panel.set_xlim(left * 1.02, right + 0.42 * (right - left) if right > left else 1)
    panel.set_yticks(y, [drawing.wrapped(label) for label in labels])
    panel.grid(visible=False, axis="y")
    panel.set_title(title, loc="left")


def _whiskers(
    panel: Axes, values: list[Estimate], at: Sequence[int], *, horizontal: bool
) -> list[float]:
    """Draw the intervals; return where each bar with its interval ends."""
    ends = []
    for position, value in zip(at, values, strict=True):
        if np.isfinite(value.low):
            span = ([value.low, value.high], [position, position])
            panel.plot(*(span if horizontal else span[::-1]), color=INK, linewidth=1.2)
        ends.append(value.high if np.isfinite(value.high) else value.value)
    return ends


def iqms(study: Study) -> Picture:
    """Interquartile means with their intervals, one panel per measure and set of tasks."""
    drawn = [(metric, suite) for metric in METRICS for suite in suites(study, metric)]
    figure, axes = drawing.rows_of(
        [[drawing.wrapped(x) for x in suite.scores] for _, suite in drawn]
    )
    words = []
    for (metric, suite), panel in zip(drawn, axes, strict=True):
        estimates = {
            label: Estimate(statistics.iqm(scores), *statistics.iqm_interval(scores))
            for label, scores in suite.scores.items()
        }
        _forest(panel, estimates, [study.labels.index(label) for label in estimates])
        panel.set_title(f"{METRICS[metric]}: {', '.join(suite.tasks)}", loc="left", wrap=True)
        words += [f"{METRICS[metric]} of {label} {value}" for label, value in estimates.items()]
    caption = (
        "Interquartile mean over runs and tasks with 95 % stratified bootstrap intervals "
        f"{statistics.FROM}. {scale(study)}"
    )
    return drawing.finish(figure, "iqm", caption, "Interval plot. " + "; ".join(words) + ".")


def _forest(panel: Axes, estimates: dict[str, Estimate], owners: Sequence[int]) -> None:
    """Points with intervals, one line each, the first on top, in the colours of their owners."""
    y = range(len(estimates) - 1, -1, -1)
    for position, value, owner in zip(y, estimates.values(), owners, strict=True):
        colour = drawing.look(owner)["color"]
        if np.isfinite(value.low):
            panel.plot([value.low, value.high], [position] * 2, color=colour, linewidth=6,
                       alpha=0.4, solid_capstyle="butt")  # fmt: skip
        panel.plot(value.value, position, "|", color=INK, markersize=12, markeredgewidth=2)
        panel.text(1.01, position, str(value), va="center", fontsize=8,
                   transform=panel.get_yaxis_transform())  # fmt: skip
    panel.set_yticks(y, [drawing.wrapped(label) for label in estimates])
    panel.set_ylim(-0.6, len(estimates) - 0.4)
    panel.grid(visible=False, axis="y")


def improvements(study: Study) -> Picture | None:
    """Probabilities of improvement with their intervals; None where there is one group alone."""
    drawn = [
        (metric, suite)
        for metric in METRICS
        for suite in suites(study, metric)
        if len(suite.scores) > 1
    ]
    if not drawn:
        return None
    named = [[drawing.wrapped(f"{x} > {y}") for x, y in pairs(s.scores)] for _, s in drawn]
    figure, axes = drawing.rows_of(named)
    words = []
    for (metric, suite), panel in zip(drawn, axes, strict=True):
        estimates, owners = {}, []
        for x, y in pairs(suite.scores):
            owners.append(study.labels.index(x))
            a, b = suite.scores[x], suite.scores[y]
            ends = statistics.improvement_interval(a, b)
            estimates[f"{x} > {y}"] = Estimate(statistics.improvement(a, b), *ends)
        _forest(panel, estimates, owners)
        panel.axvline(0.5, color=INK, linewidth=0.8, linestyle="--")
        panel.set_xlim(-0.02, 1.02)
        panel.set_title(f"{METRICS[metric]}: {', '.join(suite.tasks)}", loc="left", wrap=True)
        words += [f"{METRICS[metric]}, {pair}: {value}" for pair, value in estimates.items()]
    caption = (
        "Probability that a run of the first group ends above one of the second on the same task, "
        f"with 95 % stratified bootstrap intervals {statistics.FROM}. A probability without one, "
        "and an interval across the dashed 0.5, decide nothing."
    )
    return drawing.finish(
        figure, "improvement", caption, "Interval plot. " + "; ".join(words) + "."
    )


def designs(study: Study) -> list[Picture]:
    """Bar charts of every varied setting, as many pictures as fit on a page each."""
    sheets: list[list[Panel]] = []
    for _, same in itertools.groupby(panels(study), key=lambda panel: (panel.task, panel.key)):
        mine = list(same)
        if not sheets or len(sheets[-1]) + len(mine) > MAX_ROWS:
            sheets.append([])
        sheets[-1] += mine
    return [
        _designs(study, sheet, "designs" if i == 1 else f"designs_{i}")
        for i, sheet in enumerate(sheets, start=1)
    ]


def _designs(study: Study, sheet: Sequence[Panel], name: str) -> Picture:
    """A row for each panel: the final values, and the means over training."""
    figure, axes = drawing.grid_of(2 * len(sheet), height=2.9, columns=2)
    words = []
    for i, design in enumerate(sheet):
        step = study.steps[design.task]
        groups = design.groups.items()
        finals = {v: study.final(g, TEST_RETURN) for v, g in groups}
        areas = {v: study.estimate(g.areas(TEST_RETURN, step)) for v, g in groups}
        _vertical(axes[2 * i], design, finals, COLOURS[0], f"test return at {drawing.short(step)}")
        _vertical(axes[2 * i + 1], design, areas, COLOURS[1], "mean over training")
        words += [f"{design.key} {value}: {end}" for value, end in finals.items()]
    caption = (
        "Design studies: one setting varied, all others equal. Test return at the env steps "
        f"compared, and its mean over training: {band(study)} over runs, the interval in brackets."
    )
    return drawing.finish(figure, name, caption, "Bar charts. " + "; ".join(words) + ".")


def _vertical(
    panel: Axes, design: Panel, values: dict[str, Estimate], colour: str, what: str
) -> None:
    """Bars with the value above each, and its interval in brackets."""
    x = range(len(values))
    estimates = list(values.values())
    heights = np.nan_to_num(np.array([v.value for v in estimates]))
    panel.bar(x, heights, color=colour, width=0.66, alpha=0.65)
    ends = _whiskers(panel, estimates, x, horizontal=False)
    top = max([0.0, *(e for e in ends if np.isfinite(e))])
    for position, value, end in zip(x, estimates, ends, strict=True):
        text = str(value).replace(" [", "\n[") if np.isfinite(value.value) else "not\nreached"
        panel.text(position, max(0.0, np.nan_to_num(end)) + 0.02 * top, text, ha="center",
                   va="bottom", fontsize=6.5)  # fmt: skip
    panel.set_ylim(bottom=min(0.0, float(heights.min())) * 1.05, top=top * 1.25 if top else None)
    panel.set_xticks(x, [drawing.wrapped(value, VALUE_LETTERS) for value in values])
    panel.grid(visible=False, axis="x")
    panel.set_xlabel(design.key)
    panel.set_ylabel(what)
    title = [
        drawing.wrapped(f"{design.algorithm} on {design.task}", TITLE_WIDTH),
        *textwrap.wrap(design.fixed, TITLE_WIDTH),
    ]
    panel.set_title("\n".join(title), fontsize=8)
