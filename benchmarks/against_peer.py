"""The whole loop of ours and of a peer's QMIX, in turns (``--peer``)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.peer import PEER_VARIANTS
from benchmarks.plan import Plan
from benchmarks.protocol import BenchmarkError, Remote
from benchmarks.speed import start_variant
from benchmarks.statistics import ratio, summary, words
from benchmarks.tables import Table

STEPS = 50  # time limit
TASK = "lbforaging:Foraging-10x10-3p-3f-v3"
OUR_ENVIRONMENT = "lbf"  # the same task


def measure(plan: Plan, path: Path, python: str | None) -> dict[str, Any]:
    """Measures our variants and the peer's.

    Args:
        plan: the run's.
        path: a checkout of EPyMARL.
        python: that has what EPyMARL needs; None: this one.

    Raises:
        BenchmarkError: there is no checkout, or it does not run.
    """
    if not (path / "src" / "config" / "algs" / "qmix.yaml").is_file():
        raise BenchmarkError(
            f"{path} is no checkout of EPyMARL: it has no src/config/algs/qmix.yaml"
        )
    workers: dict[str, Any] = {}
    try:
        for variant in plan.variants:
            plan.say(f"peer: {variant.name} starts")
            workers[variant.name] = start_variant(plan, OUR_ENVIRONMENT, variant)
        for name, settings in PEER_VARIANTS.items():
            plan.say(f"peer: EPyMARL ({name}) starts")
            workers[f"EPyMARL QMIX, {name}"] = _start_peer(plan, path, python, settings)
        for worker in workers.values():
            worker.ask("warm_up")
        rates: dict[str, list[float]] = {name: [] for name in workers}
        for number in range(plan.rounds):
            plan.say(f"peer: round {number + 1} of {plan.rounds}")
            for name, worker in plan.turns(workers, number):
                rates[name].append(_rate(plan, worker, name))
        memory = {name: worker.ask("memory") for name, worker in workers.items()}
    finally:
        for worker in workers.values():
            worker.stop()
    return _summarise(plan, rates, memory)


def _start_peer(plan: Plan, path: Path, python: str | None, settings: dict[str, Any]) -> Remote:
    task = {"task": TASK, "steps": STEPS, "settings": settings, "threads": plan.threads}
    command = [python or sys.executable, "-m", "benchmarks.peer", str(path), json.dumps(task)]
    threads = str(plan.threads)
    return Remote("EPyMARL", command, {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads})


def _rate(plan: Plan, worker: Any, name: str) -> float:
    """Env steps per second of a turn.

    Raises:
        BenchmarkError: there was not one update per episode.
    """
    answer = worker.ask("loop", episodes=plan.episodes)
    if not answer["episodes"] == answer["updates"] == plan.episodes:
        raise BenchmarkError(
            f"{name}: {answer['updates']} updates for {answer['episodes']} episodes; the "
            f"comparison is of {plan.episodes} and {plan.episodes}"
        )
    return answer["env_steps"] / answer["seconds"]


def _summarise(plan: Plan, rates: dict[str, list[float]], memory: dict[str, Any]) -> dict[str, Any]:
    results: dict[str, Any] = {}
    for name, values in rates.items():
        results[name] = {"loop": summary(values, "env steps/s"), **memory[name]}
        if not name.startswith("EPyMARL"):
            results[name]["to_peer"] = {
                peer: ratio(values, rates[f"EPyMARL QMIX, {peer}"]) for peer in PEER_VARIANTS
            }
    return results


def table(results: dict[str, Any]) -> Table:
    """Env steps per second, and ours / theirs."""
    shown = Table(
        "LBF 10x10-3p-3f-v3, whole loop with one update of 32 episodes per episode: env steps/s",
        ["", "whole loop", *(f"times EPyMARL, {peer}" for peer in PEER_VARIANTS), "peak MB"],
        note="Median (first and third quartile of the rounds). Eight environments of EPyMARL "
        "are processes beside the measured one.",
    )
    for name, found in results.items():
        compared = found.get("to_peer", {})
        cells = [words(compared[peer], 2) if compared else "" for peer in PEER_VARIANTS]
        row = [name, words(found["loop"]), *cells, f"{found['peak_resident_mb']:,.0f}"]
        shown.rows.append(row)
    return shown
