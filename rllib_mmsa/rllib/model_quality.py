"""How good the world model is: errors of its predictions, and whether its latents are alive.

Shapes: B episodes, T steps, N agents, D observation numbers, J numbers of the joint latent.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from env_registry.contract import OBS
from rllib_mmsa.rllib.batch import ACTIONS, LOSS_MASK, observation_mask
from rllib_mmsa.rllib.mmsa_modules import MMSAModule
from rllib_mmsa.rllib.model_data import ModelOutputs
from rllib_mmsa.td import StepMean, gaussian_kl, squared_error, standard_normal_kl

#: Variance of a latent's posterior mean above which it is counted as active
#: (Burda et al., 2016, "Importance weighted autoencoders", section 5).
ACTIVE_VARIANCE = 0.01


def model_quality(module: MMSAModule, outputs: ModelOutputs, horizon: int) -> dict[str, Tensor]:
    """``latent_statistics`` and ``prediction_errors`` of the episodes that are learned from."""
    inputs = outputs.inputs
    hidden = inputs.packed.spread(inputs.hidden)
    return {
        **latent_statistics(outputs),
        **prediction_errors(module, inputs.batch, hidden, horizon),
    }


@torch.no_grad()
def latent_statistics(outputs: ModelOutputs) -> dict[str, Tensor]:
    """Is the posterior alive?

    Returns:
        ``kl_posterior_prior`` and ``kl_prior_normal``: nats, summed over the joint latent;
        ``latent_active_dims``: latents whose posterior mean moves with the data;
        ``latent_active_share``: the same as a share of J.
    """
    posterior, size = outputs.posterior, outputs.prior.mean.shape[-1]
    weights = outputs.observation_mean.weights
    weights = weights / weights.sum()
    variance = weights @ (posterior.mean - weights @ posterior.mean).square()
    active = (variance > ACTIVE_VARIANCE).float().sum()
    posterior_kl = gaussian_kl(*posterior, *outputs.prior)
    return {
        "kl_posterior_prior": size * outputs.observation_mean(posterior_kl),
        "kl_prior_normal": size * outputs.observation_mean(standard_normal_kl(*outputs.prior)),
        "latent_active_dims": active,
        "latent_active_share": active / size,
    }


@torch.no_grad()
def prediction_errors(
    module: MMSAModule, batch: dict[str, Any], hidden: Tensor, horizon: int
) -> dict[str, Tensor]:
    """Open-loop predictions under the actions really taken, against "nothing changes".

    Mean squared errors over every step whose future is known, for one step and for
    ``horizon`` steps. Observation errors are in the units that the networks read.

    Args:
        module: the team module with a world model.
        batch: see common/batch.py; observations as the networks read them.
        hidden: (B, T+1, N, H), the agents' hidden states.
        horizon: K.

    Returns:
        For k in {1, K}: ``obs_error_{k}_step``, ``obs_nothing_changes_{k}_step``,
        ``latent_error_{k}_step``, ``latent_nothing_changes_{k}_step``; and
        ``obs_error_0_step``, the error of decoding the present.
    """
    model, obs = module.world_model, batch[OBS]
    latent = model.posterior_mean(hidden, obs)
    mask = observation_mask(batch[LOSS_MASK])

    def decoded_error(latents: Tensor, target: Tensor, mean: StepMean) -> Tensor:
        predicted = model.obs_scale.invert(model.decode(latents).obs)
        return mean(squared_error(predicted, target))

    errors = {"obs_error_0_step": decoded_error(latent, obs, StepMean(mask))}
    steps = batch[ACTIONS].shape[1]
    predictions = model.predict(latent[:, :-1], batch[ACTIONS], min(horizon, steps))
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
