"""Networks of two layers on inputs that lie side by side, compiled where that is possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rllib_mmsa.nets.kernels import Kernels, kernels_for
from rllib_mmsa.nets.linear import linear_of_parts

#: Weight (O, I) and bias (O,) of a linear layer.
Layer = tuple[Tensor, Tensor]


def of(linear: nn.Module, outputs: int | None = None) -> Layer:
    """The weight and the bias of a linear layer, or those of its first outputs."""
    weight, bias = cast(nn.Linear, linear).parameters()
    return (weight, bias) if outputs is None else (weight[:outputs], bias[:outputs])


def two_layers(
    parts: Sequence[Tensor], first: Layer, last: Layer, linear: Layer | None = None
) -> Tensor:
    """[linear(x) +] last(relu(first(x))), x = [part_1 ; part_2 ; ...].

    A part that asks for no gradient costs none.

    Args:
        parts: (R, I_1), (R, I_2), ...
        first, last, linear: of I_1 + I_2 + ... numbers, of first's, of those of the parts.

    Returns:
        (R, outputs).
    """
    kernels = kernels_for(parts[0], with_gradient=True)
    if kernels is not None:
        weights = (*first, *last, *(linear or ()))
        return _Compiled.apply(kernels, len(weights), *weights, *parts)
    hidden = linear_of_parts(parts, *first).relu_()
    if linear is None:
        return F.linear(hidden, *last)
    out = linear_of_parts(parts, linear[0], linear[1] + last[1])
    return out.addmm_(hidden, last[0].t())


class _Compiled(torch.autograd.Function):
    """``two_layers`` with both ways compiled."""

    @staticmethod
    def forward(ctx: Any, kernels: Kernels, num_weights: int, *tensors: Tensor) -> Tensor:
        """The weights, then the parts."""
        weights = tensors[:num_weights]
        parts = [part.contiguous() for part in tensors[num_weights:]]
        hidden, y = kernels.mlp(parts, weights)
        ctx.save_for_backward(hidden, *weights, *parts)
        ctx.kernels, ctx.num_weights = kernels, num_weights
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        """Gradients of all weights, and of the parts that ask for one."""
        hidden, *tensors = ctx.saved_tensors
        weights, parts = tensors[: ctx.num_weights], tensors[ctx.num_weights :]
        asked = ctx.needs_input_grad[2 + ctx.num_weights :]
        read = parts, weights, hidden, grads[0].contiguous()
        of_weights, of_parts = ctx.kernels.mlp_back(*read, asked)
        return None, None, *of_weights, *of_parts
