"""What the world model foretells along the actions really taken, and what then happened.

A model that only ever predicts one step from a posterior learns little of what lies further ahead.
Here it goes on from its own predictions, as it does when it imagines (latent overshooting: Hafner
et al., 2019, "PlaNet", section 4; rewards and ends: Hafner et al., 2021, "DreamerV2").

Shapes: B' episodes, T steps, K steps ahead, N agents, D observation numbers, J joint latent.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rllib_mmsa.method.targets import StepMean
from rllib_mmsa.method.world_model import WorldModel


class Foretold(NamedTuple):
    """What was foretold at step t of step t + k: entry [:, t, k - 1], k = 1..K.

    Attributes:
        obs: (B', T, K, N, D), standardised.
        rewards: (B', T, K), of the step that leads there.
        ends: (B', T, K), logits that the episode ends with that step.
        mean: over the entries whose steps were all played and are learned from.
    """

    obs: Tensor
    rewards: Tensor
    ends: Tensor
    mean: StepMean


def foretell(
    model: WorldModel,
    latent: Tensor,
    after: Tensor,
    actions: Tensor,
    loss_mask: Tensor,
    horizon: int,
) -> Foretold:
    """Follows the actions taken from every step, on the means of the prior.

    Args:
        latent: s_t, (B', T, J), samples of the posterior.
        after: the mean of p(s_{t+1} | s_t, a_t), (B', T, J).
        actions: (B', T, N) int64.
        loss_mask: (B', T), 1 on steps to learn from.
        horizon: K.
    """
    obs, rewards, ends = [], [], []
    for depth, taken in enumerate(ahead(actions, horizon).unbind(2)):
        if depth > 0:
            latent, after = after, model.go_on(after, taken)
        obs.append(model.heads(after)[..., : model.obs_size])
        for told, values in zip((rewards, ends), model.foretell(latent, taken, after), strict=True):
            told.append(values)
    counts = ahead(loss_mask, horizon) * loss_mask.unsqueeze(-1)
    told = (torch.stack(values, 2) for values in (obs, rewards, ends))
    return Foretold(*told, StepMean(counts))


def ahead(x: Tensor, horizon: int) -> Tensor:
    """(B', T, ...) to (B', T, K, ...): entry [:, t, k] is x_{t+k}; zeros past the end."""
    padded = F.pad(x, (0, 0) * (x.dim() - 2) + (0, horizon - 1))
    return torch.stack([padded[:, k : k + x.shape[1]] for k in range(horizon)], 2)
