"""Memory of replay: what is held for each stored step, against the least it could be."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import numpy as np

from benchmarks.machine import peak_memory_mb, resident_bytes
from benchmarks.random_numbers import random_episode
from benchmarks.sizes import SHAPES, Shape
from rllib_mmsa.rllib.replay import EpisodeReplay


def fill(shape: Shape, count: int) -> EpisodeReplay:
    """A replay with ``count`` episodes of random numbers."""
    replay, rng = EpisodeReplay(count, 0), np.random.default_rng(0)
    for _ in range(count):
        replay.add([random_episode(shape.sizes, shape.steps, rng)])
    return replay


def held_bytes(shape: Shape, count: int) -> int:
    """Everything that Python and NumPy hold for a replay of ``count`` episodes, objects too."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        replay = fill(shape, count)
        gc.collect()
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    del replay
    return held


def measure(shape: Shape, count: int) -> dict[str, Any]:
    """Bytes per stored step, and the growth of the process as a check.

    Args:
        shape: of the episodes.
        count: how many of them.
    """
    before = resident_bytes()
    replay = fill(shape, count)
    after, peak = resident_bytes(), peak_memory_mb()
    steps, said = replay.num_env_steps, replay.nbytes
    del replay
    raw = count * shape.sizes.raw_bytes(shape.steps)
    held = held_bytes(shape, count)
    grown = None if before is None or after is None else after - before
    return {
        "title": shape.title,
        "sizes": shape.sizes._asdict(),
        "steps": shape.steps,
        "episodes": count,
        "raw_bytes_per_step": raw / steps,
        "held_bytes_per_step": held / steps,
        "held_to_raw": held / raw,
        "held_mb": held / 1e6,
        "said_mb": said / 1e6,  # what the replay itself reports
        "resident_growth_mb": None if grown is None else grown / 1e6,
        "process_peak_mb": peak,
    }


class ReplayBench:
    """Answers questions about the memory of replay."""

    def measure(self, shape: int, share: float) -> dict[str, Any]:
        """Measures ``SHAPES[shape]`` with a share of its episodes."""
        chosen = SHAPES[shape]
        return measure(chosen, max(2, round(share * chosen.count)))

    def stop(self) -> None:
        """Nothing to end."""
