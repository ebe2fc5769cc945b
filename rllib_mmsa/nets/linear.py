"""A linear map of several inputs that lie side by side in its weights, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from rllib_mmsa.nets.kernels import Kernels, kernels_for


def linear_of_parts(parts: Sequence[Tensor], weight: Tensor, bias: Tensor | None) -> Tensor:
    """``F.linear(torch.cat(parts, -1), weight, bias)`` without the copies that ``cat`` makes.

    Backwards, a part that asks for no gradient costs nothing.

    Args:
        parts: (R, I_1), (R, I_2), ...
        weight: (O, I_1 + I_2 + ...).
        bias: (O,), or None.

    Returns:
        (R, O), no view of anything: what is done to it in place costs no copies backwards.
    """
    kernels = kernels_for(parts[0], with_gradient=True)
    if kernels is not None:
        return _Compiled.apply(kernels, weight, bias, *parts)
    if len(parts) == 1:
        return F.linear(parts[0], weight, bias)
    first, *others = weight.split([part.shape[-1] for part in parts], 1)
    out = F.linear(parts[0], first, bias)
    for part, of_part in zip(parts[1:], others, strict=True):
        out = out.addmm_(part, of_part.t())
    return out


class _Compiled(torch.autograd.Function):
    """``linear_of_parts`` with both ways compiled."""

    @staticmethod
    def forward(
        ctx: Any, kernels: Kernels, weight: Tensor, bias: Tensor | None, *given: Tensor
    ) -> Tensor:
        weight, parts = weight.contiguous(), [part.contiguous() for part in given]
        ctx.save_for_backward(weight, *parts)
        ctx.kernels = kernels
        return kernels.linear(parts, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        weight, *parts = ctx.saved_tensors
        read = parts, weight, grads[0].contiguous(), ctx.needs_input_grad[3:]
        of_weight, of_bias, of_parts = ctx.kernels.linear_back(*read)
        return None, of_weight, of_bias if ctx.needs_input_grad[2] else None, *of_parts


def as_rows(*parts: Tensor) -> tuple[Tensor, ...]:
    """(..., I_1), (..., I_2), ... to (R, I_1), (R, I_2), ..."""
    return tuple(part.reshape(-1, part.shape[-1]) for part in parts)
