"""Mixers: from the agents' chosen values to the joint value.

Shapes: L steps, N agents, S state numbers, M mixed values.
Every mixer maps (q (L, N), state (L, S)) to (L, M). The state may come in parts, (L, S_1),
(L, S_2), ...; a part that asks for no gradient costs none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from rllib_mmsa.nets.kernels import LANES, Kernels, kernels_for
from rllib_mmsa.nets.linear import linear_of_parts
from rllib_mmsa.nets.mlp import of, two_layers


class IndependentMixer(nn.Module):
    """Mixes nothing: every agent learns from the team reward alone (M = N)."""

    def forward(self, q_values: Tensor, *state: Tensor) -> Tensor:
        """Returns q_values, (L, N)."""
        return q_values


class VDNMixer(nn.Module):
    """Q_tot = sum_i Q_i (Sunehag et al., 2018)."""

    def forward(self, q_values: Tensor, *state: Tensor) -> Tensor:
        """Returns the sum over agents, (L, 1)."""
        return q_values.sum(-1, keepdim=True)


def _hypernet(state_size: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(state_size, hidden), nn.ReLU(), nn.Linear(hidden, out))


def _hyper(net: nn.Sequential, rows: Sequence[Tensor]) -> Tensor:
    """A hypernetwork's output, (R, out), for the parts of R states."""
    return two_layers(rows, of(net[0]), of(net[2]))


class QMixer(nn.Module):
    """Q_tot monotonic in every Q_i, weights from the state (Rashid et al., 2018, section 4).

    Q_tot = |W_2(s)| ELU(|W_1(s)| Q + b_1(s)) + V(s), so dQ_tot / dQ_i >= 0 and the joint
    greedy action is that of the agents one by one.

    Args:
        num_agents: N.
        state_size: S, numbers in the (augmented) state.
        embed_dim: width of the mixing layer (32, Table 6).
        hypernet_dim: hidden width of the two-layer hypernetworks (64, Table 6).
    """

    def __init__(self, num_agents: int, state_size: int, embed_dim: int, hypernet_dim: int):
        super().__init__()
        self.num_agents, self.embed_dim = num_agents, embed_dim
        self.weights_1 = _hypernet(state_size, hypernet_dim, num_agents * embed_dim)
        self.bias_1 = nn.Linear(state_size, embed_dim)
        self.weights_2 = _hypernet(state_size, hypernet_dim, embed_dim)
        self.value = _hypernet(state_size, embed_dim, 1)

    def forward(self, q_values: Tensor, *state: Tensor) -> Tensor:
        """Returns Q_tot, (L, 1)."""
        steps = len(q_values)
        if q_values.shape[1:] != (self.num_agents,) or any(len(part) != steps for part in state):
            shapes = [tuple(part.shape) for part in state]
            raise ValueError(f"cannot mix q {tuple(q_values.shape)} with state {shapes}")
        kernels = kernels_for(q_values)
        if kernels is not None and self.embed_dim % LANES == 0:
            return self._compiled(kernels, q_values, state)
        weights_1 = _hyper(self.weights_1, state).abs().view(-1, self.num_agents, self.embed_dim)
        # Not a batched product: thousands of tiny ones are slower than this, backwards above all.
        mixed = (q_values.unsqueeze(-1) * weights_1).sum(-2)
        hidden = F.elu(mixed + linear_of_parts(state, self.bias_1.weight, self.bias_1.bias))
        weights_2 = _hyper(self.weights_2, state).abs()
        return (hidden * weights_2).sum(-1, keepdim=True) + _hyper(self.value, state)

    def _compiled(self, kernels: Kernels, q_values: Tensor, state: Sequence[Tensor]) -> Tensor:
        nets = self.weights_1, self.bias_1, self.weights_2, self.value
        first = cast(nn.Linear, self.weights_1[0])
        sizes = first.in_features, self.embed_dim, first.out_features
        weights = [parameter for net in nets for parameter in net.parameters()]
        parts = [part.contiguous() for part in state]
        return kernels.mix(q_values.contiguous(), parts, weights, sizes)
