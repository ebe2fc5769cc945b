"""The norm of all gradients as one vector, and clipping by it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def global_norm(gradients: dict[Any, Tensor]) -> Tensor:
    """The norm of all gradients as one vector, a scalar."""
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(gradients.values()))))


def clip(gradients: dict[Any, Tensor], largest: float) -> Tensor:
    """Scales gradients together, so that their global norm is at most ``largest``.

    All at once, where RLlib takes half a dozen operations for each; and not in place, since two
    parameters may share one. A gradient that is not finite is left to who applies them.

    Args:
        gradients: get other tensors.
        largest: norm.

    Returns:
        The norm before, a scalar.
    """
    norm = global_norm(gradients)
    if not norm.isfinite():
        norm = _scaled_norm(gradients)
    factor = (largest / (norm + 1e-6)).clamp(max=1.0)
    clipped = torch._foreach_mul(list(gradients.values()), factor)
    gradients.update(zip(gradients, clipped, strict=True))
    return norm


def _scaled_norm(gradients: dict[Any, Tensor]) -> Tensor:
    """``global_norm`` where the squares of finite gradients leave float32."""
    largest = torch.stack([gradient.abs().max() for gradient in gradients.values()]).max()
    scaled = torch._foreach_div(list(gradients.values()), largest)
    return global_norm(dict(enumerate(scaled))) * largest
