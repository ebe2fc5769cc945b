"""What was played of a padded batch, side by side, and back in its places."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rllib_mmsa.nets.packing import Packing


class Packed:
    """The played observations of a padded batch, side by side (``Packing``): padding costs nothing.

    Shapes: B episodes, T steps, P observations in the order of ``Packing``, R of them that a loss
    reads (all but those of burn-in), L steps to learn from.

    Args:
        loss_mask: (B, T), 1 on steps to learn from, which are the last played ones of an episode.

    Attributes:
        packing: how the P observations follow each other.
        episode: (P,) int64, whose they are.
        learned: (P,) float, 1 where a step to learn from begins.
        read: (P,) float, 1 where a loss reads the observation.
    """

    def __init__(self, loss_mask: Tensor):
        self.shape = torch.Size((loss_mask.shape[0], loss_mask.shape[1] + 1))
        steps = torch.arange(self.shape[1], device=loss_mask.device)
        played = steps <= (loss_mask * steps[1:]).amax(1, keepdim=True)
        longest_first = played.sum(1).argsort(descending=True, stable=True)
        step, rank = played[longest_first].t().nonzero().unbind(1)
        counts = [n for n in played.sum(0).tolist() if n]
        self.packing = Packing(counts, loss_mask.device)
        self.episode = longest_first[rank]
        self._index = self.episode * self.shape[1] + step  # in (B, T+1)
        self.learned = self.pack_steps(loss_mask)
        before = self.learned.nonzero().squeeze(1)
        after = self.packing.counts[0] + self.packing.before(self.learned).nonzero().squeeze(1)
        self.read = self.learned.index_fill(0, after, 1.0)
        self._starts, self._ends = self._index[before], self._index[after]
        self._steps = self._starts - self.episode[before]  # in (B, T)
        self._read = None if bool(self.read.all()) else self.read.nonzero().squeeze(1)
        places = self.read.cumsum(0).long() - 1
        self._read_starts, self._read_ends = places[before], places[after]

    def pack(self, values: Tensor) -> Tensor:
        """(B, T+1, ...) to (P, ...)."""
        return values.flatten(0, 1).index_select(0, self._index)

    def pack_steps(self, values: Tensor) -> Tensor:
        """(B, T, ...) to (P, ...), zeros at an episode's last observation."""
        return self.pack(F.pad(values, (0, 0) * (values.dim() - 2) + (0, 1)))

    def pack_starts(self, values: Tensor) -> Tensor:
        """(B, T+1, ...) to (L, ...): the observations before the steps to learn from."""
        return values.flatten(0, 1).index_select(0, self._starts)

    def pack_ends(self, values: Tensor) -> Tensor:
        """(B, T+1, ...) to (L, ...): those after them."""
        return values.flatten(0, 1).index_select(0, self._ends)

    def starts(self, values: Tensor) -> Tensor:
        """(R, ...) to (L, ...): the observations before the steps to learn from."""
        return values.index_select(0, self._read_starts)

    def ends(self, values: Tensor) -> Tensor:
        """(R, ...) to (L, ...): those after them."""
        return values.index_select(0, self._read_ends)

    def spread(self, values: Tensor) -> Tensor:
        """(P, ...) to (B, T+1, ...), zeros elsewhere."""
        spread = values.new_zeros(self.shape.numel(), *values.shape[1:])
        return spread.index_copy(0, self._index, values).unflatten(0, self.shape)

    def pick_read(self, values: Tensor) -> Tensor:
        """(P, ...) to (R, ...)."""
        return values if self._read is None else values.index_select(0, self._read)

    def unpick_read(self, values: Tensor) -> Tensor:
        """(R, ...) to (P, ...), zeros elsewhere."""
        if self._read is None:
            return values
        spread = values.new_zeros(len(self._index), *values.shape[1:])
        return spread.index_copy(0, self._read, values)

    def spread_steps(self, values: Tensor) -> Tensor:
        """(L, ...) to (B, T, ...), zeros elsewhere."""
        episodes, steps = self.shape[0], self.shape[1] - 1
        spread = values.new_zeros(episodes * steps, *values.shape[1:])
        return spread.index_copy(0, self._steps, values).unflatten(0, (episodes, steps))
