"""Env steps per second of SMAX: 16 environments in one program, against the same 16 one by one.

    python -m benchmarks.smax_sampling [--task 3m] [--envs 16] [--steps 60] [--rounds 5]

Both are stepped through the interface that the sampling uses, with random legal actions, without a
network. The two take turns, so that whatever else the machine does meets both. Compiling is not
counted. Exits with 1 where the median of the rounds' ratios is below 3.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch

import env_registry
from benchmarks.machine import machine, machine_words
from benchmarks.statistics import ratio, summary, words
from env_registry.contract import ACTION_MASK, ALL, TEAM
from rllib_mmsa.rllib.vector_env import SyncVectorEnv

REQUIRED_RATIO = 3.0


def play(env: Any, steps: int, rng: np.random.Generator) -> float:
    """Steps all sub-environments, starting episodes anew where they end: env steps per second."""
    indices = range(env.num_envs)
    obs = [env.reset_slot(i, int(rng.integers(2**31)))[0] for i in indices]
    start = time.perf_counter()
    for _ in range(steps):
        masks = np.stack([each[TEAM][ACTION_MASK] for each in obs])
        actions = np.where(masks > 0, rng.random(masks.shape), -1).argmax(-1)
        for i, (seen, _, terminateds, truncateds, _) in enumerate(env.step_slots(indices, actions)):
            over = terminateds[ALL] or truncateds[ALL]
            obs[i] = env.reset_slot(i, int(rng.integers(2**31)))[0] if over else seen
    return steps * env.num_envs / (time.perf_counter() - start)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", default="3m")
    parser.add_argument("--envs", type=int, default=16)
    parser.add_argument("--steps", type=int, default=60, help="of each environment in a round")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    from env_registry.smax import SmaxVectorEnv

    together = SmaxVectorEnv(args.envs, task=args.task)
    make = [lambda: env_registry.make("smax", task=args.task)] * args.envs
    paths = {"one program": together, "one by one": SyncVectorEnv(make)}
    rates: dict[str, list[float]] = {name: [] for name in paths}
    for env in paths.values():
        play(env, 2, np.random.default_rng(0))  # compiles
    for number in range(args.rounds):
        for name, env in paths.items():
            rates[name].append(play(env, args.steps, np.random.default_rng(number)))
    print(f"smax {args.task}, {args.envs} environments, {args.rounds} rounds of {args.steps} steps")
    print(machine_words(machine(torch.get_num_threads())))
    for name, values in rates.items():
        print(f"{name}: {words(summary(values, 'env steps/s'))} env steps/s")
    compared = ratio(*rates.values())
    print(f"ratio: {words(compared, 1)}")
    return int(compared["median"] < REQUIRED_RATIO)


if __name__ == "__main__":
    raise SystemExit(main())
