"""The networks' weights as lists, in the order in which the C files read them (layout.h)."""

from __future__ import annotations

from itertools import chain
from typing import Any

from torch import Tensor, nn


def of_agent(agent: Any, sale: bool) -> list[Tensor]:
    """Those of ``pack_net``: input, GRU, then the head or SALE's layers."""
    weights = [*agent.input.parameters(), *agent.rnn.parameters()]
    if not sale:
        return [*weights, *agent.head.parameters()]
    encoders = chain(*(part.parameters() for part in (agent.sale.f, agent.sale.g, agent.sale.phi)))
    heads = (agent.from_state, agent.from_action, agent.head, agent.per_action)
    return [*weights, *encoders, *chain(*(head.parameters() for head in heads))]


def of_mixer(mixer: nn.Module) -> list[Tensor]:
    """Those of ``fill_mixer``: PyTorch's order; none but QMIX's has any."""
    return list(mixer.parameters())


def of_encoders(sale: Any) -> list[Tensor]:
    """f and g."""
    return [*sale.f.parameters(), *sale.g.parameters()]


def of_model(model: Any) -> list[Tensor]:
    """Those of ``lay_out_nets`` in world.h."""
    sale = model.sale
    nets = [model.action_embedding, sale.f, sale.g, sale.phi, model.posterior_net, model.prior_net]
    nets += [model.embeddings_decoder, model.hidden_decoder, model.obs_decoder]
    nets += [model.policy_phi, model.policy_net]
    nets += [model.outcome_net] if model.outcome_net is not None else []
    return list(chain(*(net.parameters() for net in nets)))


def of_imagination(model: Any) -> list[Tensor]:
    """Those of ``fill_model`` in model.h, but for the running statistics."""
    nets = [model.posterior_net, model.prior_net, model.policy_net]
    sale = model.sale
    nets += [sale.f, sale.g, sale.phi, model.policy_phi]
    return [model.action_embedding.weight, *chain(*(net.parameters() for net in nets))]


def of_scales(model: Any, updates: bool) -> list[Tensor]:
    """Running mean and variance of hidden states and of observations; with their counts."""
    scales = model.hidden_scale, model.obs_scale
    return [
        part
        for scale in scales
        for part in (scale.mean, scale.variance, *([scale.updates] if updates else []))
    ]
