"""Agents with state-action learned embeddings (SALE) of their observations (section 4.2).

Shapes: B episodes (or environments), T steps, N agents, A actions, D observation numbers,
H hidden size, E size of an embedding. An action index of A means "none yet".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rllib_mmsa.nets.agents import AgentState, RecurrentAgent
from rllib_mmsa.nets.beside import at_once, in_parts
from rllib_mmsa.nets.kernels import Kernels, kernels_for
from rllib_mmsa.nets.linear import as_rows, linear_of_parts
from rllib_mmsa.nets.packing import Packing
from rllib_mmsa.nets.sale import SaleEncoder, normalises_by_avg_l1
from rllib_mmsa.nets.sale_heads import ROWS_AT_A_TIME, CompiledHead, ComposedHead
from rllib_mmsa.nets.scripted import Traced
from rllib_mmsa.td import take_actions

#: Share of legal actions below which they alone are valued: picking them has its price.
_WORTH_PICKING = 0.8


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

    def _run_features(self, obs: Tensor, actions: Tensor, packing: Packing) -> Tensor:
        z = self.encode(obs)
        past = self._action_features(*(packing.before(x) for x in (obs, z, actions)))
        return torch.cat([z, F.pad(past, (0, 0, 0, 0, packing.counts[0], 0))], -1)  # (P, N, 3E)


class _Seen(NamedTuple):
    """What the values of all actions take from observations alone, for R rows.

    Attributes:
        z: (R, E), z^o.
        from_z, from_obs: (R, hidden), (R, E), the first layers of g and phi before an action.
        of_g, of_phi: (A, hidden), (A, E), what each action adds to them.
    """

    z: Tensor
    from_z: Tensor
    from_obs: Tensor
    of_g: Tensor
    of_phi: Tensor


class _Rows(NamedTuple):
    """What the values of all actions share (``CandidateActionSaleAgent``), for R rows.

    Attributes:
        from_z, from_obs, of_g, of_phi: see ``_Seen``.
        from_state: (R, hidden), the head's first layer on (h, z^o).
        per_action: (R, A), what h alone says of every action.
        from_g, from_phi: (hidden, hidden) and (hidden, E), the same layer on g's hidden layer and
            on phi^oa.
    """

    from_z: Tensor
    from_obs: Tensor
    of_g: Tensor
    of_phi: Tensor
    from_state: Tensor
    per_action: Tensor
    from_g: Tensor
    from_phi: Tensor


class _Unread(NamedTuple):
    """What compiled functions take instead of ``_Rows``.

    Attributes:
        kernels: they.
        hidden: (R, H).
        obs: (R, D).
    """

    kernels: Kernels
    hidden: Tensor
    obs: Tensor


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
        layers = (self.from_state, self.from_action, self.head, self.per_action)
        self._read = [p for net in (self.sale, *layers) for p in net.parameters()]
        self._made: tuple[Any, Any] | None = None
        self._compiles = normalises_by_avg_l1(self.sale.phi_norm)
        self._traced_seen = Traced(self, "_seen")
        self._traced_rows = Traced(self, "_rows")
        self._traced_choice = Traced(self, "_choice")
        self._traced_block = Traced(self, "_block")
        self._traced_pairs = Traced(self, "_pairs")

    def q_values(self, hidden: Tensor, obs: Tensor) -> Tensor:
        kernels, recorded = self._kernels(hidden), torch.is_grad_enabled()
        rows = as_rows(hidden, obs)
        if kernels is not None and not recorded:
            every = hidden.new_ones(len(rows[0]), self.num_actions, dtype=torch.bool)
            values, _ = self._frozen_head(kernels)(kernels, rows[0], rows[1], every)
        elif recorded or len(rows[0]) > ROWS_AT_A_TIME:
            values = self._every(_Rows(*self._rows(rows[0], *self._seen(rows[1]))))
        else:
            values = self._made_of_weights(ComposedHead)(*rows)
        return values.view(*hidden.shape[:-1], self.num_actions)

    def _kernels(self, tensor: Tensor) -> Kernels | None:
        """Compiled functions, where they have this agent's normaliser."""
        return kernels_for(tensor, with_gradient=True) if self._compiles else None

    def _made_of_weights(self, make: Callable[..., Any], *more: Any) -> Any:
        """``make(self, *more)`` of the weights as they are, anew where one has been written to."""
        versions = make, [(p.data_ptr(), p._version) for p in self._read]
        if self._made is None or self._made[0] != versions:
            with torch.no_grad():
                self._made = versions, make(self, *more)
        return self._made[1]

    @torch.no_grad()
    def legal_q(self, prepared: _Rows | _Unread, legal: Tensor) -> Tensor:
        of_rows = legal.reshape(-1, self.num_actions)
        if isinstance(prepared, _Unread):
            values, _ = self._frozen_head(prepared.kernels)(*prepared, of_rows)
            return values.view(legal.shape)
        pairs = of_rows.nonzero()
        sparse = len(pairs) < _WORTH_PICKING * legal.numel()
        every = self._picked(prepared, pairs) if sparse else self._every(prepared)
        return every.view(legal.shape)

    def chosen_q(self, prepared: _Rows | _Unread, actions: Tensor) -> Tensor:
        """Embeds the one action alone: an A-th of the work of ``q_values``."""
        chosen = actions.reshape(-1)
        if isinstance(prepared, _Unread):
            _, values = self._head(prepared.kernels)(*prepared, chosen=chosen)
        else:
            values = self._traced_choice.where_it_pays(chosen, *prepared)
        return values.view(actions.shape)

    def legal_and_chosen_q(
        self, prepared: _Rows | _Unread, legal: Tensor, actions: Tensor
    ) -> tuple[Tensor, Tensor]:
        if not isinstance(prepared, _Unread):
            return super().legal_and_chosen_q(prepared, legal, actions)
        of_rows = legal.reshape(-1, self.num_actions), actions.reshape(-1)
        values, chosen = self._head(prepared.kernels)(*prepared, *of_rows)
        return values.view(legal.shape), chosen.view(actions.shape)

    def _head(self, kernels: Kernels) -> CompiledHead:
        """With gradients into the weights, where these are recorded."""
        recorded = torch.is_grad_enabled()
        return CompiledHead(self, kernels) if recorded else self._frozen_head(kernels)

    def _frozen_head(self, kernels: Kernels) -> CompiledHead:
        return self._made_of_weights(CompiledHead, kernels)

    def _choice(self, chosen: Tensor, *prepared: Tensor) -> Tensor:
        """Values of one action each, (R,) int64 to (R,)."""
        rows = _Rows(*prepared)
        with torch.no_grad():
            g_hidden = F.embedding(chosen, rows.of_g).add_(rows.from_z).relu_()
        phi = self.sale.phi_norm(rows.from_obs + F.embedding(chosen, rows.of_phi))
        read = g_hidden, phi, rows.from_state, rows.from_g, rows.from_phi
        return self._values(*read) + take_actions(rows.per_action, chosen)

    def encode_obs(self, obs: Tensor) -> _Seen | Tensor:
        if self._kernels(obs) is not None:
            return obs  # values are then computed in one go
        return _Seen(*self._traced_seen.where_it_pays(*as_rows(obs)))

    def _seen(self, obs: Tensor) -> tuple[Tensor, ...]:
        """``_Seen`` of (R, D)."""
        z = self.encode(obs)
        return z, *self.sale.before_actions(obs, z)

    def prepare(self, hidden: Tensor, encoded: _Seen | Tensor) -> _Rows | _Unread:
        if isinstance(encoded, Tensor):
            kernels = cast(Kernels, self._kernels(hidden))
            return _Unread(kernels, *as_rows(hidden, encoded))
        return _Rows(*self._traced_rows.where_it_pays(*as_rows(hidden), *encoded))

    def _rows(self, hidden: Tensor, *encoded: Tensor) -> tuple[Tensor, ...]:
        """``_Rows`` of (R, H) and ``_Seen``."""
        z, *before_actions = encoded
        from_z_a, from_phi = self.from_action.weight.split(self.sale_dim, -1)
        # What lies between g's hidden layer and the head's is linear, so one product does it.
        from_g, bias = self.sale.compose_g(from_z_a)
        layer = self.from_state.weight, self.from_state.bias + bias
        from_state = linear_of_parts((hidden, z), *layer)
        per_action = linear_of_parts((hidden,), self.per_action.weight, self.per_action.bias)
        return *before_actions, from_state, per_action, from_g, from_phi

    def _every(self, rows: _Rows) -> Tensor:
        """Values of every action, (R, A), some rows at a time: what one needs fits a cache."""
        shared = rows.of_g, rows.of_phi, rows.from_g, rows.from_phi
        blocks = in_parts((rows.from_z, rows.from_obs, rows.from_state), ROWS_AT_A_TIME)
        found = at_once(lambda some: self._traced_block.where_it_pays(*some, *shared), blocks)
        return torch.cat(found).view_as(rows.per_action) + rows.per_action

    def _block(
        self, from_z: Tensor, from_obs: Tensor, from_state: Tensor, *shared: Tensor
    ) -> Tensor:
        """Values of every action but for what h alone says of it, (r, ...) to (r A,)."""
        of_g, of_phi, from_g, from_phi = shared
        g_hidden = (from_z.unsqueeze(1) + of_g).relu_().flatten(0, 1)
        phi = self.sale.phi_norm(from_obs.unsqueeze(1) + of_phi).flatten(0, 1)
        return self._values(g_hidden, phi, from_state, from_g, from_phi)

    def _picked(self, rows: _Rows, pairs: Tensor) -> Tensor:
        """Values of some rows' actions, pairs (P, 2), in their places in (R, A)."""
        values = torch.zeros_like(rows.per_action)

        def fill(some: Tensor) -> None:
            found = self._traced_pairs.where_it_pays(some, *rows)
            values.index_put_(tuple(some.unbind(1)), found)

        at_once(fill, [some for (some,) in in_parts((pairs,), 4 * ROWS_AT_A_TIME)])
        return values + rows.per_action

    def _pairs(self, pairs: Tensor, *prepared: Tensor) -> Tensor:
        """Values of rows' actions but for what h alone says of them, (P, 2) to (P,)."""
        rows, (row, action) = _Rows(*prepared), pairs.unbind(1)
        g_hidden = rows.from_z.index_select(0, row).add_(rows.of_g.index_select(0, action))
        phi = rows.from_obs.index_select(0, row).add_(rows.of_phi.index_select(0, action))
        of_rows = g_hidden.relu_(), self.sale.phi_norm(phi), rows.from_state.index_select(0, row)
        return self._values(*of_rows, rows.from_g, rows.from_phi)

    def _values(
        self, g_hidden: Tensor, phi: Tensor, from_state: Tensor, from_g: Tensor, from_phi: Tensor
    ) -> Tensor:
        """The head on g's hidden layer and phi^oa of actions, (P, ...), to (P,).

        Args:
            g_hidden, phi: (P, hidden), (P, E).
            from_state: (P, hidden), or (P / A, hidden), of which each is read A times in a row.
            from_g, from_phi: see ``_Rows``.
        """
        # In place: these are the largest tensors of an update, and no gradient asks for what is
        # written over. With gradient not on views, which would be copied backwards.
        joint = linear_of_parts((g_hidden, phi), torch.cat([from_g, from_phi], 1), None)
        rows = from_state.shape[0]  # not its len(), which a trace takes for a constant
        if rows == joint.shape[0]:
            joint.add_(from_state)
        else:
            joint.view(rows, -1, joint.shape[1]).add_(from_state.unsqueeze(1))
        return self.head(joint.relu_()).squeeze(-1)


#: MMSA's readings of "the action inside z^oa", by the name they have in a configuration.
SALE_AGENTS: dict[str, type[_SaleAgent]] = {
    "previous": PreviousActionSaleAgent,
    "candidate": CandidateActionSaleAgent,
}
