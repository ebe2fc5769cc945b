"""The imagination of a world model that stands still: no gradient, nothing drawn, no Python."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from rllib_mmsa.nets.beside import at_once, in_parts
from rllib_mmsa.nets.kernels import Kernels, kernels_for
from rllib_mmsa.nets.sale import SaleEncoder, normalises_by_avg_l1
from rllib_mmsa.nets.scripted import Traced
from rllib_mmsa.nets.world_model import WorldModel

#: Roll-outs that are imagined in one go.
ROLLOUTS_AT_A_TIME = 1024


class FrozenImagination:
    """``WorldModel.imagine`` of a target world model whose policy network acts.

    Compiled (``nets/kernels``) where that knows the model's readings, else traced.

    Args:
        model: the world model, ``imagined_actions`` "policy".
        horizon: K.
    """

    def __init__(self, model: WorldModel, horizon: int):
        self._model, self._horizon = model, horizon
        self._traced = Traced(model, "imagine", horizon=horizon)
        self._layers = _layers(model) if _is_known(model) else None

    def __call__(self, hidden: Tensor, obs: Tensor, actions: Tensor) -> Tensor:
        """(R, N, H), (R, N, D), (R, N) int64 to (R, K+1, J), without gradient."""
        kernels = kernels_for(hidden) if self._layers is not None else None
        if kernels is None:
            read = hidden, obs, actions
            parts = in_parts(read, ROLLOUTS_AT_A_TIME) if len(hidden) > 1 else [read]
            return torch.cat(at_once(lambda part: self._traced.where_it_pays(*part), parts))
        return self._compiled(kernels, (hidden, obs, actions))

    def _compiled(self, kernels: Kernels, read: tuple[Tensor, ...]) -> Tensor:
        model = self._model
        scales = [model.hidden_scale, model.obs_scale]
        of_scales = [part for scale in scales for part in (scale.mean, scale.deviation())]
        weights = [*of_scales, *(self._layers or [])]
        return kernels.imagine(read, weights, model.sizes, self._horizon)


def _is_known(model: WorldModel) -> bool:
    """Whether kernels.c has these readings: the default ones."""
    return (
        isinstance(model.sale, SaleEncoder)
        and normalises_by_avg_l1(model.sale.f_norm)
        and model.posterior_sees_obs
        and model.prior_sees_latent
        and model.prior_residual
        and model.rollout_latent == "prior"
    )


def _layers(model: WorldModel) -> list[Tensor]:
    """Weights and biases in the order of ``fill_model`` in kernels.c."""
    sale: Any = model.sale
    nets: list[nn.Module] = [model.posterior_net, model.prior_net, model.policy_net]
    nets += [sale.f, sale.g, sale.phi, model.policy_phi]
    layers: list[Tensor] = [p for net in nets for p in net.parameters()]
    return [model.action_embedding.weight, *layers]
