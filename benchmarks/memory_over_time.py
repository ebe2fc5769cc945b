"""Resident memory of a training run: does it grow once replay is full?

    python -m benchmarks.memory_over_time [--algo MMSA] [--steps 200000] [--capacity 1000]

Trains on Level-Based Foraging 10x10-3p-3f-v3 as ``rllib train`` does, with tests at intervals and
a replay that is full long before half of the steps, and prints what the process holds at each
tenth of the run. Exits with 1 where the end is more than 5 % above the half.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import torch
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME

from benchmarks.machine import machine, machine_words, peak_memory_mb, resident_bytes
from rllib_mmsa.rllib import ALGORITHMS

LIMIT = 1.05
POINTS = 10


def measure(algorithm: str, steps: int, capacity: int) -> list[dict[str, float]]:
    """One row per tenth of the run: env steps, episodes in replay, MB held, most MB held so far."""
    config = ALGORITHMS[algorithm].get_default_config()
    config.environment("lbf", env_config={"task": "10x10-3p-3f-v3"}).debugging(seed=1)
    config.update_from_dict({"replay_capacity_episodes": capacity, "bootstrap_truncated": False})
    algo = config.build_algo()
    rows: list[dict[str, float]] = []
    while len(rows) < POINTS:
        result = algo.train()
        done = result[NUM_ENV_STEPS_SAMPLED_LIFETIME]
        if done < steps * (len(rows) + 1) / POINTS:
            continue
        held = resident_bytes()
        if held is None:
            raise SystemExit("error: this system does not say how much memory a process holds")
        rows.append(
            {
                "env_steps": int(done),
                "replay_episodes": len(algo.replay),
                "resident_mb": round(held / 1e6, 1),
                "peak_mb": round(peak_memory_mb(), 1),
            }
        )
        print(*(f"{name} {value:,}" for name, value in rows[-1].items()), flush=True)
    algo.stop()
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--algo", choices=sorted(ALGORITHMS), default="MMSA")
    parser.add_argument("--steps", type=int, default=200_000, help="env steps")
    parser.add_argument("--capacity", type=int, default=1000, help="of replay, episodes")
    parser.add_argument("--csv", type=Path, help="writes the rows there")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(machine_words(machine(1)))
    rows = measure(args.algo, args.steps, args.capacity)
    half, end = rows[POINTS // 2 - 1], rows[-1]
    if half["replay_episodes"] < args.capacity:
        sys.exit(
            f"error: replay is not full at half of the steps: lower --capacity {args.capacity}"
        )
    if args.csv:
        with args.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(end))
            writer.writeheader()
            writer.writerows(rows)
    worst = max(end[name] / half[name] for name in ("resident_mb", "peak_mb"))
    print(f"{args.algo}: at the end {worst:.3f} times what it was at half of the steps")
    return int(worst > LIMIT)


if __name__ == "__main__":
    raise SystemExit(main())
