"""Agent networks: the only part that acts. One network is shared by all agents.

Shapes: B episodes (or environments), T steps, N agents, A actions, D observation numbers,
H hidden size, E size of a state-action learned embedding. An action index of A means "none
yet" (the first step of an episode).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rllib_mmsa.nets.beside import at_once
from rllib_mmsa.nets.gru import GRU
from rllib_mmsa.nets.sale import SaleEncoder
from rllib_mmsa.td import take_actions

#: Rows whose candidate actions are valued in one go.
_ROWS_AT_A_TIME = 1024
#: Share of legal actions below which they alone are valued: picking them has its price.
_WORTH_PICKING = 0.8


def by_time(x: Tensor) -> Tensor:
    """(B, T, ...) to (T, B, ...), without gaps; and back."""
    return x.transpose(0, 1).contiguous()


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
        flat = x.reshape(1, -1, self.hidden_dim)
        _, hidden = self.rnn(flat, state["hidden"].reshape(1, -1, self.hidden_dim))
        hidden = hidden.view(*obs.shape[:2], self.hidden_dim)
        return self.q_values(hidden, obs), {**state, "hidden": hidden}

    def unroll(self, obs: Tensor, actions: Tensor) -> Tensor:
        """Runs whole episodes from their first step.

        Args:
            obs: (B, T, N, D).
            actions: (B, T-1, N) int64, or (B, T, N) of which the last step is not used.

        Returns:
            (B, T, N, H), the recurrent state after each observation.
        """
        batch, steps = obs.shape[:2]
        last_actions = F.pad(
            actions[:, : steps - 1], (0, 0, 1, 0), value=self.num_actions
        )  # (B, T, N)
        features = self._unroll_features(obs, actions)
        # Time first from here on: the narrow inputs are turned, and not the wide layer they make.
        features = None if features is None else by_time(features)
        x = self._embed(by_time(obs), by_time(last_actions), features)
        hidden, _ = self.rnn(x.flatten(1, 2))
        hidden = hidden.view(steps, batch, self.num_agents, self.hidden_dim)
        return by_time(hidden)

    def q_values(self, hidden: Tensor, obs: Tensor) -> Tensor:
        """Q(h, .) of every action: (..., N, H), (..., N, D) to (..., N, A)."""
        return self.head(hidden)

    def chosen_q(self, hidden: Tensor, obs: Tensor, actions: Tensor) -> Tensor:
        """Q(h, a) of one action each: as ``q_values``, and (..., N) int64, to (..., N)."""
        return take_actions(self.q_values(hidden, obs), actions)

    def legal_q(self, hidden: Tensor, obs: Tensor, legal: Tensor) -> tuple[Tensor, Any]:
        """``q_values`` without gradient, and what ``chosen_of`` makes the chosen ones of.

        Args:
            hidden, obs: as for ``q_values``.
            legal: (..., N, A) bool, whose values are asked; the others may be anything.
        """
        q_values = self.q_values(hidden, obs)
        return q_values.detach(), q_values

    def chosen_of(self, valued: Any, actions: Tensor) -> Tensor:
        """``chosen_q``, with gradient, for less than it costs from the start.

        Args:
            valued: what ``legal_q`` returned beside the values.
            actions: (..., N) int64.
        """
        return take_actions(valued, actions)

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

    def _unroll_features(self, obs: Tensor, actions: Tensor) -> Tensor | None:
        return None


class _SaleAgent(RecurrentAgent):
    """A recurrent agent with state-action learned embeddings of its observation.

    f and g get no gradient from what the agent computes ("decoupled", section 4.2).
    """

    def __init__(
        self, *, sale_dim: int, sale_hidden_dim: int, normaliser: str, feature_size: int, **kwargs
    ):
        super().__init__(feature_size=feature_size, **kwargs)
        self.sale_dim = sale_dim
        self.sale = SaleEncoder(
            self.obs_size, self.num_actions, sale_dim, sale_hidden_dim, normaliser
        )

    def one_hot(self, actions: Tensor) -> Tensor:
        """(...) int64 to (..., A) float; "none yet" becomes zeros."""
        return F.one_hot(actions, self.num_actions + 1)[..., :-1].to(self.input.weight.dtype)

    def encode(self, obs: Tensor) -> Tensor:
        """z^o without gradient, (..., E)."""
        with torch.no_grad():
            return self.sale.encode(obs)


class PreviousActionSaleAgent(_SaleAgent):
    """``sale_action="previous"``: (z^o_t, z^oa_{t-1}, phi^oa_{t-1}) enter the GRU.

    What the embeddings foresaw for this step lies beside what came, at the price of one
    embedding per step.
    """

    def __init__(self, *, sale_dim: int, **kwargs):
        super().__init__(sale_dim=sale_dim, feature_size=3 * sale_dim, **kwargs)

    def initial_state(self, batch: int, device: torch.device | None = None) -> AgentState:
        state = super().initial_state(batch, device)
        shape = (batch, self.num_agents, self.obs_size)
        return {**state, "last_obs": torch.zeros(shape, device=device)}

    def step(self, obs: Tensor, state: AgentState) -> tuple[Tensor, AgentState]:
        q_values, state = super().step(obs, state)
        return q_values, {**state, "last_obs": obs}

    def _action_features(self, obs: Tensor, z: Tensor, actions: Tensor) -> Tensor:
        """[z^oa ; phi^oa] of the actions taken, (..., N, 2E)."""
        one_hot = self.one_hot(actions)
        with torch.no_grad():
            z_a = self.sale.encode_action(z, one_hot)
        return torch.cat([z_a, self.sale.direct(obs, one_hot)], -1)

    def _step_features(self, obs: Tensor, state: AgentState) -> Tensor:
        last_obs, last_action = state["last_obs"], state["last_action"]
        past = self._action_features(last_obs, self.encode(last_obs), last_action)
        past = past * (last_action < self.num_actions).unsqueeze(-1)
        return torch.cat([self.encode(obs), past], -1)

    def _unroll_features(self, obs: Tensor, actions: Tensor) -> Tensor:
        z = self.encode(obs)
        last = obs.shape[1] - 1
        past = self._action_features(obs[:, :last], z[:, :last], actions[:, :last])
        return torch.cat([z, F.pad(past, (0, 0, 0, 0, 1, 0))], -1)  # (B, T, N, 3E)


class _Rows(NamedTuple):
    """What the values of all actions share (``CandidateActionSaleAgent``), for R rows.

    Attributes:
        obs: (R, D).
        z: (R, E), z^o.
        from_state: (R, hidden), the head's first layer on (h, z^o).
        per_action: (R, A), what h alone says of every action.
        from_g, from_phi: (hidden, hidden) and (hidden, E), the same layer on g's hidden layer and
            on phi^oa.
    """

    obs: Tensor
    z: Tensor
    from_state: Tensor
    per_action: Tensor
    from_g: Tensor
    from_phi: Tensor


class CandidateActionSaleAgent(_SaleAgent):
    """``sale_action="candidate"``: Q_i(h_t, z^o, z^oa(a), phi^oa(a)) for every action a.

    The candidates' embeddings are one batched product; no loop over actions.
    """

    def __init__(self, *, sale_dim: int, sale_head_dim: int, **kwargs):
        super().__init__(sale_dim=sale_dim, feature_size=0, **kwargs)
        # The head runs once per action and step: its width is what this reading costs.
        self.from_state = nn.Linear(self.hidden_dim + sale_dim, sale_head_dim)
        self.from_action = nn.Linear(2 * sale_dim, sale_head_dim, bias=False)
        self.head = nn.Linear(sale_head_dim, 1, bias=False)
        self.per_action = nn.Linear(self.hidden_dim, self.num_actions)

    def q_values(self, hidden: Tensor, obs: Tensor) -> Tensor:
        values = self._every(self._rows(hidden, obs))
        return values.view(*hidden.shape[:-1], self.num_actions)

    def chosen_q(self, hidden: Tensor, obs: Tensor, actions: Tensor) -> Tensor:
        """Embeds the one action alone: an A-th of the work of ``q_values``."""
        return self.chosen_of(self._rows(hidden, obs), actions)

    def legal_q(self, hidden: Tensor, obs: Tensor, legal: Tensor) -> tuple[Tensor, _Rows]:
        rows = self._rows(hidden, obs)
        with torch.no_grad():
            pairs = legal.reshape(-1, self.num_actions).nonzero()
            sparse = len(pairs) < _WORTH_PICKING * legal.numel()
            every = self._picked(rows, pairs) if sparse else self._every(rows)
        return every.view(legal.shape), rows

    def _rows(self, hidden: Tensor, obs: Tensor) -> _Rows:
        """What every action's value shares, R rows of (..., N)."""
        rows = obs.reshape(-1, self.obs_size)
        z = self.encode(rows)
        from_z_a, from_phi = self.from_action.weight.split(self.sale_dim, -1)
        # What lies between g's hidden layer and the head's is linear, so one product does it.
        from_g, bias = self.sale.compose_g(from_z_a)
        from_state = F.linear(
            torch.cat([hidden.reshape(-1, self.hidden_dim), z], -1),
            self.from_state.weight,
            self.from_state.bias + bias,
        )
        per_action = self.per_action(hidden.reshape(-1, self.hidden_dim))
        return _Rows(rows, z, from_state, per_action, from_g, from_phi)

    def _every(self, rows: _Rows) -> Tensor:
        """Values of every action, (R, A), some rows at a time: what one needs fits a cache."""
        parts = (part.split(_ROWS_AT_A_TIME) for part in (rows.obs, rows.z, rows.from_state))
        blocks = [rows._replace(obs=o, z=z, from_state=s) for o, z, s in zip(*parts, strict=True)]
        values = at_once(
            lambda block: self._values(block, *self.sale.every_action(block.obs, block.z)), blocks
        )
        return torch.cat(values) + rows.per_action

    def _picked(self, rows: _Rows, pairs: Tensor) -> Tensor:
        """Values of some rows' actions, pairs (P, 2), in their places in (R, A)."""
        values = rows.obs.new_zeros(len(rows.obs), self.num_actions)
        from_z, from_obs, of_g, of_phi = self.sale.before_actions(rows.obs, rows.z)

        def fill(some_pairs: Tensor) -> None:
            row, action = some_pairs.unbind(1)
            g_hidden = from_z.index_select(0, row).add_(of_g.index_select(0, action)).relu_()
            phi = from_obs.index_select(0, row).add_(of_phi.index_select(0, action))
            phi = self.sale.phi_norm(phi)
            some = rows._replace(from_state=rows.from_state.index_select(0, row))
            of_pairs = self._values(some, g_hidden.unsqueeze(1), phi.unsqueeze(1))
            values.index_put_((row, action), of_pairs.squeeze(1))

        at_once(fill, pairs.split(4 * _ROWS_AT_A_TIME))
        return values + rows.per_action

    def chosen_of(self, valued: _Rows, actions: Tensor) -> Tensor:
        g_hidden, phi = self.sale.one_action(valued.obs, valued.z, actions.reshape(-1))
        values = self._values(valued, g_hidden.unsqueeze(1), phi.unsqueeze(1)).view(actions.shape)
        return values + take_actions(valued.per_action.view(*actions.shape, -1), actions)

    def _values(self, rows: _Rows, g_hidden: Tensor, phi: Tensor) -> Tensor:
        """The head on g's hidden layer and phi^oa of C actions, (R, C, ...), to (R, C)."""
        # In place: these are the largest tensors of an update, and no gradient asks for what is
        # written over.
        joint = torch.mm(g_hidden.flatten(0, 1), rows.from_g.t())
        joint.addmm_(phi.flatten(0, 1), rows.from_phi.t())
        joint = joint.view(*phi.shape[:2], joint.shape[-1])
        joint.add_(rows.from_state.unsqueeze(1)).relu_()
        return self.head(joint).squeeze(-1)


#: MMSA's readings of "the action inside z^oa", by the name they have in a configuration.
SALE_AGENTS: dict[str, type[_SaleAgent]] = {
    "previous": PreviousActionSaleAgent,
    "candidate": CandidateActionSaleAgent,
}
