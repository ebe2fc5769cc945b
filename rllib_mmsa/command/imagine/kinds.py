"""What `rllib imagine` says of each kind of change: a table, a file, a figure, a word per picture.

The measures are those of `rllib_mmsa.method.kinds`.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rllib_mmsa.command.imagine.figures import DPI, log_axis
from rllib_mmsa.method.foresight import DepthErrors, Foresight, tally_numpy
from rllib_mmsa.method.kinds import ERRORS, MEASURES, Places, measures

FORECASTS = ("told", "imagined")
ALL = "all"
Row = dict[str, Any]

COLOURS = {
    "moves": "#2b5fb8",
    "vanishes": "#c8553d",
    "appears": "#8a5bb0",
    "stays": "#8a8a8a",
    "direction_right": "#2b5fb8",
    "vanished_foreseen": "#c8553d",
    "vanished_falsely": "#e8a598",
    "appeared_foreseen": "#8a5bb0",
    "appeared_falsely": "#c9b1dc",
}


def kind_rows(errors: DepthErrors) -> list[Row]:
    """A row for each forecast, entity and depth: the measures and half their 95 % intervals.

    Args:
        errors: Of several episodes.

    Returns:
        Rows with "forecast", "entity" ("all", then each kind of entity where there are several),
        "depth", and for each measure its value and `<measure>_half_interval`; None where nothing of
        that kind happened, of the interval also with one episode.
    """
    kinds = list(dict.fromkeys(errors.entities))
    rows = []
    for forecast in FORECASTS:
        for entity in [ALL, *(kinds if len(kinds) > 1 else ())]:
            only = None if entity == ALL else entity
            found = {m: errors.kind(forecast, m, only) for m in MEASURES}
            for k in range(errors.steps.shape[1]):
                row: Row = {"forecast": forecast, "entity": entity, "depth": k + 1}
                for name, (mean, half) in found.items():
                    row[name] = _number(mean[k])
                    row[f"{name}_half_interval"] = _number(half[k])
                rows.append(row)
    return rows


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def kind_lines(rows: Sequence[Row]) -> list[str]:
    """The lines that the command prints: all entities, told the actions."""
    shown = [row for row in rows if row["forecast"] == "told" and row["entity"] == ALL]
    shown = [row for row in shown if any(row[name] is not None for name in MEASURES)]
    names = [name for name in MEASURES if any(row[name] is not None for row in shown)]
    heads = [name.replace("_", " ") for name in names]
    lines = [
        'by kind of change, told the actions (first four: error / error of "nothing changes"):',
        "   ".join(["  steps ahead", *heads]),
    ]
    for row in shown:
        values = ["-" if row[name] is None else f"{row[name]:.3g}" for name in names]
        cells = [value.rjust(len(head)) for value, head in zip(values, heads, strict=True)]
        lines.append("   ".join([f"{row['depth']:>13}", *cells]))
    return lines


def write_kinds(path: Path, rows: Sequence[Row]) -> None:
    """Write kinds.csv."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def step_notes(foresight: Foresight, step: int, places: Places, usual: Any) -> list[str]:
    """What became of the things from a step to each depth, and how far it was foreseen.

    Args:
        foresight: Of an episode of L steps.
        step: 0..L-1.
        places: How observations are laid out.
        usual: See `kinds.tally`.

    Returns:
        For depth 0..K such as "moves 0.12, vanishes 0.4", error over that of "nothing changes";
        "" for depth 0, after the episode's end, and where nothing moved, vanished or appeared.
    """
    notes = [""]
    for k in range(1, foresight.imagined.shape[1]):
        if step + k >= len(foresight.seen):
            notes.append("")
            continue
        three = foresight.seen[step], foresight.seen[step + k], foresight.imagined[step, k]
        found = measures(_tally(places, three, usual))
        changed = [f"{name} {found[name]:.2g}" for name in ERRORS[:3] if name in found]
        notes.append(", ".join(changed))
    return notes


def _tally(places: Places, three: Sequence[np.ndarray], usual: Any) -> Any:
    import torch

    before, after, foreseen = (each[None] for each in three)
    return torch.from_numpy(tally_numpy(places, before, after, foreseen, usual))


def draw_kinds(path: Path, rows: Sequence[Row], horizon: int, title: str) -> None:
    """Draw the measures by depth: errors on the left, shares on the right, told the actions.

    Args:
        path: The .png to write.
        rows: What `kind_rows` returned; those of all entities are drawn.
        horizon: The roll-out horizon that was trained with; marked.
        title: Stands above.
    """
    shown = [row for row in rows if row["forecast"] == "told" and row["entity"] == ALL]
    figure = Figure((11, 4.2), layout="constrained")
    errors, shares = figure.subplots(1, 2)
    _curves(errors, shown, ERRORS)
    errors.axhline(1, color="#505050", linewidth=1, linestyle=":", zorder=0)
    errors.set(ylabel='squared error / that of "nothing changes"')
    if errors.lines[1:]:
        log_axis(errors)
    _curves(shares, shown, MEASURES[len(ERRORS) :])
    shares.set(ylabel="share", ylim=(-0.03, 1.03))
    for axes in (errors, shares):
        axes.axvline(horizon, color="#c9c9c9", linestyle="--", linewidth=1, zorder=0)
        axes.set(xlabel="steps ahead")
        axes.grid(color="#e6e6e6", linewidth=0.7)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=8)
    figure.suptitle(title)
    figure.savefig(path, dpi=DPI)


def _curves(axes: Any, rows: Sequence[Row], names: Sequence[str]) -> None:
    """A curve with its interval for each measure of which something happened."""
    for name in names:
        there = [row for row in rows if row[name] is not None]
        if not there:
            continue
        depth = [row["depth"] for row in there]
        mean = np.array([row[name] for row in there])
        half = np.array([row[f"{name}_half_interval"] or 0.0 for row in there])
        low = np.maximum(mean - half, 0 if name not in ERRORS else mean / 10)
        falsely = name.endswith("falsely")
        style: dict[str, Any] = {"color": COLOURS[name], "linestyle": "--" if falsely else "-"}
        axes.plot(depth, mean, marker="o", markersize=4, label=name.replace("_", " "), **style)
        axes.fill_between(depth, low, mean + half, color=COLOURS[name], alpha=0.15, linewidth=0)
