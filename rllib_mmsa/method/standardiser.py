"""Features brought to mean 0 and deviation 1 by statistics that run along with the training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rllib_mmsa.method.reduce import sum_over_learners


class Standardiser(nn.Module):
    """Running mean and deviation per feature, so that each asks for the same accuracy.

    The statistics are buffers: they travel and are saved with the weights, and stand still
    wherever ``update`` is not called. Before the first update nothing is changed.

    Args:
        *shape: of the features that have statistics of their own.
        momentum: weight of the past per update; the first updates count alike.
        floor: least deviation, so that constant features do not blow up.
    """

    mean: Tensor
    variance: Tensor
    updates: Tensor

    def __init__(self, *shape: int, momentum: float = 0.99, floor: float = 1e-2):
        super().__init__()
        self.momentum, self.floor = momentum, floor
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("variance", torch.ones(shape))
        self.register_buffer("updates", torch.zeros(()))

    @torch.no_grad()
    def update(self, x: Tensor, mask: Tensor) -> None:
        """Moves the statistics towards a batch: x (B, T, ..., *shape), mask (B, T)."""
        weights = mask.reshape(*mask.shape, *[1] * (x.dim() - mask.dim()))
        over = tuple(range(x.dim() - self.mean.dim()))
        rows = x[0, 0].numel() // self.mean.numel()
        count = sum_over_learners(mask.sum()).clamp(min=1.0) * rows
        mean = sum_over_learners((weights * x).sum(over)) / count
        variance = sum_over_learners((weights * (x - mean) ** 2).sum(over)) / count
        keep = (self.updates / (self.updates + 1)).clamp(max=self.momentum)
        self.mean.lerp_(mean, 1 - keep)
        self.variance.lerp_(variance, 1 - keep)
        self.updates.add_(1)

    @torch.no_grad()
    def repair(self) -> int:
        """Puts statistics that are not finite back to their start, to be found anew; how many."""
        bad = ~(self.mean.isfinite() & self.variance.isfinite())
        count = int(bad.sum())
        if count or not self.updates.isfinite():
            self.mean[bad], self.variance[bad] = 0.0, 1.0
            self.updates.zero_()
        return count

    def deviation(self) -> Tensor:
        """What features are divided by, never 0."""
        return self.variance.sqrt().clamp(min=self.floor)

    def forward(self, x: Tensor) -> Tensor:
        """(x - mean) / deviation."""
        return (x - self.mean) / self.deviation()

    def invert(self, x: Tensor) -> Tensor:
        """x * deviation + mean."""
        return x * self.deviation() + self.mean
