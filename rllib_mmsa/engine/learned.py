"""What one update returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Learned(NamedTuple):
    """What one update learned, before clipping and the optimiser's step.

    Attributes:
        losses: unweighted losses and measures by name, 0-dim tensors.
        gradients: of the weighted sum of the losses, by parameter name; a parameter that no loss
            reaches is missing. They stand until the next update.
        total: the weighted sum, 0-dim.
    """

    losses: dict[str, Tensor]
    gradients: dict[str, Tensor]
    total: Tensor
