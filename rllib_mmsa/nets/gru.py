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
from torch.nn.utils.rnn import PackedSequence

from rllib_mmsa.nets.beside import at_once, beside
from rllib_mmsa.nets.kernels import LANES, Kernels, kernels_for
from rllib_mmsa.nets.packing import Packing
from rllib_mmsa.nets.scripted import scripted


class GRU(nn.GRU):
    """One layer, one direction: ``nn.GRU(input_size, hidden_size)`` on packed sequences.

    Off the CPU it is PyTorch's own (cuDNN).

    Shapes: P steps of all sequences (``Packing``), R rows of each, I and H numbers.
    """

    weight_ih_l0: Tensor
    weight_hh_l0: Tensor
    bias_ih_l0: Tensor
    bias_hh_l0: Tensor

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__(input_size, hidden_size)

    def forward(  # type: ignore[override]
        self, x: Tensor, packing: Packing | None = None
    ) -> Tensor:
        """Runs over time from a state of zeros.

        Args:
            x: (P, R, input_size), R rows for each step of each sequence.
            packing: how sequences lie in P; one sequence of P steps by default.

        Returns:
            The states after each step, (P, R, hidden_size).
        """
        packing = packing or Packing([1] * len(x), x.device)
        if x.device.type != "cpu":
            rows = x.shape[1]
            sizes = torch.tensor([rows * count for count in packing.counts])
            states, _ = super().forward(PackedSequence(x.flatten(0, 1), sizes))
            return states.data.unflatten(0, (-1, rows))
        weights = self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0
        kernels = kernels_for(x, with_gradient=True)
        if kernels is not None and self.hidden_size % LANES == 0:
            counts = [x.shape[1] * count for count in packing.counts]
            given = kernels, counts, torch.is_grad_enabled(), x.flatten(0, 1), *weights
            compiled: Tensor = _CompiledGRU.apply(*given)
            return compiled.view(*x.shape[:2], -1)
        goes_back = torch.is_grad_enabled() and self.weight_hh_l0.requires_grad
        return _FusedGRU.apply(x, *weights, packing, goes_back)

    def step(self, x: Tensor, hidden: Tensor) -> Tensor:
        """One step alone: (R, input_size) and (R, hidden_size) to (R, hidden_size)."""
        return torch.gru_cell(
            x, hidden, self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0
        )


class _CompiledGRU(torch.autograd.Function):
    """``GRU.forward`` with both ways compiled."""

    @staticmethod
    def forward(
        ctx: Any,
        kernels: Kernels,
        counts: Sequence[int],
        recorded: bool,
        x: Tensor,
        *weights: Tensor,
    ) -> Tensor:
        """x (P, I), the rows of each step after those of the last, to (P, H)."""
        x, keep = x.contiguous(), recorded and any(ctx.needs_input_grad)
        states, kept = kernels.gru(x, weights, counts, keep)
        ctx.save_for_backward(x, *weights, states, kept)
        ctx.kernels, ctx.counts = kernels, counts
        return states

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        x, *weights, states, kept = ctx.saved_tensors
        read = x, weights, ctx.counts, (states, kept), grads[0].contiguous()
        of_x, of_weights = ctx.kernels.gru_back(*read, ctx.needs_input_grad[3])
        return None, None, None, of_x, *of_weights


@scripted
def _run(
    gates: Tensor, fresh: Tensor, states: Tensor, by_gate_h: Tensor, counts: list[int]
) -> None:
    """The recurrence, over what lies ready of the gates (3, P, H), 2 n and h' (P, H).

    tanh(x) = 2 sigmoid(2 x) - 1: PyTorch's tanh takes four times as long as its sigmoid.

    Args:
        counts: rows of each step.
    """
    gate, switch = gates.split(counts, 1), gates[:2].split(counts, 1)
    reset, at_new = gates[0].split(counts), gates[2].split(counts)
    update, new, state = gates[1].split(counts), fresh.split(counts), states.split(counts)
    hidden = torch.zeros_like(new[0])
    minus_one = torch.full_like(hidden, -1.0)
    for t, count in enumerate(counts):
        if len(hidden) > count:  # some sequences have ended
            hidden, minus_one = hidden.narrow(0, 0, count), minus_one.narrow(0, 0, count)
        gate[t].baddbmm_(hidden.expand(3, -1, -1), by_gate_h)
        switch[t].sigmoid_()
        new[t].addcmul_(reset[t], at_new[t], value=2.0).sigmoid_()
        torch.add(minus_one, new[t], alpha=2.0, out=new[t])
        hidden = torch.lerp(new[t], hidden, update[t], out=state[t])


@scripted
def _run_back(
    factors: Tensor, update: Tensor, incoming: Tensor, by_gate_h: Tensor, counts: list[int]
) -> None:
    """The recurrence from the last step to the first: gradients of the gates and of each h'."""
    factor, z = factors.split(counts, 1), update.split(counts)
    now = incoming.split(counts)
    for back in range(len(counts)):
        t = len(counts) - 1 - back
        factor[t].mul_(now[t])
        if t > 0:
            before = now[t - 1]
            if len(before) > counts[t]:  # some sequences had ended
                before = before.narrow(0, 0, counts[t])
            before.addcmul_(now[t], z[t]).addbmm_(factor[t], by_gate_h)


class _FusedGRU(torch.autograd.Function):
    """r, z = sigmoid(W x + U h + b); n = tanh(W_n x + b_n + r (U_n h + c_n)); h' = n + z (h - n).

    PyTorch's notation (Cho et al., 2014). Gates lie one after the other, (3, P R, H): no
    operation reads memory with gaps.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight_x: Tensor,
        weight_h: Tensor,
        bias_x: Tensor,
        bias_h: Tensor,
        packing: Packing,
        goes_back: bool,
    ) -> Tensor:
        """x (P, R, I), weights (3H, I), (3H, H), biases (3H,) to (P, R, H)."""
        each, size = x.shape[1], weight_h.shape[1]
        by_gate_x = weight_x.view(3, size, -1).transpose(1, 2)  # (3, I, H)
        by_gate_h = weight_h.view(3, size, size).transpose(1, 2)
        flat = x.flatten(0, 1)
        # The part of U_n h stays outside r (...): the last gate's input has a place of its own.
        recurrent = x.new_empty(3, len(flat), size)
        bias = (bias_x + bias_h)[: 2 * size].view(2, 1, size)
        torch.baddbmm(bias, flat.expand(2, -1, -1), by_gate_x[:2], out=recurrent[:2])
        recurrent[2] = bias_h[2 * size :]
        fresh = torch.addmm(bias_x[2 * size :], flat, by_gate_x[2], beta=2, alpha=2)
        states = x.new_empty(*x.shape[:2], size)
        rows = [each * count for count in packing.counts]
        _run(recurrent, fresh, states.flatten(0, 1), by_gate_h, rows)
        ctx.save_for_backward(x, weight_x, weight_h, recurrent, fresh, states)
        ctx.packing = packing
        # Backwards it would be waited for.
        read = recurrent, fresh, states.detach(), packing
        ctx.factors = beside(lambda: _factors(*read)) if goes_back else None
        return states

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Back through time; factors that no gradient enters are there already."""
        x, weight_x, weight_h, recurrent, fresh, states = ctx.saved_tensors
        ready = ctx.factors or (lambda: _factors(recurrent, fresh, states, ctx.packing))
        ctx.factors = None  # they are written over
        of_h, update, at_fresh, before = ready()
        size = weight_h.shape[1]
        incoming = grads[0].clone(memory_format=torch.contiguous_format).flatten(0, 1)
        rows = [x.shape[1] * count for count in ctx.packing.counts]
        _run_back(of_h, update, incoming, weight_h.view(3, size, size), rows)
        # The last gate's input lies outside r (...): it has a gradient of its own.
        of_new = incoming.mul_(at_fresh)
        of_x = (*of_h[:2], of_new)
        inputs, asked = x.flatten(0, 1), ctx.needs_input_grad[0]
        grad_weight_h, grad_weight_x, grad_x = at_once(
            lambda product: product(),
            [
                lambda: torch.matmul(of_h.transpose(1, 2), before).flatten(0, 1),
                lambda: torch.cat([torch.mm(gate.t(), inputs) for gate in of_x]),
                lambda: _sum_of_products(of_x, weight_x.chunk(3)).view_as(x) if asked else None,
            ],
        )
        grad_bias_h = of_h.sum(1).flatten()
        grad_bias_x = torch.cat([grad_bias_h[: 2 * size], of_new.sum(0)])
        return grad_x, grad_weight_x, grad_weight_h, grad_bias_x, grad_bias_h, None, None


def _factors(
    recurrent: Tensor, fresh: Tensor, states: Tensor, packing: Packing
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What a unit of gradient at h' is at U h + b of each gate (3, P R, H), and at n's input.

    Returns:
        These two, with z between them, and the states before each step, (P R, H) each.
    """
    reset, update, from_state = recurrent.unbind(0)
    before = packing.shift(states).flatten(0, 1)
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
