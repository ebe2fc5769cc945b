"""The agents' network: the only part that acts. One network is shared by all agents.

Shapes: B episodes (or environments), T steps, N agents, A actions, D observation numbers,
H hidden size. An action index of A means "none yet" (the first step of an episode).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rllib_mmsa.nets.gru import GRU
from rllib_mmsa.nets.packing import Packing
from rllib_mmsa.td import take_actions

#: Recurrent state of an agent network: name -> tensor with leading (B, N).
AgentState = dict[str, Tensor]


class RecurrentAgent(nn.Module):
    """ReLU(Linear) -> GRU -> Linear, PyMARL's recurrent agent (section 4.2, Table 6).

    The input is [o_t ; onehot(a_{t-1}) ; onehot(i) ; features]. The one-hot parts are never
    built: their product with the first layer is a row of its weights.

    Args:
        num_agents, num_actions, obs_size: N, A, D.
        hidden_dim: H.
        observe_last_action: whether a_{t-1} is an input.
        observe_agent_id: whether the agent's index is an input.
        feature_size: numbers a subclass adds to the input.
    """

    def __init__(
        self,
        num_agents: int,
        num_actions: int,
        obs_size: int,
        hidden_dim: int,
        observe_last_action: bool = True,
        observe_agent_id: bool = True,
        feature_size: int = 0,
    ):
        super().__init__()
        self.num_agents, self.num_actions = num_agents, num_actions
        self.obs_size, self.hidden_dim = obs_size, hidden_dim
        self.observe_last_action, self.observe_agent_id = observe_last_action, observe_agent_id
        onehots = num_actions * observe_last_action + num_agents * observe_agent_id
        self.input = nn.Linear(obs_size + feature_size + onehots, hidden_dim)
        self.rnn = GRU(hidden_dim, hidden_dim)
        self.head = nn.Linear(hidden_dim, num_actions)

    def initial_state(self, batch: int, device: torch.device | None = None) -> AgentState:
        """State before the first observation of ``batch`` environments."""
        shape = (batch, self.num_agents)
        return {
            "hidden": torch.zeros(*shape, self.hidden_dim, device=device),
            "last_action": torch.full(shape, self.num_actions, dtype=torch.int64, device=device),
        }

    def step(self, obs: Tensor, state: AgentState) -> tuple[Tensor, AgentState]:
        """One step of acting.

        Args:
            obs: (B, N, D).
            state: what ``initial_state`` or the last call returned. The caller writes the
                action it takes into ``state["last_action"]``.

        Returns:
            Q values (B, N, A) and the next state.
        """
        x = self._embed(obs, state["last_action"], self._step_features(obs, state))
        hidden = self.rnn.step(x.flatten(0, 1), state["hidden"].flatten(0, 1))
        hidden = hidden.view(*obs.shape[:2], self.hidden_dim)
        return self.q_values(hidden, obs), {**state, "hidden": hidden}

    def unroll(self, obs: Tensor, actions: Tensor) -> Tensor:
        """Runs whole episodes of one length from their first step.

        Args:
            obs: (B, T, N, D).
            actions: (B, T-1, N) int64, or (B, T, N) of which the last step is not used.

        Returns:
            (B, T, N, H), the recurrent state after each observation.
        """
        batch, steps = obs.shape[:2]
        actions = F.pad(actions[:, : steps - 1], (0, 0, 0, 1))
        packing = Packing([batch] * steps, obs.device)
        obs, actions = (values.transpose(0, 1).flatten(0, 1) for values in (obs, actions))
        hidden = self.run(obs, actions, packing)
        return hidden.unflatten(0, (steps, batch)).transpose(0, 1)

    def run(self, obs: Tensor, actions: Tensor, packing: Packing) -> Tensor:
        """Runs episodes of any length from their first step, P observations in all.

        Args:
            obs: (P, N, D).
            actions: (P, N) int64, taken on them; at an episode's last one any.
            packing: how the episodes lie in P.

        Returns:
            (P, N, H), the recurrent state after each observation.
        """
        last_actions = packing.shift(actions, self.num_actions)
        x = self._embed(obs, last_actions, self._run_features(obs, actions, packing))
        return self.rnn(x, packing)

    def q_values(self, hidden: Tensor, obs: Tensor) -> Tensor:
        """Q(h, .) of every action: (..., N, H), (..., N, D) to (..., N, A)."""
        return self.head(hidden)

    def encode_obs(self, obs: Tensor) -> Any:
        """What values need of observations (..., N, D) alone, whatever came before them."""
        return None

    def prepare(self, hidden: Tensor, encoded: Any) -> Any:
        """What ``legal_q`` and ``chosen_q`` make values of.

        Args:
            hidden: (..., N, H).
            encoded: what ``encode_obs`` returned.
        """
        return self.head(hidden)

    def legal_q(self, prepared: Any, legal: Tensor) -> Tensor:
        """``q_values`` without gradient, (..., N, A).

        Args:
            prepared: what ``prepare`` returned.
            legal: (..., N, A) bool, whose values are asked; the others may be anything.
        """
        return prepared.detach()

    def chosen_q(self, prepared: Any, actions: Tensor) -> Tensor:
        """Q(h, a) of one action each, with gradient, (..., N).

        Args:
            prepared: what ``prepare`` returned.
            actions: (..., N) int64.
        """
        return take_actions(prepared, actions)

    def legal_and_chosen_q(
        self, prepared: Any, legal: Tensor, actions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """``legal_q`` and ``chosen_q``, which may have something in common."""
        return self.legal_q(prepared, legal), self.chosen_q(prepared, actions)

    def _embed(self, obs: Tensor, last_actions: Tensor, features: Tensor | None) -> Tensor:
        """First layer on [obs ; features ; onehot(last action) ; onehot(id)], (..., N, H)."""
        dense = obs if features is None else torch.cat([obs, features], -1)
        weight = self.input.weight
        split = dense.shape[-1]
        x = F.linear(dense, weight[:, :split], self.input.bias)
        if self.observe_last_action:
            rows = F.pad(weight[:, split : split + self.num_actions].t(), (0, 0, 0, 1))
            x = x + F.embedding(last_actions, rows)  # row A, "none yet", is zero
        if self.observe_agent_id:
            x = x + weight[:, -self.num_agents :].t()
        return F.relu(x)

    def _step_features(self, obs: Tensor, state: AgentState) -> Tensor | None:
        return None

    def _run_features(self, obs: Tensor, actions: Tensor, packing: Packing) -> Tensor | None:
        return None
