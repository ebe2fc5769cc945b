"""RMSprop over all parameters as one vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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

    def __init__(self, params: Sequence[Tensor], *, lr: float, alpha: float, eps: float):
        super().__init__(params, lr=lr, alpha=alpha, eps=eps, foreach=True)
        self._average: Tensor | None = None  # which the parameters' "square_avg" are views of

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step along the parameters' gradients."""
        [group] = self.param_groups
        params = group["params"]
        if closure is not None or any(p.grad is None for p in params):
            return super().step(closure)
        average = self._flat_average(params)
        change = torch.cat([p.grad.flatten() for p in params])
        average.mul_(group["alpha"]).addcmul_(change, change, value=1 - group["alpha"])
        change.div_(average.sqrt().add_(group["eps"]))
        torch._foreach_add_(params, _shared_out(change, params), alpha=-group["lr"])
        torch._foreach_add_([self.state[p]["step"] for p in params], 1)
        return None

    def _flat_average(self, params: Sequence[Tensor]) -> Tensor:
        """The means of all parameters' squared gradients, side by side."""
        if self._average is None:
            known = [self.state[p].get("square_avg", torch.zeros_like(p)) for p in params]
            self._average = torch.cat([average.flatten() for average in known])
            for p, view in zip(params, _shared_out(self._average, params), strict=True):
                self.state[p].setdefault("step", torch.zeros(()))
                self.state[p]["square_avg"] = view
        return self._average

    def load_state_dict(self, state_dict: Any) -> None:
        """PyTorch's."""
        super().load_state_dict(state_dict)
        self._average = None


def _shared_out(flat: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Views of one vector in the shapes of some tensors, one after the other."""
    parts = flat.split([tensor.numel() for tensor in like])
    return [part.view_as(tensor) for part, tensor in zip(parts, like, strict=True)]
