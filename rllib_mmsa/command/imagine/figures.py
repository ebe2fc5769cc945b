"""Figures of what was imagined, with matplotlib.

Shapes: K depth, N agents, D observation numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from rllib_mmsa.method.foresight import DepthErrors, Foresight
from rllib_mmsa.rllib.pictures import Painter, pairs

PANEL_INCHES = 2.2
DPI = 110
LABELS = {
    "imagined": "imagined, with imagined actions",
    "told": "imagined, told the actions taken",
    "nothing_changes": "nothing changes",
}
COLOURS = {"imagined": "#2b5fb8", "told": "#3a9d6e", "nothing_changes": "#8a8a8a"}
# Where the agents imagine the actions that they take, the first two lie on one another.
MARKERS = {"imagined": "o", "told": "s", "nothing_changes": "^"}
NOTES_MEAN = 'moves, vanishes, appears: squared error / that of "nothing changes"'
MARKS = {"disc": "o", "square": "s", "bar": "_", "line": "_"}  # of a legend
DASHES = {"imagined": "-", "told": "--", "nothing_changes": "-"}


def draw_step(
    path: Path,
    foresight: Foresight,
    step: int,
    paint: Painter,
    title: str,
    legend: Sequence[tuple[str, tuple[int, ...], str]] = (),
    notes: Sequence[str] = (),
) -> None:
    """Draw one step's foresight under what happened, a column per depth.

    Args:
        path: The .png to write.
        foresight: Of an episode of L steps.
        step: 0..L-1.
        paint: Draws observations.
        title: Stands above all.
        legend: What the shapes mean, as an environment's `picture_legend`: words, colour, shape.
        notes: A line under each depth 0..K; none where left out.
    """
    shown = pairs(foresight, step, paint)
    height, width = shown[0][1].shape[:2]
    size = (PANEL_INCHES * max(1.0, width / height), PANEL_INCHES * max(0.7, height / width))
    figure = Figure((size[0] * len(shown) + 0.8, 2 * size[1] + 1.3), layout="constrained")
    axes = figure.subplots(2, len(shown), squeeze=False)
    for k, (happened, foreseen) in enumerate(shown):
        error = ""
        if happened is not None:
            distance = foresight.imagined[step, k] - foresight.seen[step + k]
            error = f"error {np.mean(distance**2):.2g}"
            if notes and notes[k]:
                error += f"\n{notes[k]}"
        _panel(axes[0, k], happened, f"step {step + k}" if k else f"step {step}, now", "")
        _panel(axes[1, k], foreseen, f"{k} ahead" if k else "decoded", error)
    axes[0, 0].set_ylabel("happened")
    axes[1, 0].set_ylabel("foreseen")
    figure.suptitle(f"{title}\n{NOTES_MEAN}" if any(notes) else title, fontsize=10)
    marks = [
        Line2D([], [], linestyle="", marker=MARKS[shape], color=np.array(colour) / 255, label=words)
        for words, colour, shape in legend
    ]
    if marks:
        figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), fontsize=8,
                      frameon=False)  # fmt: skip
    figure.savefig(path, dpi=DPI)


def _panel(axes: Any, picture: np.ndarray | None, title: str, note: str) -> None:
    """One picture without ticks; None is the time after the episode's end."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(note, fontsize=8)
    if picture is None:
        axes.text(0.5, 0.5, "the episode\nhas ended", ha="center", va="center", fontsize=9)
    else:
        axes.imshow(picture)


def log_axis(axes: Any) -> None:
    """Makes the upright axis logarithmic, with plain numbers on it."""
    axes.set_yscale("log")
    axes.margins(y=0.12)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def draw_errors(path: Path, errors: DepthErrors, horizon: int, title: str) -> None:
    """Draw the errors by depth against "nothing changes", with 95 % intervals, and rewards beside.

    The axis is logarithmic: the model's errors may be a hundredth of those of "nothing changes".

    Args:
        path: The .png to write.
        errors: Of several episodes.
        horizon: The roll-out horizon that was trained with; marked.
        title: Stands above.
    """
    rewards = {name: score for name, score in errors.rewards.items() if np.isfinite(score).any()}
    figure = Figure((11 if rewards else 6.4, 4.2), layout="constrained")
    axes, *beside = np.atleast_1d(figure.subplots(1, 2 if rewards else 1))
    means = {name: errors.mean(name) for name in LABELS}
    positive = np.concatenate([mean[mean > 0] for mean, _ in means.values()])
    lowest = float(positive.min()) / 2 if positive.size else 0.0
    for name, (mean, half) in means.items():
        depth = np.arange(1, len(mean) + 1)
        style: dict[str, Any] = {
            "color": COLOURS[name],
            "linestyle": DASHES[name],
            "marker": MARKERS[name],
        }
        if name == "told":  # around the other's markers, where both are the same
            style |= {"markerfacecolor": "none", "markersize": 8, "zorder": 3}
        axes.plot(depth, np.maximum(mean, lowest), label=LABELS[name], **{"markersize": 4, **style})
        axes.fill_between(
            depth, np.maximum(mean - half, lowest), mean + half,
            color=COLOURS[name], alpha=0.18, linewidth=0,
        )  # fmt: skip
    if positive.size:
        log_axis(axes)
    _finish(axes, horizon, "mean squared error of observations")
    for right in beside:
        for name, score in rewards.items():
            label = {"auc": "AUC: which steps pay", "r2": "R2: how much"}[name]
            right.plot(np.arange(1, len(score) + 1), score, marker="o", markersize=4, label=label)
        right.set(ylim=(-0.03, 1.03))
        _finish(right, horizon, "rewards foretold, told the actions taken")
    figure.suptitle(title)
    figure.savefig(path, dpi=DPI)


def _finish(axes: Any, horizon: int, what: str) -> None:
    """Axes by depth: the horizon that was trained with, a grid, words."""
    axes.axvline(horizon, color="#c9c9c9", linestyle="--", linewidth=1, zorder=0)
    axes.annotate(
        f"horizon {horizon}", (horizon, 0), (3, 4), xycoords=("data", "axes fraction"),
        textcoords="offset points", fontsize=8, color="#707070",
    )  # fmt: skip
    axes.set(xlabel="steps ahead", ylabel=what)
    axes.grid(color="#e6e6e6", linewidth=0.7)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False)
