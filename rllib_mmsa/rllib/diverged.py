"""The end of a training that has diverged, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

#: Updates that may be skipped in a row; then the run ends, while good checkpoints are still kept.
MAX_SKIPPED_IN_A_ROW = 10


def diverged(update: int, skipped: int, losses: Mapping[str, Tensor], config: Any) -> RuntimeError:
    """Builds the error of a run that learns nothing any more.

    Args:
        update: the number of this update, from 1.
        skipped: how many updates in a row were skipped, this one included.
        losses: scalars of this update, by name.
        config: has ``lr`` and ``grad_clip``.
    """
    wrong = [f"{name} is {loss:g}" for name, loss in losses.items() if not loss.isfinite().all()]
    return RuntimeError(
        f"training has diverged: since update {update + 1 - skipped}, {skipped} updates in a row "
        f"had gradients that are not finite and were skipped"
        f"{f' ({wrong[0]})' if wrong else ''}. Lower lr (it is {config.lr}) or set grad_clip "
        f"(it is {config.grad_clip}; the default is 10)"
    )
