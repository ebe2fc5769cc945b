"""What a run of the benchmarks measures, and how often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.variants import Variant

#: The parts, in the order they are measured.
PARTS = ("sampling", "update", "loop", "replay", "growth")


@dataclass(frozen=True)
class Plan:
    """The choices of a run.

    Attributes:
        parts: some of ``PARTS``.
        environments: keys of ``ENVIRONMENTS``.
        variants: that take turns.
        rounds: how often each has its turn.
        threads: PyTorch threads of each process.
        step_ms: milliseconds that each step of a game takes longer than it does.
        quick: least work that still passes everywhere, and all of it in one process: soon
            started, but without memory per variant.
        say: shows what is going on.
    """

    parts: tuple[str, ...]
    environments: tuple[str, ...]
    variants: tuple[Variant, ...]
    rounds: int
    threads: int
    step_ms: float
    quick: bool
    say: Callable[[str], None]

    @property
    def updates(self) -> int:
        """Updates in a round, of which the one in the middle counts."""
        return 1 if self.quick else 3

    @property
    def episodes(self) -> int:
        """Episodes of the loop in a turn, with one update for each."""
        return 8 if self.quick else 24

    @staticmethod
    def turns(workers: dict[str, Any], number: int) -> list[tuple[str, Any]]:
        """The workers in a round's order: each is the first one in its turn."""
        order = list(workers.items())
        first = number % len(order)
        return order[first:] + order[:first]
