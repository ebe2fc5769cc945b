"""A GRU that is fast over time on a CPU, with the weights and the results of PyTorch's.

Backwards, PyTorch's own runs two dozen small operations per step. Here a step is four operations
forwards and three backwards, all of them on memory without gaps, and what does not depend on the
recurrence is computed for all steps at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rllib_mmsa.nets.beside import at_once, beside
from rllib_mmsa.nets.scripted import scripted


class GRU(nn.GRU):
    """One layer, one direction, time first: ``nn.GRU(input_size, hidden_size)``.

    Off the CPU it is PyTorch's own (cuDNN).
    """

    weight_ih_l0: Tensor
    weight_hh_l0: Tensor
    bias_ih_l0: Tensor
    bias_hh_l0: Tensor

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__(input_size, hidden_size)

    def forward(  # type: ignore[override]
        self, x: Tensor, hidden: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Runs over time.

        Args:
            x: (T, R, input_size).
            hidden: (1, R, hidden_size), the state before the first step; zeros by default.

        Returns:
            The states after each step (T, R, hidden_size), and the last one
            (1, R, hidden_size).
        """
        if x.device.type != "cpu":
            return super().forward(x, hidden)
        if hidden is None:
            hidden = x.new_zeros(1, x.shape[1], self.hidden_size)
        weights = self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0
        goes_back = torch.is_grad_enabled() and self.weight_hh_l0.requires_grad
        states = _FusedGRU.apply(x, hidden[0], *weights, goes_back)
        return states, states[-1:]

    def step(self, x: Tensor, hidden: Tensor) -> Tensor:
        """One step alone: (R, input_size) and (R, hidden_size) to (R, hidden_size)."""
        return torch.gru_cell(
            x, hidden, self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0
        )


@scripted
def _run(gates: Tensor, fresh: Tensor, states: Tensor, first: Tensor, by_gate_h: Tensor) -> None:
    """The recurrence, over what lies ready of the gates (3, T, R, H), 2 n and h' (T, R, H).

    tanh(x) = 2 sigmoid(2 x) - 1: PyTorch's tanh takes four times as long as its sigmoid.
    """
    hidden, minus_one = first, torch.full_like(first, -1.0)
    for t in range(fresh.shape[0]):
        now, new = gates.select(1, t), fresh[t]
        now.baddbmm_(hidden.expand(3, -1, -1), by_gate_h)
        now.narrow(0, 0, 2).sigmoid_()
        new.addcmul_(now[0], now[2], value=2.0).sigmoid_()
        torch.add(minus_one, new, alpha=2.0, out=new)
        hidden = torch.lerp(new, hidden, now[1], out=states[t])


@scripted
def _run_back(factors: Tensor, update: Tensor, incoming: Tensor, by_gate_h: Tensor) -> None:
    """The recurrence from the last step to the first: gradients of the gates and of each h."""
    for back in range(update.shape[0]):
        t = update.shape[0] - 1 - back
        factor, now = factors.select(1, t), incoming[t + 1]
        factor.mul_(now)
        incoming[t].addcmul_(now, update[t]).addbmm_(factor, by_gate_h)


class _FusedGRU(torch.autograd.Function):
    """r, z = sigmoid(W x + U h + b); n = tanh(W_n x + b_n + r (U_n h + c_n)); h' = n + z (h - n).

    PyTorch's notation (Cho et al., 2014). Gates lie one after the other, (3, T, R, H) and
    (3, R, H): no operation reads memory with gaps.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        first: Tensor,
        weight_x: Tensor,
        weight_h: Tensor,
        bias_x: Tensor,
        bias_h: Tensor,
        goes_back: bool,
    ) -> Tensor:
        """x (T, R, I), first (R, H), weights (3H, I), (3H, H), biases (3H,) to (T, R, H)."""
        steps, rows, _ = x.shape
        size = first.shape[1]
        by_gate_x = weight_x.view(3, size, -1).transpose(1, 2)  # (3, I, H)
        by_gate_h = weight_h.view(3, size, size).transpose(1, 2)
        flat = x.reshape(1, steps * rows, -1)
        # The part of U_n h stays outside r (...): the last gate's input has a place of its own.
        recurrent = x.new_empty(3, steps, rows, size)
        bias = (bias_x + bias_h)[: 2 * size].view(2, 1, size)
        switches = recurrent[:2].view(2, steps * rows, size)
        torch.baddbmm(bias, flat.expand(2, -1, -1), by_gate_x[:2], out=switches)
        recurrent[2] = bias_h[2 * size :]
        fresh = torch.addmm(bias_x[2 * size :], flat[0], by_gate_x[2], beta=2, alpha=2)
        fresh = fresh.view(steps, rows, size)
        states = x.new_empty(steps, rows, size)
        _run(recurrent, fresh, states, first, by_gate_h)
        ctx.save_for_backward(x, first, weight_x, weight_h, recurrent, fresh, states)
        # Backwards it would be waited for.
        read = first, recurrent, fresh, states.detach()
        ctx.factors = beside(lambda: _factors(*read)) if goes_back else None
        return states

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Back through time; factors that no gradient enters are there already."""
        x, first, weight_x, weight_h, *read = ctx.saved_tensors
        ready, ctx.factors = ctx.factors, None  # they are written over
        factors, update, at_fresh, before = ready() if ready else _factors(first, *read)
        by_gate_h = weight_h.view(3, *first.shape[1:], -1)
        incoming = torch.cat([torch.zeros_like(first).unsqueeze(0), grads[0]])
        _run_back(factors, update, incoming, by_gate_h)
        # The last gate's input lies outside r (...): it has a gradient of its own.
        of_h, of_new = factors.flatten(1, 2), torch.mul(incoming[1:], at_fresh).flatten(0, 1)
        of_x = (*of_h[:2], of_new)
        inputs, asked = x.flatten(0, 1), ctx.needs_input_grad[0]
        grad_weight_h, grad_weight_x, grad_x = at_once(
            lambda product: product(),
            [
                lambda: torch.matmul(of_h.transpose(1, 2), before.flatten(0, 1)).flatten(0, 1),
                lambda: torch.cat([torch.mm(gate.t(), inputs) for gate in of_x]),
                lambda: _sum_of_products(of_x, weight_x.chunk(3)).view_as(x) if asked else None,
            ],
        )
        grad_bias_h = of_h.sum(1).flatten()
        grad_bias_x = torch.cat([grad_bias_h[: 2 * first.shape[1]], of_new.sum(0)])
        weights = grad_weight_x, grad_weight_h, grad_bias_x, grad_bias_h
        return grad_x, incoming[0], *weights, None


def _factors(
    first: Tensor, recurrent: Tensor, fresh: Tensor, states: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What a unit of gradient at h' is at U h + b of each gate (3, T, R, H), and at n's input.

    Returns:
        These two, with z between them, and the states before each step, (T, R, H) each.
    """
    reset, update, from_state = recurrent.unbind(0)
    before = torch.cat([first.unsqueeze(0), states[:-1]])
    at_fresh = (1 - fresh * fresh).mul_(1 - update)
    factors = torch.stack(
        [
            at_fresh * from_state * (reset * (1 - reset)),
            (before - fresh).mul_(update * (1 - update)),
            at_fresh * reset,
        ]
    )
    return factors, update, at_fresh, before


def _sum_of_products(left: Sequence[Tensor], right: Sequence[Tensor]) -> Tensor:
    """sum_i left_i @ right_i."""
    total = torch.mm(left[0], right[0])
    for a, b in zip(left[1:], right[1:], strict=True):
        total.addmm_(a, b)
    return total
