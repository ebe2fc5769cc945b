"""A linear map of several inputs that lie side by side in its weights, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F


def linear_of_parts(parts: Sequence[Tensor], weight: Tensor, bias: Tensor) -> Tensor:
    """``F.linear(torch.cat(parts, -1), weight, bias)`` without the copies that ``cat`` makes.

    Backwards, a part that asks for no gradient costs nothing.

    Args:
        parts: (R, I_1), (R, I_2), ...
        weight: (O, I_1 + I_2 + ...).
        bias: (O,).

    Returns:
        (R, O), no view of anything: what is done to it in place costs no copies backwards.
    """
    if len(parts) == 1:
        return F.linear(parts[0], weight, bias)
    first, *others = weight.split([part.shape[-1] for part in parts], 1)
    out = F.linear(parts[0], first, bias)
    for part, of_part in zip(parts[1:], others, strict=True):
        out = out.addmm_(part, of_part.t())
    return out


def as_rows(*parts: Tensor) -> tuple[Tensor, ...]:
    """(..., I_1), (..., I_2), ... to (R, I_1), (R, I_2), ..."""
    return tuple(part.reshape(-1, part.shape[-1]) for part in parts)
