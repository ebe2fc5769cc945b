"""The tables of a report, from a study."""

from __future__ import annotations

import math

import numpy as np

from rllib_mmsa.report import groups as grouping
from rllib_mmsa.report import runs, statistics
from rllib_mmsa.report.designs import panels
from rllib_mmsa.report.groups import Group
from rllib_mmsa.report.runs import METRICS, TEST_RETURN, WIN_RATE
from rllib_mmsa.report.study import MEAN, MIN_MAX, RAW, Study, suites
from rllib_mmsa.report.tables import Cell, Estimate, Table

#: What brackets hold where runs were resampled.
BOOTSTRAP = f"[95 % stratified bootstrap interval, {statistics.FROM}]"
MAX_PAIRED = 6  # labels that are compared each with each; of more, each with the best


def centre(study: Study) -> str:
    """What an estimate and its brackets are."""
    mean = study.options.statistic == MEAN
    return "mean [95 % interval]" if mean else "median [quartiles]"


def interval(study: Study, metric: str = TEST_RETURN) -> str:
    """How an interval over runs is made, in a sentence; "" for quartiles."""
    if study.options.statistic != MEAN:
        return ""
    if metric == WIN_RATE:
        return " Intervals are Wilson's, from 2 runs on."
    return f" Intervals are by Student's t, from {statistics.MIN_RUNS} runs on."


def band(study: Study) -> str:
    """The same for the bands of curves and the whiskers of bars."""
    mean = study.options.statistic == MEAN
    return "mean and 95 % interval" if mean else "median and quartiles"


def scale(study: Study) -> str:
    """How scores of several tasks were put on one scale, in a sentence."""
    return {
        RAW: "Returns are raw, those of several tasks not put together: that needs --normalise.",
        MIN_MAX: "Test returns are min-max normalised: 0 and 1 are the lowest and the highest "
        "evaluation of any run on the task.",
    }.get(
        study.options.normalise,
        f"Test returns are normalised: 0 and 1 are the returns {study.options.normalise}.",
    )


def all_tables(study: Study) -> list[Table]:
    """Every table that the study has numbers for, in the order of the page."""
    tables = [final(study), progress(study), aggregates(study), improvements(study)]
    tables += [absolute(study), efficiency(study), designs(study)]
    tables += [differences(study), trials(study)]
    return [table for table in tables if table.rows]


def final(study: Study) -> Table:
    """Final values by task and group."""
    rows: list[tuple[Cell, ...]] = []
    wins = study.has(WIN_RATE)
    for g in study.groups:
        step = study.steps[g.task]
        values = study.finals(g, TEST_RETURN)
        row: list[Cell] = [g.task, g.label, f"{values.size} of {len(g.runs)}", round(step)]
        row += [
            study.final(g, TEST_RETURN),
            Estimate(statistics.iqm([values]), *statistics.iqm_interval([values])),
            study.estimate(g.areas(TEST_RETURN, step)),
        ]
        row += [study.final(g, WIN_RATE)] if wins else []
        rows.append((*row, _hours(g, step)))
    header = ["task", "group", "runs", "env steps", "test return", "IQM", "mean over training"]
    header += ["test win rate"] if wins else []
    few = " Those of two would mostly lie where no return can be." if interval(study) else ""
    few += " Win rates have Wilson's, from 2 runs on." if wins and few else ""
    note = (
        f"Greedy test return at the stated env steps: {centre(study)} over runs; IQM: "
        f"interquartile mean {BOOTSTRAP}; mean over training: area under "
        "the curve by the steps it spans. Runs: those that got that far, of all. Hours: mean "
        f"wall-clock until then.{interval(study)}{few}"
    )
    return Table("final", "Final test return", note, (*header, "hours"), tuple(rows))


def _hours(g: Group, step: float) -> float:
    """Mean hours until the evaluation at an env step; NaN where no run has a time."""
    there = [run for run in g.runs if run.reached(step)]
    times = [float(run.seconds[np.argmin(np.abs(run.env_steps - step))]) for run in there]
    times = [time for time in times if not math.isnan(time)]
    return sum(times) / len(times) / 3600 if times else math.nan


def progress(study: Study) -> Table:
    """Test return of every run at the quarters of the compared env steps."""
    quarters = (0.25, 0.5, 0.75, 1.0)
    rows: list[tuple[Cell, ...]] = []
    for g in study.groups:
        at = [part * study.steps[g.task] for part in quarters]
        for run in g.measured:
            seen = (run.value_at(TEST_RETURN, step) for step in at)
            rows.append((g.task, g.label, run.seed or "none", *seen))
        means = (study.estimate(g.finals(TEST_RETURN, step)).value for step in at)
        rows.append((g.task, g.label, study.options.statistic, *means))
    steps = ", ".join(f"{study.steps[task]:,.0f} on {task}" for task in study.tasks)
    note = f"The evaluation nearest to each part of the env steps compared: {steps}."
    header = ("task", "group", "seed", *(f"{100 * part:.0f} %" for part in quarters))
    return Table("progress", "Test return during training, by seed", note, header, tuple(rows))


def aggregates(study: Study) -> Table:
    """Interquartile means over tasks."""
    rows: list[tuple[Cell, ...]] = []
    for metric in METRICS:
        for suite in suites(study, metric):
            for label, scores in suite.scores.items():
                estimate = Estimate(statistics.iqm(scores), *statistics.iqm_interval(scores))
                count = sum(task.size for task in scores)
                rows.append((METRICS[metric], ", ".join(suite.tasks), label, count, estimate))
    note = (
        "Mean of the middle half of all runs on all the named tasks (of three runs or fewer the "
        f"mean), at the env steps of the final table {BOOTSTRAP} (10,000 resamples; Agarwal et "
        f"al., 2021). {scale(study)}"
    )
    header = ("measure", "tasks", "group", "runs", "IQM")
    return Table("iqm", "Interquartile mean", note, header, tuple(rows))


def pairs(scores: dict[str, list[runs.Array]]) -> list[tuple[str, str]]:
    """Which labels are compared: each with each, or with the best where there are many."""
    ranked = sorted(scores, key=lambda label: -statistics.iqm(scores[label]))
    if len(ranked) > MAX_PAIRED:
        return [(ranked[0], other) for other in ranked[1:]]
    return [(a, b) for i, a in enumerate(ranked) for b in ranked[i + 1 :]]


def improvements(study: Study) -> Table:
    """Probabilities of improvement between two groups."""
    rows: list[tuple[Cell, ...]] = []
    for metric in METRICS:
        for suite in suites(study, metric):
            for x, y in pairs(suite.scores):
                a, b = suite.scores[x], suite.scores[y]
                chance = statistics.improvement(a, b)
                estimate = Estimate(chance, *statistics.improvement_interval(a, b))
                rows.append((METRICS[metric], ", ".join(suite.tasks), x, y, estimate))
    note = (
        "How often a run of X ends above a run of Y on the same task, ties counting half, mean "
        f"over the tasks (Mann-Whitney U; Agarwal et al., 2021) {BOOTSTRAP}. A probability without "
        "an interval, and an interval that holds 0.5, decide nothing."
    )
    header = ("measure", "tasks", "X", "Y", "P(X > Y)")
    return Table("improvement", "Probability of improvement", note, header, tuple(rows))


def absolute(study: Study) -> Table:
    """The absolute metric, where it has been measured."""
    rows: list[tuple[Cell, ...]] = []
    for g in study.groups:
        measured = [run.absolute for run in g.runs if run.absolute.episodes]
        if measured:
            episodes = sorted({one.episodes for one in measured})
            actions = sorted({one.actions for one in measured})
            won = [one for one in measured if not math.isnan(one.win_rate)]
            rows.append(
                (g.task, g.label, f"{len(measured)} of {len(g.runs)}",
                 ", ".join(map(str, episodes)), ", ".join(actions),
                 study.estimate([one.test_return for one in measured]),
                 study.estimate([one.win_rate for one in won], [one.episodes for one in won]))
            )  # fmt: skip
    note = (
        "The best checkpoint of each run, played once more for the stated episodes "
        f"(`rllib evaluate --absolute`; Gorsane et al., 2022): {centre(study)} over runs."
    )
    header = ("task", "group", "runs", "episodes", "actions", "return", "win rate")
    return Table("absolute", "Absolute metric", note, header, tuple(rows))


def efficiency(study: Study) -> Table:
    """Env steps that groups take to a return, and the ratio to the slowest reference."""
    rows: list[tuple[Cell, ...]] = []
    for task in study.tasks:
        mine = [g for g in study.on(task) if study.finals(g, TEST_RETURN).size]
        ends = {g.label: study.final(g, TEST_RETURN).value for g in mine}
        if len(mine) < 2:
            continue
        reference = min(ends, key=lambda label: ends[label])
        level = study.options.target_return
        level = ends[reference] if level is None else level
        taken = {}
        for g in mine:
            curve = study.curve(g, TEST_RETURN)
            taken[g.label] = statistics.steps_to_reach(curve.x, curve.centre, level)
        for label, steps in taken.items():
            defined = math.isfinite(taken[reference]) and math.isfinite(steps) and steps > 0
            ratio = f"{taken[reference] / steps:.1f}" if defined else "-"
            rows.append((task, label, level, steps, ratio, reference))
    note = (
        "Env steps until the curve of a group first reaches the return, and how many times fewer "
        "that is than the reference takes. Without --target-return the return is the lowest final "
        "one of the task, and the reference the group that ends there: chosen from these runs, it "
        "favours the others, so that of two equal groups one seems 1.1 times as fast on average."
    )
    header = ("task", "group", "return", "env steps", "ratio", "reference")
    return Table("efficiency", "Sample efficiency", note, header, tuple(rows))


def designs(study: Study) -> Table:
    """Final value and mean over training for each value of a varied setting."""
    rows: list[tuple[Cell, ...]] = []
    for panel in panels(study):
        step = study.steps[panel.task]
        for value, g in panel.groups.items():
            end, area = study.finals(g, TEST_RETURN), g.areas(TEST_RETURN, step)
            rows.append(
                (panel.task, panel.algorithm, panel.key, value, panel.fixed or "-", end.size,
                 study.estimate(end), study.estimate(area))
            )  # fmt: skip
    note = f"One setting varied, all others equal: {centre(study)} over runs."
    measured = ("runs", "test return", "mean over training")
    header = ("task", "algorithm", "setting", "value", "at", *measured)
    return Table("designs", "Design studies", note, header, tuple(rows))


def differences(study: Study) -> Table:
    """How the groups differ in settings, game and version."""
    rows: list[tuple[Cell, ...]] = [
        (key, value, "; ".join(owners))
        for key, values in grouping.differences(study.groups).items()
        for value, owners in values.items()
    ]
    hidden = grouping.unrecorded(study.groups)
    note = "Every setting, game (env_backend) and version that is not the same in all groups."
    if hidden:
        note += f" Recorded for some groups of an algorithm only: {', '.join(hidden)}."
    if study.options.pool:
        note += f" Averaged over, as asked for: {', '.join(study.options.pool)}."
    return Table(
        "differences", "How the groups differ", note, ("setting", "value", "groups"), tuple(rows)
    )


def trials(study: Study) -> Table:
    """Every run, those that failed included."""
    rows: list[tuple[Cell, ...]] = []
    for g in study.every:
        for run in g.runs:
            value = run.value_at(TEST_RETURN, study.steps.get(g.task, math.inf))
            last = float(run.test_return[-1]) if run.env_steps.size else math.nan
            rows.append(
                (g.task, g.label, run.seed or "none", run.status, round(run.last_step),
                 int(run.env_steps.size), value, last, run.trial)
            )  # fmt: skip
    steps = ("env steps", "evaluations", "compared", "last")
    note = (
        "Compared: the value that the tables above use, '-' where the run had not got so far. "
        "Last: its newest evaluation."
    )
    return Table(
        "runs", "All runs", note, ("task", "group", "seed", "status", *steps, "trial"), tuple(rows)
    )
