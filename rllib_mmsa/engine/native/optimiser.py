"""torch.optim.RMSprop's step in one call of C: most of the tensors are small."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from rllib_mmsa.engine.native import bindings

#: What is not known of ``torch.optim.RMSprop``, and its value where it is not used.
_UNUSED = {
    "momentum": 0,
    "weight_decay": 0,
    "centered": False,
    "maximize": False,
    "capturable": False,
}


def step(optimizer: torch.optim.Optimizer, gradients: dict[Any, Tensor], wide: bool) -> bool:
    """One step of an optimiser along gradients, with its state where PyTorch has it.

    Args:
        optimizer: any.
        gradients: by parameter.
        wide: whether AVX-512 is used.

    Returns:
        Whether the step was taken. It is not where this is not RMSprop as it is known here.
    """
    if type(optimizer) is not torch.optim.RMSprop or len(optimizer.param_groups) != 1:
        return False
    [group] = optimizer.param_groups
    if any(group[name] != value for name, value in _UNUSED.items()):
        return False
    states = [_state(optimizer, parameter) for parameter in gradients]
    tensors = list(gradients), list(gradients.values()), *zip(*states, strict=True)
    if not all(_is_known(tensor) for each in tensors for tensor in each):
        return False
    lists = [bindings.addresses(each) for each in tensors]
    counts = (ctypes.c_int64 * len(gradients))(
        *(gradient.numel() for gradient in gradients.values())
    )
    pointers = (ctypes.addressof(each) for each in (*lists, counts))
    rates = float(group["lr"]), group["alpha"], group["eps"]
    bindings.library().rmsprop(len(gradients), *pointers, *rates, wide)  # type: ignore[union-attr]
    for parameter in gradients:
        torch.autograd.graph.increment_version(parameter)  # who keeps what it makes of it looks
    return True


def _state(optimizer: torch.optim.Optimizer, parameter: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of squared gradients, and the count of steps."""
    state = optimizer.state[parameter]
    if not state:
        state["step"] = torch.zeros(())
        state["square_avg"] = torch.zeros_like(parameter)
    return state["square_avg"], state["step"]


def _is_known(tensor: Tensor) -> bool:
    return tensor.dtype == torch.float32 and tensor.is_contiguous() and tensor.device.type == "cpu"
