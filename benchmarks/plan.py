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
        in_process: no processes of their own: quicker to start, no memory per variant.
        quick: least work that still passes everywhere.
        say: shows what is going on.
    """

    parts: tuple[str, ...]
    environments: tuple[str, ...]
    variants: tuple[Variant, ...]
    rounds: int
    threads: int
    in_process: bool
    quick: bool
    say: Callable[[str], None]

    @property
    def calls(self) -> int:
        """Calls of ``sample`` and of ``training_step`` in a round."""
        return 1

    @property
    def updates(self) -> int:
        """Updates in a round, of which the one in the middle counts."""
        return 1 if self.quick else 3
