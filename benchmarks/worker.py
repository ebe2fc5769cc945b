"""The process that measures: ``python -m benchmarks.worker '{"kind": ..., "threads": ...}'``."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.protocol import Local, Remote, serve

_RAY_CPUS = 8  # variants keep theirs, for remote runners, while others have their turn


def make(kind: str, threads: int, **arguments: Any) -> Any:
    """What answers: "algorithm", "replay" or "growth"."""
    # Here: the process that asks neither needs nor has PyTorch and Ray in its memory.
    from benchmarks.bench import AlgorithmBench, set_threads
    from benchmarks.growth import GrowthBench
    from benchmarks.replay_memory import ReplayBench

    set_threads(threads)
    kinds = {"algorithm": AlgorithmBench, "replay": ReplayBench, "growth": GrowthBench}
    return kinds[kind](**arguments)


@contextlib.contextmanager
def shared_ray() -> Iterator[None]:
    """One small Ray for all processes: building an algorithm asks for one, and starts its own."""
    import ray

    ours = not ray.is_initialized()
    if ours:
        ray.init(
            num_cpus=_RAY_CPUS,
            num_gpus=0,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            object_store_memory=128 * 1024**2,  # bytes
        )
    before = os.environ.get("RAY_ADDRESS")
    os.environ["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
    try:
        yield
    finally:
        del os.environ["RAY_ADDRESS"]
        if before is not None:
            os.environ["RAY_ADDRESS"] = before
        if ours:
            ray.shutdown()


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
