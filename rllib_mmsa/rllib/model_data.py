"""What the world model and the encoders learn from, and what they make of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from rllib_mmsa.common.packed import Packed
from rllib_mmsa.nets.packing import Packing
from rllib_mmsa.nets.reduce import own_share
from rllib_mmsa.nets.world_model import Decoded, Gaussian
from rllib_mmsa.td import StepMean


def chequered(loss_mask: Tensor) -> Tensor:
    """Every second step of every episode, (M, T+1, 1) bool; odd episodes begin the other way.

    Episodes are counted over all learners, so that several do what one would.
    """
    device = loss_mask.device
    episodes = own_share(loss_mask, lambda whole: torch.arange(len(whole), device=device))
    steps = torch.arange(loss_mask.shape[1] + 1, device=device)
    return ((episodes.unsqueeze(1) + steps) % 2 == 0).unsqueeze(-1)


class Imagined(NamedTuple):
    """The roll-outs that the mixers read (``rollout_model``), from R observations.

    Attributes:
        rollouts: (R, K+1, J), for the mixer.
        next_rollouts: (R, K+1, J), for the target mixer.
    """

    rollouts: Tensor
    next_rollouts: Tensor


class ModelBatch(NamedTuple):
    """The share of a batch that the model losses go over: M of its B episodes.

    Attributes:
        batch: the fields of these episodes (common/batch.py), as the networks read them.
        packed: their P played observations.
        rows: (P,) int64, where these lie among those of the whole batch.
        obs, actions: (P, N, D), (P, N) int64.
    """

    batch: dict[str, Any]
    packed: Packed
    rows: Tensor
    obs: Tensor
    actions: Tensor


class ModelInputs(NamedTuple):
    """What the world model and the encoders learn from.

    Attributes:
        batch, packed, obs, actions: see ``ModelBatch``.
        hidden: (P, N, H), the online agents' hidden states.
        greedy: (P, N) int64, what they would do.
        prepared: what the compiled losses made of the batch already; None without them.
    """

    batch: dict[str, Any]
    packed: Packed
    obs: Tensor
    actions: Tensor
    hidden: Tensor
    greedy: Tensor
    prepared: Any = None


class SaleOutputs(NamedTuple):
    """What the SALE loss needs of P observations or latents (section 4.4).

    Attributes:
        z_a, z: (P, ..., E), with gradient into f and g alone.
        packing: how episodes lie in P.
        mean: over the ends of the learned steps.
    """

    z_a: Tensor
    z: Tensor
    packing: Packing
    mean: StepMean


class ModelOutputs(NamedTuple):
    """What the model losses need of ``inputs``, whose P observations are meant.

    Attributes:
        inputs: what they go over.
        legal: (P, N, A) float.
        posterior: q(s_t | h_t), (P, J).
        prior: p(s_t | embeddings of t-1), (P, J).
        decoded: (P, ...), decoded from samples of the posterior and of the prior in turn.
        embeddings: (P, F), (z^sa, z^s, phi^sa)_t of the actions taken.
        sale: of the latents; None without SALE.
        policy: (P, N, A), pi on the same samples (logits); None without it.
        step_mean, observation_mean: over the learned steps, and over the observations around them.
    """

    inputs: ModelInputs
    legal: Tensor
    posterior: Gaussian
    prior: Gaussian
    decoded: Decoded
    embeddings: Tensor
    sale: SaleOutputs | None
    policy: Tensor | None
    step_mean: StepMean
    observation_mean: StepMean
