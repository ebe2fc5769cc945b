"""The values of all actions without gradient, for agents with SALE (``sale_agents.py``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from rllib_mmsa.nets.beside import at_once, in_parts
from rllib_mmsa.nets.kernels import Kernels

if TYPE_CHECKING:
    from rllib_mmsa.nets.sale_agents import CandidateActionSaleAgent

#: Rows whose candidate actions are valued in one go.
ROWS_AT_A_TIME = 1024


class ComposedHead:
    """The values of all actions, without gradient, in half the operations that learning takes.

    Acting asks for some dozens of rows at a time, and then an operation costs what it costs to
    call. Layers that read the same are one product, and what actions add to them lies ready.
    """

    def __init__(self, agent: CandidateActionSaleAgent):
        sale, embedding, rows = agent.sale, agent.sale_dim, agent.obs_size
        hidden = agent.hidden_dim
        f_first, f_last = cast(nn.Linear, sale.f[0]), cast(nn.Linear, sale.f[-1])
        g_first, state = cast(nn.Linear, sale.g[0]), agent.from_state
        from_z_a, from_phi = agent.from_action.weight.split(embedding, -1)
        from_g, bias = sale.compose_g(from_z_a)

        def side_by_side(*weights: Tensor) -> Tensor:
            return torch.cat(weights).t().contiguous()

        self.of_obs = side_by_side(f_first.weight, sale.phi.weight[:, :rows])
        self.of_obs_bias = torch.cat([f_first.bias, sale.phi.bias])
        self.to_z = side_by_side(f_last.weight), f_last.bias.clone()
        self.of_z = side_by_side(g_first.weight[:, :embedding], state.weight[:, hidden:])
        self.of_z_bias = torch.cat([g_first.bias, state.bias + bias])
        self.of_hidden = side_by_side(state.weight[:, :hidden], agent.per_action.weight)
        self.of_hidden_bias = torch.cat([torch.zeros_like(state.bias), agent.per_action.bias])
        self.action_in_g = g_first.weight[:, embedding:].t().contiguous()
        self.action_in_phi = sale.phi.weight[:, rows:].t().contiguous()
        self.of_pair = torch.cat([from_g, from_phi], 1).t().contiguous()
        self.head = agent.head.weight.t().contiguous()
        self.norms = sale.f_norm, sale.phi_norm
        self.widths = len(f_first.weight), len(g_first.weight), len(state.weight)

    def __call__(self, hidden: Tensor, obs: Tensor) -> Tensor:
        """(R, H), (R, D) to (R, A)."""
        f_width, g_width, width = self.widths
        f_hidden, phi = torch.addmm(self.of_obs_bias, obs, self.of_obs).tensor_split([f_width], 1)
        z = self.norms[0](torch.addmm(self.to_z[1], f_hidden.relu_(), self.to_z[0]))
        g_hidden, from_z = torch.addmm(self.of_z_bias, z, self.of_z).tensor_split([g_width], 1)
        from_hidden = torch.addmm(self.of_hidden_bias, hidden, self.of_hidden)
        from_hidden, per_action = from_hidden.tensor_split([width], 1)
        g_hidden = (g_hidden.unsqueeze(1) + self.action_in_g).relu_()
        phi = self.norms[1](phi.unsqueeze(1) + self.action_in_phi)
        joint = torch.mm(torch.cat([g_hidden, phi], -1).flatten(0, 1), self.of_pair)
        joint = joint.view(*phi.shape[:2], width).add_((from_z + from_hidden).unsqueeze(1)).relu_()
        return torch.matmul(joint, self.head).squeeze(-1).add_(per_action)


class CompiledHead:
    """The same, compiled (``nets/kernels``), for any number of rows: from h and o to the values."""

    def __init__(self, agent: CandidateActionSaleAgent):
        sale, state, phi = agent.sale, agent.from_state, agent.sale.phi
        from_z_a, from_phi = agent.from_action.weight.split(agent.sale_dim, -1)
        from_g, bias = sale.compose_g(from_z_a)
        g_first = cast(nn.Linear, sale.g[0])
        layers = [*sale.f.parameters(), g_first.weight, g_first.bias, phi.weight, phi.bias]
        layers += [agent.per_action.weight, agent.per_action.bias, state.weight, state.bias + bias]
        self._weights = [*layers, torch.cat([from_g, from_phi], 1), agent.head.weight]
        sizes = agent.num_actions, agent.obs_size, agent.hidden_dim
        self._sizes = *sizes, agent.sale_dim, g_first.out_features, state.out_features

    def __call__(self, kernels: Kernels, hidden: Tensor, obs: Tensor, legal: Tensor) -> Tensor:
        """(R, H), (R, D), (R, A) bool to (R, A), of illegal actions any number."""

        def value(part: tuple[Tensor, ...]) -> Tensor:
            hidden, obs, legal = (tensor.contiguous() for tensor in part)
            return kernels.sale_values(hidden, obs, legal, self._weights, self._sizes)

        if len(hidden) <= ROWS_AT_A_TIME:
            return value((hidden, obs, legal))
        return torch.cat(at_once(value, in_parts((hidden, obs, legal), ROWS_AT_A_TIME)))
