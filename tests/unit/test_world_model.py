"""The world model: forms of the prior, imagination, predictions under the actions taken."""

import pytest
import torch
import torch.nn.functional as F

from rllib_mmsa.method.agents import RecurrentAgent
from rllib_mmsa.method.settings import OBSERVATION_HEADS, WORLD_MODEL_FORMS, MMSASettings
from rllib_mmsa.method.world_model import LOG_STD_RANGE, Gaussian, WorldModel

B, T, N, A, D, H, L = 3, 5, 2, 4, 6, 8, 3
J = N * L
FORMS = pytest.mark.parametrize("form", WORLD_MODEL_FORMS)
USE_SALE = pytest.mark.parametrize("use_sale", [True, False])


def make_model(**changes) -> WorldModel:
    torch.manual_seed(2)
    small = {"hidden_dim": H, "latent_dim": L, "world_model_dim": 16, "action_embed_dim": 5}
    return WorldModel(N, A, D, MMSASettings(**{**small, **changes}))


@pytest.fixture
def episode():
    """Hidden states and observations (B, T+1, N, ...), actions (B, T, N)."""
    torch.manual_seed(1)
    obs, actions = torch.randn(B, T + 1, N, D), torch.randint(A, (B, T, N))
    return RecurrentAgent(N, A, D, H).unroll(obs, actions).detach(), obs, actions


@FORMS
def test_the_posterior_reads_observations_but_for_the_printed_form(form, episode):
    hidden, obs, _ = episode
    model = make_model(world_model_form=form)
    posterior = model.posterior(hidden, obs)
    assert posterior.mean.shape == posterior.log_std.shape == (B, T + 1, J)
    same = torch.equal(model.posterior(hidden, obs + 1.0).mean, posterior.mean)
    assert same == (form == "printed")


def test_the_posterior_is_each_agents_own_by_shared_weights(episode):
    hidden, obs, _ = episode
    model = make_model()
    swapped = model.posterior(hidden.flip(-2), obs.flip(-2)).mean.unflatten(-1, (N, L))
    expected = model.posterior(hidden, obs).mean.unflatten(-1, (N, L)).flip(-2)
    torch.testing.assert_close(swapped, expected)


@FORMS
@USE_SALE
def test_the_prior_says_what_changes_or_what_comes(form, use_sale):
    model = make_model(world_model_form=form, use_sale=use_sale)
    latent, actions = torch.randn(B, T, J), torch.randint(A, (B, T, N))
    embeddings = model.embed(latent, actions)
    residual = form != "printed"
    # Without SALE the embeddings are the latent itself and the actions.
    read = torch.cat([embeddings, latent], -1) if residual and use_sale else embeddings
    one_hot = F.one_hot(actions, A).float().flatten(-2)
    read = torch.cat([read, one_hot], -1) if form == "direct" else read
    network = model.prior_net(read)[..., :J]
    prior = model.prior(embeddings, latent, one_hot)
    torch.testing.assert_close(prior.mean, network + latent if residual else network)
    assert prior.log_std.shape == (B, T, J)


def test_deviations_stay_in_their_range(episode):
    hidden, obs, _ = episode
    model, zeros = make_model(), lambda size: torch.zeros(B, size)
    for log_std in (
        model.posterior(1e4 * hidden, obs).log_std,
        model.prior(1e4 * torch.randn(B, model.embeddings_dim), zeros(J), zeros(N * A)).log_std,
    ):
        assert log_std.min() == LOG_STD_RANGE[0] and log_std.max() == LOG_STD_RANGE[1]


@USE_SALE
def test_embeddings_are_those_of_the_state_and_the_actions_taken(use_sale):
    model = make_model(use_sale=use_sale)
    latent, actions = torch.randn(B, J), torch.randint(A, (B, N))
    e = torch.cat([model.action_embedding(F.one_hot(a, A).float()) for a in actions.T], -1)
    torch.testing.assert_close(model.embed_actions(actions), e)
    found = model.embed(latent, actions)
    assert found.shape == (B, model.embeddings_dim)
    if not use_sale:
        assert torch.equal(found, torch.cat([latent, e], -1))
        return
    z = model.sale.encode(latent)
    parts = [model.sale.encode_action(z, e), z, model.sale.direct(latent, e)]
    torch.testing.assert_close(found, torch.cat(parts, -1))


@FORMS
@USE_SALE
def test_imagination_begins_at_the_posteriors_mean_and_the_first_actions(form, use_sale, episode):
    hidden, obs, _ = episode
    model = make_model(world_model_form=form, use_sale=use_sale)
    first = torch.full((B, T + 1, N), 3)  # what the agents do at the real steps
    seen = []
    embed = model.embed
    model.embed = lambda latent, chosen: (seen.append(chosen), embed(latent, chosen))[1]
    rollout = model.imagine(hidden, obs, first, horizon=3)
    assert rollout.shape == (B, T + 1, 4, J) and not rollout.requires_grad
    torch.testing.assert_close(rollout[:, :, 0], model.posterior(hidden, obs).mean)
    assert len(seen) == 3 and (seen[0] == 3).all()
    for depth in (1, 2):  # afterwards the policy acts, on what was imagined
        assert torch.equal(seen[depth], model.policy(rollout[:, :, depth]).argmax(-1))
    for depth in range(3):
        before = rollout[:, :, depth]
        later = model.prior(embed(before, seen[depth]), before, model.one_hot(seen[depth])).mean
        torch.testing.assert_close(rollout[:, :, depth + 1], later)


def test_predictions_follow_the_actions_taken():
    model = make_model()
    latent, actions = torch.randn(B, T, J), torch.randint(A, (B, T, N))
    predictions = model.predict(latent, actions, horizon=2)
    first = model.go_on(latent[:, 1], actions[:, 1])
    second = model.go_on(first, actions[:, 2])
    torch.testing.assert_close(predictions[0][:, 1], first)
    torch.testing.assert_close(predictions[1][:, 1], second)


@pytest.mark.parametrize("head", OBSERVATION_HEADS)
def test_what_is_decoded_has_its_shapes_and_reads_what_the_head_may(head):
    model = make_model(observation_head=head)
    latent = torch.randn(B, J)
    decoded = model.decode(latent)
    assert decoded.embeddings.shape == (B, model.embeddings_dim)
    assert decoded.hidden.shape == (B, N, H)
    assert decoded.obs.shape == (B, N, D) and decoded.mask_logits.shape == (B, N, A)
    latent[:, :L] += 1.0  # the first agent's
    again = model.decode(latent)
    for told, before in ((again.obs, decoded.obs), (again.mask_logits, decoded.mask_logits)):
        assert not torch.equal(told[:, 0], before[:, 0])
        assert torch.equal(told[:, 1], before[:, 1]) == (head == "agent")


def test_a_sample_has_the_mean_and_the_deviation():
    gaussian = Gaussian(torch.tensor([1.0, -2.0]), torch.tensor([0.0, -1.0]))
    samples = gaussian.sample(torch.randn(200_000, 2))
    torch.testing.assert_close(samples.mean(0), gaussian.mean, atol=0.02, rtol=0)
    torch.testing.assert_close(samples.std(0), gaussian.log_std.exp(), atol=0.02, rtol=0)


@pytest.mark.parametrize("scale", [0.0, 0.2, 1.0])
def test_a_scaled_gradient_changes_no_value(scale):
    mean, log_std = torch.randn(4, requires_grad=True), torch.randn(4, requires_grad=True)
    scaled = Gaussian(mean, log_std).scale_gradient(scale)
    torch.testing.assert_close(scaled, Gaussian(mean, log_std))
    (3.0 * scaled.mean + scaled.log_std).sum().backward()
    torch.testing.assert_close(mean.grad, torch.full((4,), 3.0 * scale))
    torch.testing.assert_close(log_std.grad, torch.full((4,), scale))
