"""The values of all actions without gradient, for agents with SALE (``sale_agents.py``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from rllib_mmsa.nets.kernels import Kernels

if TYPE_CHECKING:
    from rllib_mmsa.nets.sale_agents import CandidateActionSaleAgent

#: Rows whose candidate actions are valued in one go.
ROWS_AT_A_TIME = 1024

#: Hidden states, observations, legal and chosen actions; None for what is not asked.
_Read = tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]


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
    """The same, compiled (``nets/kernels``), for any number of rows: from h and o to the values.

    Where it is made with gradients recorded, they flow into the weights that it is made of.
    """

    def __init__(self, agent: CandidateActionSaleAgent, kernels: Kernels):
        sale, state, phi = agent.sale, agent.from_state, agent.sale.phi
        from_z_a, from_phi = agent.from_action.weight.split(agent.sale_dim, -1)
        from_g, bias = sale.compose_g(from_z_a)
        g_first = cast(nn.Linear, sale.g[0])
        layers = [*sale.f.parameters(), g_first.weight, g_first.bias, phi.weight, phi.bias]
        layers += [agent.per_action.weight, agent.per_action.bias, state.weight, state.bias + bias]
        self._weights = [*layers, torch.cat([from_g, from_phi], 1), agent.head.weight]
        sizes = agent.num_actions, agent.obs_size, agent.hidden_dim
        self._sizes = *sizes, agent.sale_dim, g_first.out_features, state.out_features
        self._packed = kernels.pack_agent(self._weights, self._sizes)

    def __call__(
        self,
        kernels: Kernels,
        hidden: Tensor,
        obs: Tensor,
        legal: Tensor | None = None,
        chosen: Tensor | None = None,
    ) -> tuple[Any, Any]:
        """Values of legal actions, without gradient, and of one each, with it; None if not asked.

        Args:
            hidden, obs: (R, H), (R, D).
            legal: (R, A) bool.
            chosen: (R,) int64.

        Returns:
            (R, A), of illegal actions any number, and (R,).
        """
        read = hidden, obs, legal, chosen
        if torch.is_grad_enabled():
            return _CompiledValues.apply(self, kernels, *read, *self._weights)
        return self.compute(kernels, read)[:2]

    def compute(
        self, kernels: Kernels, read: _Read, keep: bool = False
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Both, and what ``go_back`` needs."""
        hidden, obs, legal, chosen = (t if t is None else t.contiguous() for t in read)
        given = cast(Tensor, hidden), cast(Tensor, obs), legal, chosen
        return kernels.sale_values(given, self._packed, self._sizes, keep)

    def go_back(
        self, kernels: Kernels, read: tuple[Tensor, ...], of_chosen: Tensor, asked: bool
    ) -> tuple[Tensor | None, list[Tensor]]:
        """The gradients of hidden, if it is ``asked``, and of all weights but those of f and g.

        Args:
            read: hidden, obs, chosen, and what ``compute`` kept of them.
            of_chosen: (R,), the gradient of chosen actions' values.
        """
        *given, kept = (tensor.contiguous() for tensor in read)
        rest = kept, of_chosen.contiguous(), asked
        return kernels.sale_values_back(given, self._weights, self._sizes, *rest)


class _CompiledValues(torch.autograd.Function):
    """``CompiledHead`` with both ways compiled."""

    @staticmethod
    def forward(
        ctx: Any, head: CompiledHead, kernels: Kernels, *given: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """The four that ``CompiledHead`` is called with, then the weights it is made of."""
        hidden, obs, legal, chosen = given[:4]
        keep = chosen is not None and any(ctx.needs_input_grad)
        values, of_chosen, kept = head.compute(kernels, (hidden, obs, legal, chosen), keep)
        ctx.save_for_backward(hidden, obs, chosen, kept)
        ctx.head, ctx.kernels = head, kernels
        if values is not None:
            ctx.mark_non_differentiable(values)
        return values, of_chosen

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        asked = ctx.needs_input_grad[2]
        of_hidden, of_weights = ctx.head.go_back(ctx.kernels, ctx.saved_tensors, grads[1], asked)
        return None, None, of_hidden, *[None] * 9, *of_weights
