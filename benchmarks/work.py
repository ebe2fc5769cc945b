"""Replay's memory and the growth of cost: asks the processes and makes the tables."""

from __future__ import annotations

from typing import Any

from benchmarks.plan import Plan
from benchmarks.sizes import AXES, BASE, EPISODES_PER_UPDATE, SHAPES
from benchmarks.statistics import exponent, summary, words
from benchmarks.tables import Table
from benchmarks.worker import start

QUICK_SHARE = 0.004  # of the episodes stored
TOLERANCE = 0.15  # of an exponent beyond what is expected


def measure_replay(plan: Plan) -> list[dict[str, Any]]:
    """One entry for each shape of episodes, from a process that holds nothing else."""
    found = []
    for number, shape in enumerate(SHAPES):
        plan.say(f"replay: {shape.title}")
        worker = start("replay", plan.quick, kind="replay", threads=plan.threads)
        try:
            share = QUICK_SHARE if plan.quick else 1.0
            found.append(worker.ask("measure", shape=number, share=share))
        finally:
            worker.stop()
    return found


def replay_table(results: list[dict[str, Any]]) -> Table:
    """Bytes per stored step, and the megabytes of all."""
    columns = ["episodes", "raw bytes/step", "held bytes/step", "held / raw"]
    shown = Table(
        "Replay: memory of stored episodes",
        ["", *columns, "MB held", "MB the process grew", "MB of the process at most"],
        note="Raw: float32 observations, states (one more than steps) and rewards, one byte per "
        "mask entry and action. Held: all that Python and NumPy allocated for it, objects too.",
    )
    for found in results:
        grown = found["resident_growth_mb"]
        shown.rows.append(
            [
                found["title"],
                f"{found['episodes']} x {found['steps']}",
                f"{found['raw_bytes_per_step']:,.0f}",
                f"{found['held_bytes_per_step']:,.0f}",
                f"{found['held_to_raw']:.3f}",
                f"{found['held_mb']:,.1f}",
                "-" if grown is None else f"{grown:,.1f}",
                f"{found['process_peak_mb']:,.0f}",
            ]
        )
    return shown


def _points(quick: bool) -> list[tuple[Any, str, int, dict[str, int]]]:
    """(axis, algorithm, value, all sizes) for each measurement."""
    return [
        (axis, algorithm, value, {**BASE, axis.name: value})
        for axis in AXES
        for algorithm in axis.algorithms
        for value in (axis.values[:2] if quick else axis.values)
    ]


def measure_growth(plan: Plan) -> list[dict[str, Any]]:
    """One entry for each axis and algorithm: time and bytes at each value, with exponents."""
    worker = start("growth", plan.quick, kind="growth", threads=plan.threads)
    points = _points(plan.quick)
    sizes: list[float] = []
    times: list[list[float]] = [[] for _ in points]
    try:
        for axis, algorithm, value, point in points:
            plan.say(f"growth: {algorithm}, {value} {axis.title}")
            answer = worker.ask("build", algorithm=algorithm, point=point)
            sizes.append(answer["bytes_per_episode"])
        for number in range(plan.rounds):
            plan.say(f"growth: round {number + 1} of {plan.rounds}")
            for taken, (_, algorithm, _, point) in zip(times, points, strict=True):
                taken.append(worker.ask("update", algorithm=algorithm, point=point)["ms"])
    finally:
        worker.stop()
    return _by_axis(points, times, sizes)


def _by_axis(points: Any, times: list[list[float]], sizes: list[float]) -> list[dict[str, Any]]:
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for (axis, algorithm, value, _), taken, size in zip(points, times, sizes, strict=True):
        empty = {"axis": axis.title, "algorithm": algorithm, "values": [], "ms": [], "bytes": []}
        row = rows.setdefault((axis.name, algorithm), empty)
        row["expected_ms"], row["expected_bytes"] = list(axis.time_order), list(axis.bytes_order)
        row["values"].append(value)
        row["ms"].append(summary(taken, "ms"))
        row["bytes"].append(size)
    for row in rows.values():
        medians = [each["median"] for each in row["ms"]]
        row["exponent_ms"] = exponent(row["values"], medians)
        row["exponent_bytes"] = exponent(row["values"], row["bytes"])
    return list(rows.values())


def growth_words(measured: float, expected: list[float]) -> str:
    """ "n^1.2, expected n^1..2", and a mark where it is more than expected."""
    low, high = expected
    orders = f"{low:g}" if low == high else f"{low:g}..{high:g}"
    more = " (MORE)" if measured > high + TOLERANCE else ""
    return f"n^{measured:.2f}, expected n^{orders}{more}"


def growth_table(results: list[dict[str, Any]]) -> Table:
    """Times and bytes at each value, and how they grow."""
    base = ", ".join(f"{name} {value}" for name, value in BASE.items())
    shown = Table(
        "How cost grows: ms of one update, kB of replay per episode",
        ["grows", "algorithm", "n", "ms", "time", "kB", "bytes"],
        note=f"Random numbers, {EPISODES_PER_UPDATE} episodes per update; what does not grow: "
        f"{base}. The exponent is fitted to the medians; parts that do not grow lower it.",
    )
    for row in results:
        time = growth_words(row["exponent_ms"], row["expected_ms"])
        size = growth_words(row["exponent_bytes"], row["expected_bytes"])
        for number, value in enumerate(row["values"]):
            first = number == 0
            shown.rows.append(
                [
                    row["axis"] if first else "",
                    row["algorithm"] if first else "",
                    str(value),
                    words(row["ms"][number], 1),
                    time if first else "",
                    f"{row['bytes'][number] / 1000:,.0f}",
                    size if first else "",
                ]
            )
    return shown
