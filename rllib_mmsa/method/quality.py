"""How good the world model is: errors of its predictions, and whether its latents are alive.

Shapes: B episodes, T steps, N agents, D observation numbers, H hidden size, J numbers of the joint
latent, K roll-out horizon.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rllib_mmsa.method.kinds import ERRORS, Places, measures, tally, typical
from rllib_mmsa.method.losses import gaussian_kl, squared_error, standard_normal_kl
from rllib_mmsa.method.networks import TeamNetworks
from rllib_mmsa.method.reduce import sum_over_learners
from rllib_mmsa.method.settings import MMSASettings
from rllib_mmsa.method.targets import StepMean
from rllib_mmsa.method.update import Batch, believe, observe
from rllib_mmsa.method.world_model import Gaussian, WorldModel

#: Variance of a latent's posterior mean above which it is counted as active
#: (Burda et al., 2016, "Importance weighted autoencoders", section 5).
ACTIVE_VARIANCE = 0.01


@torch.no_grad()
def model_quality(
    nets: TeamNetworks, played: Batch, settings: MMSASettings, noise: Tensor, places: Places
) -> dict[str, Tensor]:
    """All of this file, of the share that is learned from.

    Args:
        played: as it was played.
        noise: (2, B', T+1, J), see ``update.forward``.
        places: how observations are laid out.
    """
    played = played.every(settings.share_every)
    share, model, horizon = observe(nets, played), nets.world_model, settings.rollout_horizon
    hidden = nets.agent.unroll(share.obs, share.actions)
    posterior, _, _, prior = believe(model, share, hidden, noise[0])
    return {
        **latent_statistics(posterior, prior, share.read_mask),
        **prediction_errors(model, share, hidden, horizon),
        **kind_errors(nets, played, hidden, horizon, places),
    }


@torch.no_grad()
def latent_statistics(posterior: Gaussian, prior: Gaussian, mask: Tensor) -> dict[str, Tensor]:
    """Is the posterior alive?

    Args:
        posterior, prior: (B, T+1, J).
        mask: (B, T+1), 1 on observations that count.

    Returns:
        ``kl_posterior_prior`` and ``kl_prior_normal``: nats, summed over the joint latent;
        ``latent_active_dims``: latents whose posterior mean moves with the data;
        ``latent_active_share``: the same as a share of J.
    """
    mean, size = StepMean(mask), prior.mean.shape[-1]
    weights = mean.weights / mean.weights.sum()
    means = posterior.mean.flatten(0, 1)
    variance = weights @ (means - weights @ means).square()
    active = (variance > ACTIVE_VARIANCE).float().sum()
    return {
        "kl_posterior_prior": size * mean(gaussian_kl(posterior, prior)),
        "kl_prior_normal": size * mean(standard_normal_kl(prior)),
        "latent_active_dims": active,
        "latent_active_share": active / size,
    }


@torch.no_grad()
def prediction_errors(
    model: WorldModel, batch: Batch, hidden: Tensor, horizon: int
) -> dict[str, Tensor]:
    """Open-loop predictions under the actions really taken, against "nothing changes".

    Mean squared errors over every step whose future is known, for one step and for
    ``horizon`` steps. Observation errors are in the units that the networks read.

    Args:
        model: the world model.
        batch: as the networks read it.
        hidden: (B, T+1, N, H), the agents' hidden states.
        horizon: K.

    Returns:
        For k in {1, K}: ``obs_error_{k}_step``, ``obs_nothing_changes_{k}_step``,
        ``latent_error_{k}_step``, ``latent_nothing_changes_{k}_step``; and
        ``obs_error_0_step``, the error of decoding the present.
    """
    obs, mask = batch.obs, batch.read_mask
    latent = model.posterior(hidden, obs).mean

    def decoded_error(latents: Tensor, target: Tensor, mean: StepMean) -> Tensor:
        predicted = model.obs_scale.invert(model.decode(latents).obs)
        return mean(squared_error(predicted, target))

    errors = {"obs_error_0_step": decoded_error(latent, obs, StepMean(mask))}
    steps = batch.actions.shape[1]
    predictions = model.predict(latent[:, :-1], batch.actions, min(horizon, steps))
    for k in sorted({1, len(predictions)}):
        reach = steps - k + 1  # steps t with an observation at t + k
        foreseen, mean = predictions[k - 1][:, :reach], StepMean(mask[:, k:])
        later_obs, later_latent = obs[:, k:], latent[:, k:]
        errors[f"obs_error_{k}_step"] = decoded_error(foreseen, later_obs, mean)
        errors[f"obs_nothing_changes_{k}_step"] = mean(squared_error(obs[:, :reach], later_obs))
        errors[f"latent_error_{k}_step"] = mean(squared_error(foreseen, later_latent))
        errors[f"latent_nothing_changes_{k}_step"] = mean(
            squared_error(latent[:, :reach], later_latent)
        )
    return errors


@torch.no_grad()
def kind_errors(
    nets: TeamNetworks, played: Batch, hidden: Tensor, horizon: int, places: Places
) -> dict[str, Tensor]:
    """Open-loop predictions under the actions really taken, by kind of change (kinds.py).

    Args:
        nets: with a world model.
        played: as it was played, in the environment's units.
        hidden: (B, T+1, N, H), the agents' hidden states.
        horizon: K.
        places: how observations are laid out.

    Returns:
        For k in {1, K}: ``obs_error_{kind}_{k}_step``, kind moves, vanishes, appears or stays, and
        ``{measure}_{k}_step`` for the other measures. One is missing where there was no such
        change.
    """
    model, things, mask = nets.world_model, places.pick(played.obs), played.read_mask
    latent = model.posterior(hidden, observe(nets, played).obs).mean
    steps = played.actions.shape[1]
    predictions = model.predict(latent[:, :-1], played.actions, min(horizon, steps))
    usual = typical(places, things, mask)
    errors = {}
    for k in sorted({1, len(predictions)}):
        reach = steps - k + 1  # steps t with an observation at t + k
        foreseen = places.pick(observations(nets, predictions[k - 1][:, :reach]))
        sums = tally(places, things[:, :reach], things[:, k:], foreseen, usual, mask[:, k:])
        for name, value in measures(sum_over_learners(sums)).items():
            errors[f"{'obs_error_' * (name in ERRORS)}{name}_{k}_step"] = value
    return errors


def observations(nets: TeamNetworks, latents: Tensor) -> Tensor:
    """Latents (..., J) decoded into the environment's units, (..., N, D)."""
    obs = nets.world_model.obs_scale.invert(nets.world_model.decode(latents).obs)
    return obs if nets.obs_scale is None else nets.obs_scale.invert(obs)
