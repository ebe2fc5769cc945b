"""The agents' networks: the only part that acts. One network is shared by all agents.

Shapes: B episodes (or environments), T steps, N agents, A actions, D observation numbers,
H hidden size, E size of an embedding. An action index of A means "none yet" (the first step of an
episode).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rllib_mmsa.method.entities import EntityHead
from rllib_mmsa.method.sale import SaleEncoder
from rllib_mmsa.method.targets import take_actions

#: Recurrent state of an agent network: name -> tensor with leading (B, N).
AgentState = dict[str, Tensor]


#: Makes a layer from its numbers of inputs and outputs: ``nn.Linear``, or HPN's.
MakeLayer = Callable[[int, int], nn.Module]


class RecurrentAgent(nn.Module):
    """ReLU(Linear) -> GRU -> Linear, PyMARL's recurrent agent (section 4.2, Table 6).

    The input is [o_t ; onehot(a_{t-1}) ; onehot(i)]. HPN's agents (``entities.py``) have other
    layers in the place of both linear ones.

    Args:
        num_agents, num_actions, obs_size: N, A, D.
        hidden_dim: H.
        observe_last_action: whether a_{t-1} is an input.
        observe_agent_id: whether the agent's index is an input.
        make_input: makes the first layer.
        make_head: makes the last one.
    """

    def __init__(
        self,
        num_agents: int,
        num_actions: int,
        obs_size: int,
        hidden_dim: int,
        observe_last_action: bool = True,
        observe_agent_id: bool = True,
        make_input: MakeLayer = nn.Linear,
        make_head: MakeLayer = nn.Linear,
    ):
        super().__init__()
        self.num_agents, self.num_actions = num_agents, num_actions
        self.obs_size, self.hidden_dim = obs_size, hidden_dim
        self.observe_last_action, self.observe_agent_id = observe_last_action, observe_agent_id
        onehots = num_actions * observe_last_action + num_agents * observe_agent_id
        self.input = make_input(obs_size + onehots, hidden_dim)
        self.rnn = nn.GRU(hidden_dim, hidden_dim)
        self.head = make_head(hidden_dim, num_actions)

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
        x = self.embed(obs, state["last_action"])
        hidden = self.recur(x.unsqueeze(1), state["hidden"]).squeeze(1)
        return self.q_values(hidden, obs), {**state, "hidden": hidden}

    def unroll(self, obs: Tensor, actions: Tensor) -> Tensor:
        """Runs whole episodes from their first step.

        Args:
            obs: (B, T+1, N, D).
            actions: (B, T, N) int64.

        Returns:
            h, (B, T+1, N, H), the recurrent state after each observation.
        """
        last_actions = F.pad(actions, (0, 0, 1, 0), value=self.num_actions)
        start = obs.new_zeros(len(obs), self.num_agents, self.hidden_dim)
        return self.recur(self.embed(obs, last_actions), start)

    def embed(self, obs: Tensor, last_actions: Tensor) -> Tensor:
        """ReLU(input([o ; onehot(last action) ; onehot(id)])), (..., N, D) to (..., N, H)."""
        parts = [obs]
        if self.observe_last_action:
            parts.append(self.one_hot(last_actions))
        if self.observe_agent_id:
            ids = torch.eye(self.num_agents, dtype=obs.dtype, device=obs.device)
            parts.append(ids.expand(*obs.shape[:-1], -1))
        return F.relu(self.input(torch.cat(parts, -1)))

    def recur(self, x: Tensor, hidden: Tensor) -> Tensor:
        """The GRU over time: x (B, T, N, H) from a state (B, N, H) to all states (B, T, N, H)."""
        batch, steps = x.shape[:2]
        by_time = x.transpose(0, 1).reshape(steps, -1, self.hidden_dim)
        states, _ = self.rnn(by_time, hidden.reshape(1, -1, self.hidden_dim))
        return states.view(steps, batch, -1, self.hidden_dim).transpose(0, 1)

    def one_hot(self, actions: Tensor) -> Tensor:
        """(...) int64 to (..., A) float; "none yet" becomes zeros."""
        weight: Any = self.rnn.weight_hh_l0
        return F.one_hot(actions, self.num_actions + 1)[..., :-1].to(weight.dtype)

    def q_values(self, hidden: Tensor, obs: Tensor) -> Tensor:
        """Q_i(h, o, .) of every action: (..., N, H), (..., N, D) to (..., N, A)."""
        return _values(self.head, hidden, obs)

    def q_value(self, hidden: Tensor, obs: Tensor, actions: Tensor) -> Tensor:
        """Q_i(h, o, a) of one action each, (..., N) int64 to (..., N)."""
        return take_actions(self.q_values(hidden, obs), actions)


class SaleAgent(RecurrentAgent):
    """Agents with state-action learned embeddings of their observations (section 4.2).

    Q_i(h, o, a) = head(ReLU(W_h [h ; z^o] + W_a [z^oa ; phi^oa])) + per_action(h)_a, where
    z^o = f(o), z^oa = g(z^o, a) and phi^oa = normalise(Linear(o, a)), for every candidate action a.
    HPN's agents have ``EntityHead`` for ``per_action``, and the same head on embeddings.

    The encoders f and g stand still here, as TD7's fixed encoders do: no loss moves them. Copies
    of them learn (``TeamNetworks.learned_sale``), and are copied here when targets are.

    Args:
        sale_dim: E.
        sale_hidden_dim: width of the hidden layers of f, g and the head.
        normaliser: a key of ``sale.MAKE_NORMALISER``.
        make_head: makes ``per_action``.
        **kwargs: see ``RecurrentAgent``.
    """

    def __init__(
        self,
        *,
        sale_dim: int,
        sale_hidden_dim: int,
        normaliser: str,
        make_head: MakeLayer = nn.Linear,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.sale = SaleEncoder(
            self.obs_size, self.num_actions, sale_dim, sale_hidden_dim, normaliser
        )
        for parameter in self.sale.encoder_parameters():
            parameter.requires_grad_(False)
        self.from_state = nn.Linear(self.hidden_dim + sale_dim, sale_hidden_dim)
        self.from_action = nn.Linear(2 * sale_dim, sale_hidden_dim, bias=False)
        self.head = nn.Linear(sale_hidden_dim, 1, bias=False)
        # Without a linear map of h besides, learning stands still early (docs/readings.md).
        self.per_action = make_head(self.hidden_dim, self.num_actions)

    def q_values(self, hidden: Tensor, obs: Tensor) -> Tensor:
        every = torch.arange(self.num_actions, device=obs.device)
        hidden, obs = hidden.unsqueeze(-2), obs.unsqueeze(-2)
        return self.q_value(hidden, obs, every.expand(*obs.shape[:-2], -1))

    def q_value(self, hidden: Tensor, obs: Tensor, actions: Tensor) -> Tensor:
        a = self.one_hot(actions)
        with torch.no_grad():
            z = self.sale.encode(obs)
            z_a = self.sale.encode_action(_alike(z, a), a)
        phi = self.sale.direct(_alike(obs, a), a)
        joint = self.from_state(torch.cat([hidden, z], -1))
        joint = F.relu(joint + self.from_action(torch.cat([z_a, phi], -1)))
        linear = take_actions(_alike(_values(self.per_action, hidden, obs), a), actions)
        return self.head(joint).squeeze(-1) + linear


def _values(head: nn.Module, hidden: Tensor, obs: Tensor) -> Tensor:
    """What a head says of all actions: HPN's reads the things in o, any other h alone."""
    values: Tensor = head(hidden, obs) if isinstance(head, EntityHead) else head(hidden)
    return values


def _alike(x: Tensor, a: Tensor) -> Tensor:
    """x (..., X), repeated for as many actions as a (..., A) has."""
    return x.expand(*a.shape[:-1], -1)
