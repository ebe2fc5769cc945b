"""Sequences of different lengths side by side: what was never played is not computed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Packing:
    """How sequences lie side by side: all first steps, all second ones ..., the longest first.

    That of ``torch.nn.utils.rnn.PackedSequence``.

    Shapes: P = sum(counts), the steps of all sequences.

    Args:
        counts: how many sequences have a step t, for t = 0, 1, ...; never more than before.
        device: where what is packed lies.
    """

    def __init__(self, counts: Sequence[int], device: torch.device | None = None):
        self.counts = list(counts)
        self.even = self.counts[-1] == self.counts[0]
        if not self.even:
            # (P - counts[0],): of each row from the second step on, the row one step before.
            by_step = torch.tensor(self.counts)
            back = by_step[:-1].repeat_interleave(by_step[1:])
            rows = torch.arange(self.counts[0], int(by_step.sum()))
            self._before = (rows - back).to(device)

    def before(self, values: Tensor) -> Tensor:
        """What was one step before each row but those of first steps: (P, ...) to (P', ...).

        P' = P - counts[0]: row r of the result belongs to row ``counts[0] + r``.
        """
        if self.even:
            return values[: len(values) - self.counts[0]]
        return values.index_select(0, self._before)

    def shift(self, values: Tensor, first: float = 0.0) -> Tensor:
        """What was one step before each row, ``first`` before first steps: (P, ...), a copy."""
        start = values.new_full((self.counts[0], *values.shape[1:]), first)
        return torch.cat([start, self.before(values)])

    def rows_before(self) -> Tensor:
        """(P,) int32: the row one step before each, -1 for first steps."""
        rows = torch.arange(sum(self.counts), dtype=torch.int32)
        none = rows.new_full((self.counts[0],), -1)
        return torch.cat([none, self.before(rows)])
