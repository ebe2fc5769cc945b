"""What the world model and the encoders learn from, and what they make of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from rllib_mmsa.common.batch import Rows
from rllib_mmsa.common.q_modules import Unrolled
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
    """The roll-outs that the mixers read (``rollout_model``), R and R' of a batch's observations.

    Attributes:
        rows, next_rows: the observations that they begin at.
        rollouts: (R, K+1, J), for the mixer.
        next_rollouts: (R', K+1, J), for the target mixer.
    """

    rows: Rows
    rollouts: Tensor
    next_rows: Rows
    next_rollouts: Tensor


class ModelInputs(NamedTuple):
    """What the world model and the encoders learn from: M of a batch's B episodes.

    Attributes:
        batch: the fields of these episodes (common/batch.py), as the networks read them.
        agents: what the online agents make of them.
    """

    batch: dict[str, Any]
    agents: Unrolled


class ModelOutputs(NamedTuple):
    """What the model losses need, steps 0..T unless said otherwise.

    They go over M of a batch's B episodes (``model_batch_share``).

    Attributes:
        batch: the fields of these episodes (common/batch.py), as the networks read them.
        hidden: (M, T+1, N, H), the agents' hidden states.
        greedy: (M, T+1, N) int64, what the agents would do.
        posterior: q(s_t | h_t), (M, T+1, J).
        prior: p(s_t | embeddings of t-1), (M, T+1, J).
        decoded: (M, T+1, ...), decoded from samples of the posterior and of the prior in turn.
        embeddings: (M, T, F), (z^sa, z^s, phi^sa)_t of the actions taken.
        sale: (z^sa (M, T, J), z^s (M, T+1, J)) with gradient into f_s and g_s alone.
        policy: (M, T+1, N, A), pi on the same samples (logits); None without it.
        step_mean, observation_mean: over the valid ones of steps 0..T-1, and 0..T.
    """

    batch: dict[str, Any]
    hidden: Tensor
    greedy: Tensor
    posterior: Gaussian
    prior: Gaussian
    decoded: Decoded
    embeddings: Tensor
    sale: tuple[Tensor, Tensor] | None
    policy: Tensor | None
    step_mean: StepMean
    observation_mean: StepMean
