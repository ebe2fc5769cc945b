"""How good the world model is: errors of its predictions, and whether its latents are alive.

Shapes: B episodes, T steps, N agents, D observation numbers, H hidden size, J numbers of the joint
latent, K roll-out horizon.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rllib_mmsa.method.inputs import observe
from rllib_mmsa.method.kinds import ERRORS, Places, auc, measures, r2, tally, typical
from rllib_mmsa.method.losses import gaussian_kl, standard_normal_kl
from rllib_mmsa.method.networks import TeamNetworks
from rllib_mmsa.method.reduce import sum_over_learners
from rllib_mmsa.method.settings import MMSASettings
from rllib_mmsa.method.targets import StepMean, squared_error
from rllib_mmsa.method.update import Batch, believe
from rllib_mmsa.method.uses import mixture
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
    posterior, _, _, priors = believe(model, share, hidden, noise[0])
    prior = mixture(priors)
    return {
        **latent_statistics(posterior, prior, share.read_mask),
        **judge(nets, played, share, hidden, horizon, places),
    }


class Forecast(NamedTuple):
    """Open loop from every step, under the actions really taken.

    Attributes:
        latent: (B, T+1, J), posterior means of what happened.
        ahead: k -> (B, T, J), what step t foresees for step t + k; K steps, or T.
    """

    latent: Tensor
    ahead: list[Tensor]

    @property
    def depths(self) -> list[int]:
        """The depths that are measured: one step, and the last."""
        return sorted({1, len(self.ahead)})


@torch.no_grad()
def judge(
    nets: TeamNetworks, played: Batch, read: Batch, hidden: Tensor, horizon: int, places: Places
) -> dict[str, Tensor]:
    """``prediction_errors``, ``kind_errors`` and ``reward_scores`` of one forecast.

    Args:
        nets: with a world model.
        played, read: one batch as it was played, and as the networks read it.
        hidden: (B, T+1, N, H), the agents' hidden states.
        horizon: K.
        places: how observations are laid out.
    """
    model = nets.world_model
    forecast = foresee_latents(model, read, hidden, horizon)
    return {
        **prediction_errors(model, read, forecast),
        **kind_errors(nets, played, forecast, places),
        **reward_scores(model, read, forecast),
    }


@torch.no_grad()
def foresee_latents(model: WorldModel, read: Batch, hidden: Tensor, horizon: int) -> Forecast:
    """The forecast of every step of a batch; see ``judge``."""
    latent = model.posterior(hidden, read.obs).mean
    reach = min(horizon, read.actions.shape[1])
    return Forecast(latent, model.predict(latent[:, :-1], read.actions, reach))


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
def prediction_errors(model: WorldModel, batch: Batch, forecast: Forecast) -> dict[str, Tensor]:
    """Open-loop predictions under the actions really taken, against "nothing changes".

    Mean squared errors over every step whose future is known, for one step and for
    ``horizon`` steps. Observation errors are in the units that the networks read.

    Args:
        model: the world model.
        batch: as the networks read it.
        forecast: of that batch.

    Returns:
        For k in {1, K}: ``obs_error_{k}_step``, ``obs_nothing_changes_{k}_step``,
        ``latent_error_{k}_step``, ``latent_nothing_changes_{k}_step``; and
        ``obs_error_0_step``, the error of decoding the present.
    """
    obs, mask, latent = batch.obs, batch.read_mask, forecast.latent

    def decoded_error(latents: Tensor, target: Tensor, mean: StepMean) -> Tensor:
        predicted = model.obs_scale.invert(model.decode(latents).obs)
        return mean(squared_error(predicted, target))

    errors = {"obs_error_0_step": decoded_error(latent, obs, StepMean(mask))}
    for k in forecast.depths:
        reach = batch.actions.shape[1] - k + 1  # steps t with an observation at t + k
        foreseen, mean = forecast.ahead[k - 1][:, :reach], StepMean(mask[:, k:])
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
    nets: TeamNetworks, played: Batch, forecast: Forecast, places: Places
) -> dict[str, Tensor]:
    """Open-loop predictions under the actions really taken, by kind of change (kinds.py).

    Args:
        nets: with a world model.
        played: as it was played, in the environment's units.
        forecast: of that batch.
        places: how observations are laid out.

    Returns:
        For k in {1, K}: ``obs_error_{kind}_{k}_step``, kind moves, vanishes, appears or stays, and
        ``{measure}_{k}_step`` for the other measures. One is missing where there was no such
        change.
    """
    things, mask = places.pick(played.obs), played.read_mask
    usual = typical(places, things, mask)
    errors = {}
    for k in forecast.depths:
        reach = played.actions.shape[1] - k + 1  # steps t with an observation at t + k
        foreseen = places.pick(observations(nets, forecast.ahead[k - 1][:, :reach]))
        sums = tally(places, things[:, :reach], things[:, k:], foreseen, usual, mask[:, k:])
        for name, value in measures(sum_over_learners(sums)).items():
            errors[f"{'obs_error_' * (name in ERRORS)}{name}_{k}_step"] = value
    return errors


@torch.no_grad()
def reward_scores(model: WorldModel, batch: Batch, forecast: Forecast) -> dict[str, Tensor]:
    """How well the reward of the k-th step ahead is foretold, whatever its unit.

    Args:
        model: the world model.
        batch: that the forecast is of.
        forecast: of it.

    Returns:
        For k in {1, K}: ``reward_auc_{k}_step``, how often a step that paid is foretold more than
        one that did not, and ``reward_r2_{k}_step`` (kinds.py). One is missing where all steps paid
        or none, or all the same; all are without a reward head. Of several learners, each has its
        own.
    """
    scores: dict[str, Tensor | None] = {}
    for k in forecast.depths if model.outcome_net is not None else ():
        told = foretold_rewards(model, forecast, batch.actions, k)
        known = batch.loss_mask[:, k - 1 :] > 0
        foretold, paid = told[known], batch.rewards[:, k - 1 :][known]
        scores[f"reward_auc_{k}_step"] = auc(foretold, paid > 0)
        scores[f"reward_r2_{k}_step"] = r2(foretold, paid)
    return {name: score for name, score in scores.items() if score is not None}


def foretold_rewards(model: WorldModel, forecast: Forecast, actions: Tensor, k: int) -> Tensor:
    """What step t foretold of the reward of step t + k - 1, (B, T - k + 1).

    Args:
        model: with a reward head.
        forecast: of k steps or more.
        actions: (B, T, N) int64, those really taken.
        k: 1 or more.
    """
    before = forecast.latent[:, :-1] if k == 1 else forecast.ahead[k - 2]
    taken = actions[:, k - 1 :]
    reach = taken.shape[1]
    return model.foretell(before[:, :reach], taken, forecast.ahead[k - 1][:, :reach])[0]


def observations(nets: TeamNetworks, latents: Tensor) -> Tensor:
    """Latents (..., J) decoded into the environment's units, (..., N, D)."""
    obs = nets.world_model.obs_scale.invert(nets.world_model.decode(latents).obs)
    return obs if nets.obs_scale is None else nets.obs_scale.invert(obs)
