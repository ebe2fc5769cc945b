"""RMSprop over all parameters as one vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


class FlatRMSprop(torch.optim.RMSprop):
    """PyTorch's RMSprop, with its numbers and its state, in a dozen operations for all parameters.

    PyTorch takes some for each of them, and here they are many and small. A step in which a
    parameter has no gradient is PyTorch's own.

    Args:
        params: to optimise.
        lr: learning rate.
        alpha: smoothing constant of the squared gradients' mean.
        eps: added to its root.
    """

    _flat: _Flat | None = None  # made at the first step

    def __init__(self, params: Sequence[Tensor], *, lr: float, alpha: float, eps: float):
        super().__init__(params, lr=lr, alpha=alpha, eps=eps, foreach=True)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step along the parameters' gradients."""
        [group] = self.param_groups
        params = group["params"]
        if closure is not None or any(p.grad is None for p in params):
            return super().step(closure)
        flat = self._flat = self._flat or self._flatten(params)
        change = torch.cat([p.grad.flatten() for p in params], out=flat.change)
        flat.average.mul_(group["alpha"]).addcmul_(change, change, value=1 - group["alpha"])
        change.div_(flat.average.sqrt().add_(group["eps"]))
        torch._foreach_add_(params, flat.changes, alpha=-group["lr"])
        flat.steps.add_(1)
        return None

    def _flatten(self, params: Sequence[Tensor]) -> _Flat:
        """Lays the parameters' states side by side; each keeps its own as a view."""
        known = [self.state[p].get("square_avg", torch.zeros_like(p)) for p in params]
        average = torch.cat([square.flatten() for square in known])
        steps = torch.tensor([float(self.state[p].get("step", 0.0)) for p in params])
        views = zip(params, _shared_out(average, params), steps.unbind(), strict=True)
        for p, square, step in views:
            self.state[p].update(square_avg=square, step=step)
        change = torch.empty_like(average)
        return _Flat(average, steps, change, _shared_out(change, params))

    def load_state_dict(self, state_dict: Any) -> None:
        """PyTorch's."""
        super().load_state_dict(state_dict)
        self._flat = None


class _Flat(NamedTuple):
    """What belongs to all parameters, side by side.

    Attributes:
        average: means of squared gradients, which the parameters' "square_avg" are views of.
        steps: their numbers of steps, which their "step" are views of.
        change: what a step subtracts, up to the learning rate.
        changes: views of it, one for each parameter.
    """

    average: Tensor
    steps: Tensor
    change: Tensor
    changes: list[Tensor]


def _shared_out(flat: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Views of one vector in the shapes of some tensors, one after the other."""
    parts = flat.split([tensor.numel() for tensor in like])
    return [part.view_as(tensor) for part, tensor in zip(parts, like, strict=True)]
