"""The model losses with their gradients, compiled (``nets/kernels/model_losses.h``).

Those of ``mmsa_learner.py`` for the readings that are the default: in a third of the time, and
without Python's lock, so that the thread beside it (``nets/beside.py``) is not held up.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from env_registry.contract import ACTION_MASK
from rllib_mmsa.nets.kernels import Kernels
from rllib_mmsa.nets.world_model import WorldModel
from rllib_mmsa.rllib.batch import LOSS_MASK
from rllib_mmsa.rllib.model_data import ModelBatch, ModelInputs, chequered
from rllib_mmsa.td import StepMean, kl_shares

if TYPE_CHECKING:
    from rllib_mmsa.rllib.mmsa_modules import MMSAModule

#: Names of the losses in the order of ``model_losses``, as the learner logs them.
_NAMES = (
    "kl_prior_loss",
    "kl_balanced_loss",
    "reconstruction_embeddings_loss",
    "reconstruction_hidden_loss",
    "reconstruction_obs_loss",
    "reconstruction_mask_loss",
    "sale_latent_loss",
    "policy_loss",
    "policy_agreement",
)


def are_compiled(config: Any) -> bool:
    """Whether the losses of these settings are."""
    return (
        config.use_world_model
        and config.use_sale
        and config.normaliser == "avg_l1"
        and config.posterior_sees_obs
        and config.prior_residual
        and config.prior_sees_latent
        and config.imagined_actions == "policy"
        and config.free_bits == 0
    )


class Prepared(NamedTuple):
    """What the losses need, and what they are, of a batch alone: before hidden states are known.

    Attributes:
        loss, gradients: SALE's of observations.
        data: what ``model_losses`` reads besides hidden states.
        before: (P,) int32, the row one step before each, -1 for first steps.
        first: (P, 1) bool, where the posterior's sample is decoded, and not the prior's.
    """

    loss: Tensor
    gradients: list[Tensor]
    data: list[Tensor]
    before: Tensor
    first: Tensor


class CompiledLosses:
    """All losses of MMSA but L_TD, with what learns from them.

    Args:
        kernels: the compiled functions.
        module: whose encoders and world model learn.
        config: the losses' weights; ``are_compiled`` is true of it.
    """

    def __init__(self, kernels: Kernels, module: MMSAModule, config: Any):
        model, sale = module.world_model, module.learning_sale
        self._kernels, self._module = kernels, module
        self._sale_weight, self._scales = config.sale_weight, _scales(config)
        self._encoders = [*sale.f.parameters(), *sale.g.parameters()]
        self._weights = list(_weights(model))
        #: What the gradients are of.
        self.parameters = [*self._encoders, *self._weights]
        by = self._scales
        self._counted = torch.tensor([by[0], config.kl_weight, *by[3:6], *by[5:], 0.0])

    @torch.no_grad()
    def prepare(self, share: ModelBatch) -> Prepared:
        """What needs no hidden states."""
        module, packed, obs = self._module, share.packed, share.obs
        before = packed.packing.rows_before()
        ends = StepMean(packed.packing.before(packed.learned)).weights
        after = F.pad(ends, (packed.packing.counts[0], 0))
        seen = _observations(module, obs, share.actions, before, after)
        sale = self._kernels.sale_loss(seen, self._encoders, self._sale_weight)
        scale = module.world_model.obs_scale
        if module.training:
            scale.update(obs, packed.read)
        data = [
            scale(obs),
            packed.pack(share.batch[ACTION_MASK]).to(obs.dtype),
            module.latent_noise(packed),
            module.latent_noise(packed),
            StepMean(packed.learned).weights,
            StepMean(packed.read).weights,
            after,
        ]
        return Prepared(*sale, data, before, packed.pack(chequered(share.batch[LOSS_MASK])))

    @torch.no_grad()
    def __call__(self, inputs: ModelInputs) -> tuple[Tensor, dict[str, Tensor], list[Tensor]]:
        """The sum of the losses, each by its name, and the gradients of ``parameters``.

        Args:
            inputs: ``prepared`` among them.
        """
        prepared: Prepared = inputs.prepared
        model = self._module.world_model
        if self._module.training:
            model.hidden_scale.update(inputs.hidden, inputs.packed.read)
        data = [model.hidden_scale(inputs.hidden), *prepared.data]
        actions = inputs.actions, inputs.greedy.contiguous()
        read = data, actions, prepared.before, prepared.first
        found, of_model = self._kernels.model_losses(read, self._weights, self._scales, model.sizes)
        losses = dict(zip(_NAMES, found.unbind(), strict=True))
        losses["sale_observation_loss"] = prepared.loss
        total = self._sale_weight * prepared.loss + torch.dot(self._counted, found)
        return total, losses, [*prepared.gradients, *of_model]


def _observations(
    module: MMSAModule, obs: Tensor, actions: Tensor, before: Tensor, after: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What ``Kernels.sale_loss`` reads: each agent's observation is a row."""
    agents = module.num_agents
    rows = before.unsqueeze(1) * agents + torch.arange(agents, dtype=torch.int32)
    rows = torch.where(before.unsqueeze(1) < 0, before.unsqueeze(1), rows).flatten()
    one_hot = module.agent.one_hot(actions).flatten(0, 1)
    return obs.flatten(0, 1), one_hot, rows, after.repeat_interleave(agents) / agents


def _scales(config: Any) -> list[float]:
    """``by`` of ``model_losses``."""
    of_posterior, of_prior = kl_shares(config.kl_balance, config.kl_balance_alpha)
    kl, reconstruction = config.kl_weight, config.reconstruction_weight
    return [
        kl * config.kl_prior_weight,
        kl * of_posterior,
        kl * of_prior,
        reconstruction,
        reconstruction * config.hidden_weight,
        reconstruction * config.observation_weight,
        config.sale_weight,
        config.policy_weight,
    ]


def _weights(model: WorldModel) -> Iterator[nn.Parameter]:
    """Those of ``lay_out``, in its order."""

    def of(net: nn.Module) -> Iterator[nn.Parameter]:
        first, _, last = net.correction.children()  # type: ignore[union-attr]
        return chain(first.parameters(), last.parameters(), net.linear.parameters())

    sale: Any = model.sale
    yield from model.action_embedding.parameters()
    yield from chain(sale.f.parameters(), sale.g.parameters(), sale.phi.parameters())
    nets = model.posterior_net, model.prior_net, model.embeddings_decoder, model.hidden_decoder
    yield from chain.from_iterable(of(net) for net in (*nets, model.obs_decoder))
    yield from model.policy_phi.parameters()
    yield from of(model.policy_net)
