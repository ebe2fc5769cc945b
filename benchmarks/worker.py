"""The process that measures: ``python -m benchmarks.worker '{"kind": ..., "threads": ...}'``."""

from __future__ import annotations

import json
import sys
from typing import Any

from benchmarks.protocol import Local, Remote, serve


def make(kind: str, threads: int, **arguments: Any) -> Any:
    """What answers: "algorithm", "replay" or "growth"."""
    # Here: the process that asks neither needs nor has PyTorch and Ray in its memory.
    from benchmarks.bench import AlgorithmBench, set_threads
    from benchmarks.growth import GrowthBench
    from benchmarks.replay_memory import ReplayBench

    set_threads(threads)
    kinds = {"algorithm": AlgorithmBench, "replay": ReplayBench, "growth": GrowthBench}
    return kinds[kind](**arguments)


def start(name: str, in_process: bool, kind: str, threads: int, **arguments: Any) -> Any:
    """A process that measures, or the same in this one."""
    if in_process:
        return Local(make(kind, threads, **arguments))
    task = json.dumps({"kind": kind, "threads": threads, **arguments})
    env = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    return Remote(name, [sys.executable, "-m", "benchmarks.worker", task], env)


if __name__ == "__main__":
    task = json.loads(sys.argv[1])
    serve(lambda: make(**task))
