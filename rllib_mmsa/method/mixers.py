"""Mixers: from the agents' chosen values to the joint value; and what they read of a roll-out.

Shapes: N agents, S state numbers, M mixed values (1 with a mixer, N without), J numbers of the
joint latent, K roll-out horizon, A actions. Every mixer maps (q (..., N), state (..., S)) to
(..., M); QPLEX's reads the actions besides (``mix``).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rllib_mmsa.method.qplex import DuplexMixer
from rllib_mmsa.method.sale import perceptron
from rllib_mmsa.method.settings import Settings


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


def make_qmixer(num_agents: int, num_actions: int, state_size: int, settings: Settings) -> QMixer:
    """QMIX's mixer with the widths of the settings."""
    widths = settings.mixing_embed_dim, settings.hypernet_embed_dim
    return QMixer(num_agents, state_size, *widths)


def make_qplex(num_agents: int, num_actions: int, state_size: int, settings: Settings) -> nn.Module:
    """QPLEX's mixer, as wide as the settings' hypernetworks."""
    return DuplexMixer(num_agents, num_actions, state_size, settings.hypernet_embed_dim)


#: Mixers by the name they have in a configuration: (N, A, S, settings) to a module.
MAKE_MIXER: dict[str | None, Callable[[int, int, int, Settings], nn.Module]] = {
    "qmix": make_qmixer,
    "qplex": make_qplex,
    "vdn": lambda num_agents, num_actions, state_size, settings: VDNMixer(),
    None: lambda num_agents, num_actions, state_size, settings: IndependentMixer(),
}


def mix(
    mixer: nn.Module,
    q_values: Tensor,
    state: Tensor,
    actions: Tensor,
    best: Callable[[], Tensor],
) -> Tensor:
    """The joint value of the actions that have the values ``q_values``.

    Args:
        mixer: one of ``MAKE_MIXER``, or a user's.
        q_values: (..., N).
        state: (..., S).
        actions: (..., N) int64.
        best: returns max_a Q_i(a), (..., N); called where the mixer has dueling parts (QPLEX).

    Returns:
        (..., M).
    """
    if isinstance(mixer, DuplexMixer):
        return mixer(q_values, state, actions, best())
    return mixer(q_values, state)


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
