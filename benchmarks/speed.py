"""Sampling, one update by stage, and the whole loop: variants that take turns."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from benchmarks.plan import Plan
from benchmarks.stages import STAGES
from benchmarks.statistics import ratio, summary, words
from benchmarks.tables import Table
from benchmarks.variants import ENVIRONMENTS, Variant
from benchmarks.worker import start

REFERENCE = "QMIX"  # ratios are to the first variant of this algorithm
SAMPLING, UPDATE, LOOP = "sampling", "update", "loop"


def measure(plan: Plan, environment: str) -> dict[str, Any]:
    """Measures all variants on one environment.

    Returns:
        {variant's name: {"engine", "sampling", "update", "loop", "peak_resident_mb",
        "to_reference"}}.
    """
    workers: dict[str, Any] = {}
    engines: dict[str, str] = {}
    try:
        for variant in plan.variants:
            plan.say(f"{environment}: {variant.name} starts")
            workers[variant.name] = start_variant(plan, environment, variant)
            engines[variant.name] = workers[variant.name].ask("warm_up")["engine"]
        rounds = _rounds(plan, environment, workers)
        memory = {name: worker.ask("memory") for name, worker in workers.items()}
    finally:
        for worker in workers.values():
            worker.stop()
    results = {name: _summarise(found) for name, found in rounds.items()}
    for name, found in results.items():
        found["engine"] = engines[name]
        # One process for all: its memory is no variant's.
        found["peak_resident_mb"] = None if plan.quick else memory[name]["peak_resident_mb"]
    return _compare(plan, results)


def start_variant(plan: Plan, environment: str, variant: Variant) -> Any:
    """The process (or, where it must be quick, the object) that measures a variant."""
    return start(
        f"{variant.name} on {environment}",
        plan.quick,
        kind="algorithm",
        threads=plan.threads,
        environment=environment,
        algorithm=variant.algorithm,
        settings=variant.settings,
        step_ms=plan.step_ms,
    )


def _rounds(plan: Plan, environment: str, workers: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {name: defaultdict(list) for name in workers}
    for number in range(plan.rounds):
        plan.say(f"{environment}: round {number + 1} of {plan.rounds}")
        for name, worker in plan.turns(workers, number):
            if SAMPLING in plan.parts:
                found[name][SAMPLING].append(worker.ask("sample"))
            if UPDATE in plan.parts:
                answer = worker.ask("update", count=plan.updates)
                found[name][UPDATE].append(_median_of(answer["updates"]))
            if LOOP in plan.parts:
                found[name][LOOP].append(worker.ask("loop", episodes=plan.episodes))
    return found


def _median_of(updates: list[dict[str, float]]) -> dict[str, float]:
    """The update in the middle, so that its stages add up."""
    return sorted(updates, key=lambda update: update["total"])[len(updates) // 2]


def _summarise(found: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    results: dict[str, Any] = {}
    for part in (SAMPLING, LOOP):
        if found[part]:
            rates = [each["env_steps"] / each["seconds"] for each in found[part]]
            results[part] = summary(rates, "env steps/s")
    if found[LOOP]:
        totals = {
            name: sum(each[name] for each in found[LOOP])
            for name in ("env_steps", "episodes", "updates")
        }
        results["loop_counts"] = totals
    if found[UPDATE]:
        results[UPDATE] = {
            stage: summary([update[stage] for update in found[UPDATE]], "ms")
            for stage in ("total", *STAGES)
        }
    return results


def _compare(plan: Plan, results: dict[str, Any]) -> dict[str, Any]:
    """Adds each variant's time relative to the reference's, round by round."""
    reference = next((v.name for v in plan.variants if v.algorithm == REFERENCE), None)
    if reference is None:
        return results
    base = results[reference]
    for found in results.values():
        found["to_reference"] = {}
        for part in (SAMPLING, LOOP):  # rates: time is their inverse
            if part in found:
                compared = ratio(base[part]["values"], found[part]["values"])
                found["to_reference"][part] = compared
        if UPDATE in found:
            ours, theirs = (each[UPDATE]["total"]["values"] for each in (found, base))
            found["to_reference"][UPDATE] = ratio(ours, theirs)
    return results


def tables(environment: str, results: dict[str, Any], step_ms: float) -> list[Table]:
    """A table of speed and memory, and one of the update's stages."""
    title = ENVIRONMENTS[environment].title
    if step_ms:
        title += f", each step {step_ms:g} ms longer"
    whole = Table(
        f"{title}: env steps/s, ms of one update, MB",
        [
            "",
            "engine",
            "sampling",
            "one update, ms",
            "whole loop",
            "time of loop / QMIX",
            "peak MB",
        ],
        note="Median (first and third quartile of the rounds).",
    )
    for name, found in results.items():
        compared = found.get("to_reference", {})
        update = {"update": found[UPDATE]["total"]} if UPDATE in found else {}
        peak = found["peak_resident_mb"]
        whole.rows.append(
            [
                name,
                found["engine"],
                _cell(found, SAMPLING),
                _cell(update, UPDATE, 1),
                _cell(found, LOOP),
                _cell(compared, LOOP, 2),
                "-" if peak is None else f"{peak:,.0f}",
            ]
        )
    if not all(UPDATE in found for found in results.values()):
        return [whole]
    stages = Table(f"{title}: one update by stage, ms", ["", *results])
    for stage in ("total", *STAGES):
        cells = [words(found[UPDATE][stage], 1) for found in results.values()]
        stages.rows.append([stage, *cells])
    return [whole, stages]


def _cell(found: dict[str, Any], name: str, digits: int = 0) -> str:
    return words(found[name], digits) if name in found else "-"
