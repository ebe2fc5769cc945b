"""The functions that the losses are made of, against torch.distributions and closed forms."""

import pytest
import torch

from rllib_mmsa.method.losses import (
    gaussian_kl,
    kl_shares,
    losses_of,
    squared_error,
    standard_normal_kl,
    total_loss,
)
from rllib_mmsa.method.settings import MMSASettings, Settings
from rllib_mmsa.method.world_model import Gaussian

#: Losses of SALE's embeddings that need no world model.
OF_AGENTS = {"sale_observation_loss", "self_prediction_loss"}
KL = torch.distributions.kl_divergence


def two_gaussians() -> tuple[tuple[Gaussian, Gaussian], list[torch.distributions.Normal]]:
    torch.manual_seed(0)
    p, q = (Gaussian(torch.randn(5), torch.randn(5)) for _ in range(2))
    return (p, q), [torch.distributions.Normal(g.mean, g.log_std.exp()) for g in (p, q)]


def test_kl_matches_torch_distributions():
    (p, q), theirs = two_gaussians()
    torch.testing.assert_close(gaussian_kl(p, q), KL(*theirs))
    torch.testing.assert_close(gaussian_kl(p, p), torch.zeros(5))


def test_kl_to_a_standard_normal_matches_torch_distributions():
    (p, _), (theirs, _) = two_gaussians()
    normal = torch.distributions.Normal(torch.zeros(5), torch.ones(5))
    torch.testing.assert_close(standard_normal_kl(p), KL(theirs, normal))


@pytest.mark.parametrize(
    ("balance", "shares"),
    [("prior", (0.2, 0.8)), ("posterior", (0.8, 0.2)), (None, (1.0, 1.0))],
)
def test_alpha_is_the_share_of_the_side_that_is_named(balance, shares):
    assert kl_shares(balance, 0.8) == pytest.approx(shares)


def test_a_squared_error_moves_what_predicts_and_not_its_target():
    predicted, target = torch.randn(4, requires_grad=True), torch.randn(4, requires_grad=True)
    error = squared_error(predicted, target)
    torch.testing.assert_close(error, (predicted - target) ** 2)
    error.sum().backward()
    torch.testing.assert_close(predicted.grad, 2 * (predicted - target).detach())
    assert target.grad is None


@pytest.mark.parametrize(
    ("settings", "left_out"),
    [
        (MMSASettings(), set()),
        (MMSASettings(use_sale=False), {*OF_AGENTS, "sale_latent_loss"}),
        (
            MMSASettings(use_world_model=False),
            losses_of(MMSASettings()).keys() - {"td_loss", *OF_AGENTS},
        ),
        (Settings(), losses_of(MMSASettings()).keys() - {"td_loss"}),
    ],
)
def test_each_algorithm_has_its_losses(settings, left_out):
    assert losses_of(settings).keys() == losses_of(MMSASettings()).keys() - left_out


def test_the_total_weighs_each_loss_and_counts_others_once():
    losses = {name: torch.tensor(1.0) for name in losses_of(MMSASettings())}
    weights = MMSASettings(kl_weight=0.3, reconstruction_weight=0.5).loss_weights
    total = total_loss(losses, MMSASettings(kl_weight=0.3, reconstruction_weight=0.5))
    assert total.item() == pytest.approx(sum(weights.values()))
    more = total_loss({**losses, "another_loss": torch.tensor(2.0)}, MMSASettings())
    assert more.item() == pytest.approx(sum(MMSASettings().loss_weights.values()) + 2.0)
