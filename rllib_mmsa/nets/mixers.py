"""Mixers: from the agents' chosen values to the joint value.

Shapes: B episodes, T steps, N agents, S state numbers, M mixed values.
Every mixer maps (q (B, T, N), state (B, T, S)) to (B, T, M).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class IndependentMixer(nn.Module):
    """Mixes nothing: every agent learns from the team reward alone (M = N)."""

    def forward(self, q_values: Tensor, state: Tensor) -> Tensor:
        """Returns q_values, (B, T, N)."""
        return q_values


class VDNMixer(nn.Module):
    """Q_tot = sum_i Q_i (Sunehag et al., 2018)."""

    def forward(self, q_values: Tensor, state: Tensor) -> Tensor:
        """Returns the sum over agents, (B, T, 1)."""
        return q_values.sum(-1, keepdim=True)


def _hypernet(state_size: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(state_size, hidden), nn.ReLU(), nn.Linear(hidden, out))


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

    def forward(self, q_values: Tensor, state: Tensor) -> Tensor:
        """Returns Q_tot, (B, T, 1)."""
        batch = q_values.shape[:2]
        if q_values.shape[2] != self.num_agents or state.shape[:2] != batch:
            raise ValueError(f"cannot mix q {tuple(q_values.shape)} with state {state.shape}")
        weights_1 = self.weights_1(state).abs().view(*batch, self.num_agents, self.embed_dim)
        # Not a batched product: thousands of tiny ones are slower than this, backwards above all.
        mixed = (q_values.unsqueeze(-1) * weights_1).sum(-2)
        hidden = F.elu(mixed + self.bias_1(state))  # (B, T, E)
        weights_2 = self.weights_2(state).abs()
        return (hidden * weights_2).sum(-1, keepdim=True) + self.value(state)
