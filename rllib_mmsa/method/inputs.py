"""What an update begins with: a batch as the networks read it, and noise."""

from __future__ import annotations

import torch
from torch import Tensor

from rllib_mmsa.method.networks import TeamNetworks
from rllib_mmsa.method.reduce import own_share
from rllib_mmsa.method.settings import MMSASettings, Settings
from rllib_mmsa.method.update import Batch


def observe(nets: TeamNetworks, batch: Batch) -> Batch:
    """What the networks read of a batch (``normalise_observations``)."""
    state = batch.state if nets.state_scale is None else nets.state_scale(batch.state)
    return batch._replace(obs=nets.scale_observations(batch.obs), state=state)


def move_scales(nets: TeamNetworks, batch: Batch) -> None:
    """Moves the running statistics of ``observe`` towards a batch as it was played.

    They are part of the weights: acting, evaluation and checkpoints have those of the last update.
    """
    if nets.obs_scale is not None and nets.state_scale is not None:
        nets.obs_scale.update(batch.obs, batch.read_mask)
        nets.state_scale.update(batch.state, batch.read_mask)


def draw_noise(nets: TeamNetworks, batch: Batch, settings: Settings, seed: int) -> Tensor | None:
    """Noise for ``forward``, (2, B', T+1, J); None without a world model.

    Several learners of one update draw what one would, and take the rows of their episodes.
    """
    if not (isinstance(settings, MMSASettings) and settings.has_model):
        return None
    generator = torch.Generator(batch.obs.device)
    generator.manual_seed(seed)
    steps = batch.state[:: settings.share_every, :, :1]
    like = steps.expand(-1, -1, nets.world_model.joint_dim)
    noise = [own_share(like, lambda rows: rows.normal_(generator=generator)) for _ in range(2)]
    return torch.stack(noise)
