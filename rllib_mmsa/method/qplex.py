"""QPLEX's mixer: all joint values whose best joint action is the agents' best ones.

Wang, Ren, Liu, Yu and Zhang, "QPLEX: Duplex Dueling Multi-Agent Q-Learning", ICLR 2021, section 3;
sizes from the authors' code (github.com/wjh720/QPLEX, ``qplex_sc2.yaml``, ``dmaq_general.py``).

Shapes: N agents, A actions, S state numbers, K heads, M mixed values (1; N without a mixer). Who
follows one update with the defaults need read only ``mix``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rllib_mmsa.method.sale import perceptron

#: Keeps weights above 0.
_LEAST = 1e-10


class DuplexMixer(nn.Module):
    """Q_tot = sum_i V_i + sum_i lambda_i A_i, lambda_i > 0 (equations 7 to 10).

    Each agent's dueling parts, V_i = max_a Q_i and A_i = Q_i(a_i) - V_i <= 0, are first transformed
    by the state: w_i(s) V_i + b_i(s) and w_i(s) A_i, w_i > 0 (equation 7). Every A_i is 0 at the
    agents' best actions and at most 0 elsewhere, so those are the best joint action whatever the
    lambda_i say of the others: QMIX's monotonicity is not needed.

    The gradient is that of the authors' code: of lambda_i A_i, only lambda_i learns, and Q_i learns
    as in sum_i w_i Q_i.

    Args:
        num_agents: N.
        num_actions: A.
        state_size: S, numbers in the (augmented) state.
        width: of the hidden layers.
        heads: K of the attention that makes lambda_i.
    """

    def __init__(
        self, num_agents: int, num_actions: int, state_size: int, width: int, heads: int = 4
    ):
        super().__init__()
        self.num_agents, self.num_actions, self.heads = num_agents, num_actions, heads
        joint = state_size + num_agents * num_actions
        self.weights = perceptron(state_size, width, num_agents)
        self.bias = perceptron(state_size, width, num_agents)
        self.keys = perceptron(state_size, width, heads, hidden_layers=2)
        self.of_state = perceptron(state_size, width, heads * num_agents, hidden_layers=2)
        self.of_actions = perceptron(joint, width, heads * num_agents, hidden_layers=2)

    def forward(self, q_values: Tensor, state: Tensor, actions: Tensor, best: Tensor) -> Tensor:
        """Q_tot of the actions chosen.

        Args:
            q_values: Q_i of the actions, (..., N).
            state: (..., S).
            actions: (..., N) int64.
            best: max_a Q_i(a) over the legal actions, (..., N).

        Returns:
            (..., 1).
        """
        w, b = self.weights(state).abs() + _LEAST, self.bias(state)
        advantages = (w * (q_values - best)).detach()
        by_agent = w * q_values + b + (self.importance(state, actions) - 1) * advantages
        return by_agent.sum(-1, keepdim=True)

    def importance(self, state: Tensor, actions: Tensor) -> Tensor:
        """lambda_i(s, a) = sum_k |key_k(s)| sigmoid(x_ki(s)) sigmoid(y_ki(s, a)), (..., N)."""
        taken = F.one_hot(actions, self.num_actions).to(state.dtype).flatten(-2)
        by_head = (self.heads, self.num_agents)
        of_state = self.of_state(state).unflatten(-1, by_head)
        of_actions = self.of_actions(torch.cat([state, taken], -1)).unflatten(-1, by_head)
        keys = self.keys(state).abs().unsqueeze(-1) + _LEAST
        return (keys * torch.sigmoid(of_state) * torch.sigmoid(of_actions)).sum(-2)


def mix(
    mixer: nn.Module,
    q_values: Tensor,
    state: Tensor,
    actions: Tensor,
    values: Callable[[], Tensor],
) -> Tensor:
    """The joint value of the actions that have the values ``q_values``.

    Args:
        mixer: any; one that is no ``DuplexMixer`` reads q_values and state alone.
        q_values: (..., N).
        state: (..., S).
        actions: (..., N) int64.
        values: returns those of all actions as ``targets.legal_values``, (..., N, A); called for a
            ``DuplexMixer``.

    Returns:
        (..., M).
    """
    if isinstance(mixer, DuplexMixer):
        return mixer(q_values, state, actions, values().amax(-1))
    return mixer(q_values, state)
