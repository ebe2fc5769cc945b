"""What a run of the benchmarks measures, and how often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
        quick: least work that still passes everywhere, and all of it in one process: soon
            started, but without memory per variant.
        say: shows what is going on.
    """

    parts: tuple[str, ...]
    environments: tuple[str, ...]
    variants: tuple[Variant, ...]
    rounds: int
    threads: int
    quick: bool
    say: Callable[[str], None]

    @property
    def updates(self) -> int:
        """Updates in a round, of which the one in the middle counts."""
        return 1 if self.quick else 3
