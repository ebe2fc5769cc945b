"""The losses of section 4.4, one function an equation: L_total = L_TD + L_KL + L_REC + L(f, g).

Each function takes what ``update.forward`` returned and gives a scalar: a mean over the steps that
count and over every other dimension. ``Settings.loss_weights`` says what each counts in the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rllib_mmsa.method import uses
from rllib_mmsa.method.settings import MMSASettings, Settings
from rllib_mmsa.method.targets import StepMean, ahead, squared_error
from rllib_mmsa.method.update import Batch, ModelStep, SaleStep, Step
from rllib_mmsa.method.world_model import Foretold, Gaussian

#: An equation: what an update made, and the settings, to a scalar.
Loss = Callable[[Step, Any], Tensor]


def td_loss(step: Step, settings: Settings) -> Tensor:
    """L_TD = (y^tot - Q_tot)^2."""
    return step.steps(squared_error(step.q_tot, step.target))


def kl_prior_loss(step: Step, settings: MMSASettings) -> Tensor:
    """KL[p(s_t | ...) || N(0, I)], the first term of L_KL."""
    model, mean = _model(step)
    return mean(torch.stack([standard_normal_kl(prior) for prior in model.priors]).mean(0))


def kl_balanced_loss(step: Step, settings: MMSASettings) -> Tensor:
    """alpha KL[sg(q) || p] + (1 - alpha) KL[q || sg(p)], the second term of L_KL.

    ``kl_balance="posterior"`` has alpha on the other term, as printed; None (No-KLB) is KL[q || p].
    Both terms have one value and differ in who gets a gradient alone: one KL, with the gradient of
    each side scaled, is their sum.
    """
    model, mean = _model(step)
    of_posterior, of_prior = kl_shares(settings.kl_balance, settings.kl_balance_alpha)
    posterior = model.posterior.scale_gradient(of_posterior)
    kls = [gaussian_kl(posterior, p.scale_gradient(of_prior)) for p in model.priors]
    return mean(torch.stack(kls).mean(0))


def reconstruction_embeddings_loss(step: Step, settings: MMSASettings) -> Tensor:
    """MSE(z^sa) + MSE(z^s) + MSE(phi^sa) of L_REC, at the steps that have an action."""
    model, _ = _model(step)
    assert step.share_steps is not None
    errors = squared_error(model.decoded.embeddings[:, :-1], model.embeddings)
    # Three MSEs of one size each are three times the MSE of the three side by side.
    return (3.0 if settings.use_sale else 1.0) * step.share_steps(errors)


def reconstruction_hidden_loss(step: Step, settings: MMSASettings) -> Tensor:
    """MSE(h) of L_REC; h is standardised."""
    model, mean = _model(step)
    hidden = step.networks.world_model.hidden_scale(model.hidden)
    return mean(squared_error(model.decoded.hidden, hidden))


def reconstruction_obs_loss(step: Step, settings: MMSASettings) -> Tensor:
    """-log p(o_t | s_t) of Eq. 1 as an MSE; o is standardised."""
    model, mean = _model(step)
    obs = step.networks.world_model.obs_scale(model.batch.obs)
    return mean(squared_error(model.decoded.obs, obs))


def reconstruction_mask_loss(step: Step, settings: MMSASettings) -> Tensor:
    """-log p(legal actions | s_t): a binary cross-entropy, nats per action."""
    model, mean = _model(step)
    logits = model.decoded.mask_logits
    legal = model.batch.action_mask.to(logits.dtype)
    return mean(F.binary_cross_entropy_with_logits(logits, legal, reduction="none"))


def open_loop_loss(step: Step, settings: MMSASettings) -> Tensor:
    """-log p(o_{t+k} | s_t, a_t ... a_{t+k-1}) as an MSE, over k = 1..K; o is standardised."""
    told, batch, mean = _foretold(step, settings)
    obs = step.networks.world_model.obs_scale(batch.obs[:, 1:])
    return mean(squared_error(told.obs, ahead(obs, settings.rollout_horizon)))


def reward_loss(step: Step, settings: MMSASettings) -> Tensor:
    """(r_{t+k} - foretold)^2, over k = 0..K-1."""
    told, batch, mean = _foretold(step, settings)
    return mean(squared_error(told.rewards, ahead(batch.rewards, settings.rollout_horizon)))


def end_loss(step: Step, settings: MMSASettings) -> Tensor:
    """-log p(the episode ended at t + k): a binary cross-entropy, nats, over k = 0..K-1."""
    told, batch, mean = _foretold(step, settings)
    ended = ahead(batch.terminated.to(told.ends.dtype), settings.rollout_horizon)
    return mean(F.binary_cross_entropy_with_logits(told.ends, ended, reduction="none"))


def sale_observation_loss(step: Step, settings: MMSASettings) -> Tensor:
    """L(f, g) = (g(f(o_t), a_t) - sg f(o_{t+1}))^2 of the agents' encoders (section 4.2)."""
    return _sale_loss(step, step.sale)


def sale_latent_loss(step: Step, settings: MMSASettings) -> Tensor:
    """L(f, g) = (g(f(s_t), a_t) - sg f(s_{t+1}))^2 of the world model's encoders."""
    return _sale_loss(step, _model(step)[0].sale)


def policy_loss(step: Step, settings: MMSASettings) -> Tensor:
    """-log pi(u_t), u_t the agents' greedy actions: the imagination's policy follows them.

    Section 4.4 has no loss for the policy network of section 4.2.
    """
    model, mean = _model(step)
    logits = model.policy.movedim(-1, 1)
    return mean(F.cross_entropy(logits, model.greedy, reduction="none"))


def losses_of(settings: Settings) -> dict[str, Loss]:
    """The losses of an algorithm, by name."""
    losses: dict[str, Loss] = {"td_loss": td_loss}
    if settings.has_model:
        losses |= {
            "kl_prior_loss": kl_prior_loss,
            "kl_balanced_loss": kl_balanced_loss,
            "reconstruction_embeddings_loss": reconstruction_embeddings_loss,
            "reconstruction_hidden_loss": reconstruction_hidden_loss,
            "reconstruction_obs_loss": reconstruction_obs_loss,
            "reconstruction_mask_loss": reconstruction_mask_loss,
            "policy_loss": policy_loss,
        }
    if settings.use_sale:
        losses["sale_observation_loss"] = sale_observation_loss
    if settings.foretells_own:
        losses["self_prediction_loss"] = uses.self_prediction_loss
    if settings.value_expansion:
        losses["value_loss"] = uses.value_loss
    if settings.use_sale and settings.has_model:
        losses["sale_latent_loss"] = sale_latent_loss
    if settings.foretells:
        losses |= {
            "open_loop_loss": open_loop_loss,
            "reward_loss": reward_loss,
            "end_loss": end_loss,
        }
    return losses


def total_loss(losses: Mapping[str, Tensor], settings: Settings) -> Tensor:
    """L_total: the weighted sum, a scalar."""
    weights = settings.loss_weights
    return torch.stack([weights.get(name, 1.0) * loss for name, loss in losses.items()]).sum()


@torch.no_grad()
def measures(step: Step) -> dict[str, Tensor]:
    """What is logged beside the losses, scalars."""
    measured = {
        "td_error_abs": step.steps((step.q_tot - step.target).abs()),
        "q_tot_mean": step.steps(step.q_tot),
        "td_target_mean": step.steps(step.target),
    }
    if step.model is not None:
        model, mean = _model(step)
        agrees = model.policy.argmax(-1) == model.greedy
        measured["policy_agreement"] = mean(agrees.to(step.q_tot.dtype))
    return measured


def gaussian_kl(p: Gaussian, q: Gaussian) -> Tensor:
    """KL(p || q) of diagonal Gaussians, per dimension, in nats: (..., J), >= 0."""
    variance_ratio = torch.exp(2.0 * (p.log_std - q.log_std))
    distance = ((p.mean - q.mean) * torch.exp(-q.log_std)) ** 2
    return 0.5 * (variance_ratio + distance - 1.0) + q.log_std - p.log_std


def standard_normal_kl(p: Gaussian) -> Tensor:
    """KL(p || N(0, I)) of a diagonal Gaussian, per dimension, in nats: (..., J)."""
    return 0.5 * (p.mean**2 + torch.exp(2.0 * p.log_std) - 1.0) - p.log_std


def kl_shares(balance: str | None, alpha: float) -> tuple[float, float]:
    """What counts of KL(posterior || prior) at the posterior and at the prior (section 4.4).

    Args:
        balance: whose gradient has ``alpha``, "posterior" or "prior", and the other the rest; None:
            both count in full.
    """
    if balance is None:
        return 1.0, 1.0
    of_posterior = alpha if balance == "posterior" else 1 - alpha
    return of_posterior, 1 - of_posterior


def _sale_loss(step: Step, sale: SaleStep | None) -> Tensor:
    """(z_a_t - sg(z_{t+1}))^2."""
    assert sale is not None and step.share_steps is not None
    return step.share_steps(squared_error(sale.z_a, sale.z[:, 1:]))


def _foretold(step: Step, settings: MMSASettings) -> tuple[Foretold, Batch, StepMean]:
    """What the world model foretold, what was then played, and the mean over what was."""
    assert step.model is not None and step.model.foretold is not None
    share = step.model.batch
    learned = ahead(share.loss_mask, settings.rollout_horizon) * share.loss_mask.unsqueeze(-1)
    return step.model.foretold, share, StepMean(learned)


def _model(step: Step) -> tuple[ModelStep, StepMean]:
    """What the world model said, and the mean over the observations that it is judged on."""
    assert step.model is not None and step.share_observations is not None
    return step.model, step.share_observations
