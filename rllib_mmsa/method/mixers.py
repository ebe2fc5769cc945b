"""Mixers: from the agents' chosen values to the joint value; and what they read of a roll-out.

Shapes: N agents, S state numbers, M mixed values (1 with a mixer, N without), J numbers of the
joint latent, K roll-out horizon. Every mixer maps (q (..., N), state (..., S)) to (..., M). That of
QPLEX, which reads the actions besides, has a file of its own (qplex.py).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rllib_mmsa.method.sale import perceptron


class IndependentMixer(nn.Module):
    """Mixes nothing: every agent learns from the team reward alone (Tan, 1993)."""

    def forward(self, q_values: Tensor, state: Tensor) -> Tensor:
        """Returns q_values, (..., N)."""
        return q_values


class VDNMixer(nn.Module):
    """Q_tot = sum_i Q_i (Sunehag et al., 2018)."""

    def forward(self, q_values: Tensor, state: Tensor) -> Tensor:
        """Returns the sum over agents, (..., 1)."""
        return q_values.sum(-1, keepdim=True)


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
        self.weights_1 = perceptron(state_size, hypernet_dim, num_agents * embed_dim)
        self.bias_1 = nn.Linear(state_size, embed_dim)
        self.weights_2 = perceptron(state_size, hypernet_dim, embed_dim)
        self.value = perceptron(state_size, embed_dim, 1)

    def forward(self, q_values: Tensor, state: Tensor) -> Tensor:
        """Returns Q_tot, (..., 1)."""
        weights_1 = self.weights_1(state).abs().unflatten(-1, (self.num_agents, self.embed_dim))
        mixed = (q_values.unsqueeze(-1) * weights_1).sum(-2)
        hidden = F.elu(mixed + self.bias_1(state))
        weights_2 = self.weights_2(state).abs()
        return (hidden * weights_2).sum(-1, keepdim=True) + self.value(state)


class RolloutAggregator(nn.Module):
    """s_t^Rollout = tanh(Linear([s_t ; s_{t+1} ; ... ; s_{t+K}])); part of the mixer (section 4.4).

    The paper does not say how latents are aggregated. tanh bounds what the mixer reads, however
    far latents move.

    Args:
        joint_dim: J.
        horizon: K.
        out_size: numbers of s_t^Rollout.
    """

    def __init__(self, joint_dim: int, horizon: int, out_size: int):
        super().__init__()
        self.out_size = out_size
        self.linear = nn.Linear((horizon + 1) * joint_dim, out_size)

    def forward(self, rollout: Tensor) -> Tensor:
        """(..., K+1, J) to (..., out_size)."""
        return torch.tanh(self.linear(rollout.flatten(-2)))
