"""Which loss moves what, and that padding moves nothing."""

import numpy as np
import pytest
import torch

from env_registry.contract import TEAM
from rllib_mmsa.method import networks
from rllib_mmsa.method.losses import losses_of
from rllib_mmsa.method.update import Step
from rllib_mmsa.method.world_model import Gaussian
from rllib_mmsa.rllib.batch import NOISE
from rllib_mmsa.rllib.module import STEP
from tests.algorithms import (
    FORAGING,
    batch_of,
    build,
    learner,
    train_batch,
    weights,
    with_noise,
)

pytestmark = pytest.mark.usefixtures("ray_session")
NAMES = ["MMSA", "QMIX", "VDN", "IndependentQ"]


def gradients(module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    """What one loss sends to each parameter; those that it does not reach are missing."""
    module.zero_grad(set_to_none=True)
    loss.backward()
    return {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", NAMES)
def test_padding_changes_neither_loss_nor_gradients(name):
    share = {"model_batch_share": 1.0} if name == "MMSA" else {}
    algorithm = build(name, engine="plain", **share, **FORAGING)
    own, module = learner(algorithm), learner(algorithm).team_module
    played = sorted(algorithm.env_runner.sample(num_episodes=60), key=len)
    episodes, longest = played[:3], played[-1]
    assert len(longest) > len(episodes[-1])
    padded = with_noise(algorithm, batch_of(algorithm, [*episodes, longest])[TEAM])
    noise = padded.pop(NOISE, None)
    padded = {key: value[:3] for key, value in padded.items()}
    plain = batch_of(algorithm, episodes)[TEAM]
    steps = plain["rewards"].shape[1]
    assert padded["rewards"].shape[1] > steps
    if noise is not None:
        padded[NOISE], plain[NOISE] = noise[:, :3], noise[:, :3, : steps + 1]

    def run(fields) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        batch = {TEAM: fields}
        loss = own.compute_losses(fwd_out=own.module.forward_train(batch), batch=batch)[TEAM]
        return loss.detach(), gradients(module, loss)

    (ours, our_gradients), (theirs, their_gradients) = run(plain), run(padded)
    torch.testing.assert_close(ours, theirs)
    assert our_gradients.keys() == their_gradients.keys()
    for key, gradient in our_gradients.items():
        torch.testing.assert_close(gradient, their_gradients[key], rtol=1e-4, atol=1e-5)
    algorithm.stop()


def one_step(**config) -> tuple:
    """An algorithm, its module, and one forward pass of it."""
    algorithm = build("MMSA", engine="plain", **{**FORAGING, **config})
    module = learner(algorithm).team_module
    batch = batch_of(algorithm, algorithm.env_runner.sample(num_episodes=4))
    return algorithm, module, module.forward_train(with_noise(algorithm, batch[TEAM]))[STEP]


def reached(name: str, **config) -> set[str]:
    """The parts of MMSA's module that one loss alone sends gradient to."""
    algorithm, module, step = one_step(**config)
    settings = module.settings
    found = gradients(module, losses_of(settings)[name](step, settings))
    algorithm.stop()
    touched = (n.split(".") for n, gradient in found.items() if gradient.any())
    return {".".join(parts[: 3 if parts[1] == "sale" else 2]) for parts in touched}


AGENT = {
    "agent.input",
    "agent.rnn",
    "agent.sale.phi",
    "agent.from_state",
    "agent.from_action",
    "agent.head",
    "agent.per_action",
}
MIXER = {"mixer.weights_1", "mixer.bias_1", "mixer.weights_2", "mixer.value", "aggregator.linear"}
POSTERIOR, PRIOR = "world_model.posterior_net", "world_model.prior_net"
#: What latents come of. The prior reads a latent of the posterior and an embedding of the actions.
LATENTS = {POSTERIOR, PRIOR, "world_model.action_embedding", "world_model.sale.phi"}
EMBEDDINGS = "world_model.embeddings_decoder"
HIDDEN, OBS = "world_model.hidden_decoder", "world_model.obs_decoder"
OUTCOMES = "world_model.outcome_net"
#: The stop-gradient table (docs/readings.md): what each loss moves, and nothing else.
ARROWS = {
    "td_loss": AGENT | MIXER,
    "kl_prior_loss": LATENTS,
    "kl_balanced_loss": LATENTS,
    "reconstruction_embeddings_loss": LATENTS | {EMBEDDINGS},
    "reconstruction_hidden_loss": LATENTS | {EMBEDDINGS, HIDDEN},
    "reconstruction_obs_loss": LATENTS | {OBS},
    "reconstruction_mask_loss": LATENTS | {OBS},
    "open_loop_loss": LATENTS | {OBS},
    "reward_loss": LATENTS | {OUTCOMES},
    "end_loss": LATENTS | {OUTCOMES},
    "policy_loss": {"world_model.policy_phi", "world_model.policy_net"},
    "self_prediction_loss": {"agent.input", "agent.rnn", "self_predictor.0", "self_predictor.2"},
    "sale_observation_loss": {"learned_sale.f", "learned_sale.g"},
    "sale_latent_loss": {"world_model.sale.f", "world_model.sale.g"},
}


@pytest.mark.parametrize("loss", ARROWS)
def test_each_loss_moves_its_own_networks_and_no_others(loss):
    assert reached(loss) == ARROWS[loss]


@pytest.mark.parametrize("loss", ARROWS)
def test_the_printed_form_has_the_same_arrows(loss):
    assert reached(loss, world_model_form="printed") == ARROWS[loss]


def test_every_loss_has_an_arrow_and_every_parameter_that_learns_a_loss():
    algorithm, module, _ = one_step()
    assert ARROWS.keys() == losses_of(module.settings).keys()
    every = set().union(*ARROWS.values())
    learned = [n.split(".") for n, p in module.named_parameters() if p.requires_grad]
    assert {".".join(n[: 3 if n[1] == "sale" else 2]) for n in learned} == every
    algorithm.stop()


def test_a_normaliser_with_weights_learns_with_its_encoder():
    layer = {"normaliser": "layer"}
    assert reached("td_loss", **layer) == AGENT | MIXER | {"agent.sale.phi_norm"}
    observations = {"learned_sale.f", "learned_sale.f_norm", "learned_sale.g"}
    assert reached("sale_observation_loss", **layer) == observations
    latents = {f"world_model.sale.{part}" for part in ("f", "f_norm", "g")}
    assert reached("sale_latent_loss", **layer) == latents


def test_without_sale_latents_learn_from_latents_and_actions():
    latents = {POSTERIOR, PRIOR, "world_model.action_embedding"}
    assert reached("kl_balanced_loss", use_sale=False) == latents
    agent = {"agent.input", "agent.rnn", "agent.head"}
    assert reached("td_loss", use_sale=False) == agent | MIXER


def test_an_update_moves_all_that_learns_and_nothing_that_stands_still():
    algorithm = build("MMSA", engine="plain", **FORAGING)
    module = learner(algorithm).team_module
    before = weights(module)
    algorithm.learner_group.update(
        batch=train_batch(algorithm.env_runner.sample(num_episodes=4)),
        timesteps={"num_env_steps_sampled_lifetime": 0, "num_episodes_lifetime": 0},
    )
    moved = {n for n, v in weights(module).items() if not np.array_equal(v, before[n])}
    frozen = {n for n, p in module.named_parameters() if not p.requires_grad}
    # The world model's copy is the average of its weights.
    assert {n for n in moved & frozen if not n.startswith("target_world_model.")} == set()
    still = ("target_", "agent.sale.f.", "agent.sale.g.", "learned_sale.phi.")
    assert all(name.startswith(still) for name in frozen)
    parts = {name.split(".")[0] for name in moved}
    learned = {"agent", "mixer", "aggregator", "world_model", "learned_sale", "self_predictor"}
    assert parts == learned | {"target_world_model"}
    algorithm.stop()


def test_the_encoders_that_act_take_over_what_was_learned_when_targets_move():
    algorithm = build("MMSA")
    module = learner(algorithm).team_module
    with torch.no_grad():
        module.learned_sale.f[0].weight.add_(1.0)
        module.agent.sale.f[0].bias.add_(2.0)
    acting = module.agent.sale.f[0].bias.clone()
    learner(algorithm).sync_targets(1.0)
    # The target keeps the encoders that acted; the acting ones take over the learned.
    assert torch.equal(module.target_agent.sale.f[0].bias, acting)
    assert torch.equal(module.agent.sale.f[0].weight, module.learned_sale.f[0].weight)
    algorithm.stop()


@pytest.mark.parametrize("average", [None, 0.9])
def test_both_mixers_read_the_copy_of_the_world_model(average):
    """Values and targets stand still while the world model learns, until its copy moves."""
    algorithm = build("MMSA", engine="plain", world_model_average=average, **FORAGING)
    own, module = learner(algorithm), learner(algorithm).team_module
    batch = batch_of(algorithm, algorithm.env_runner.sample(num_episodes=4))

    def mixed() -> tuple[torch.Tensor, torch.Tensor]:
        step: Step = module.forward_train(with_noise(algorithm, batch[TEAM]))[STEP]
        return step.q_tot.detach(), step.target

    q_tot, target = mixed()
    with torch.no_grad():
        for parameter in module.world_model.prior_net.parameters():
            parameter.add_(0.5)
    again = mixed()
    assert torch.equal(again[0], q_tot) and torch.equal(again[1], target)
    if average is None:
        own.sync_targets(1.0)
    else:
        weight = module.target_world_model.prior_net.linear.bias
        expected = 0.9 * weight + 0.1 * module.world_model.prior_net.linear.bias
        networks.average_model(module)
        torch.testing.assert_close(weight, expected)
    again = mixed()
    assert not torch.equal(again[0], q_tot) and not torch.equal(again[1], target)
    algorithm.stop()


@pytest.mark.parametrize(
    ("kl_balance", "moved"),
    [("prior", {"prior"}), ("posterior", {"posterior"}), (None, {"prior", "posterior"})],
)
def test_kl_balance_says_which_side_moves(kl_balance, moved):
    algorithm, module, step = one_step(kl_balance=kl_balance, kl_balance_alpha=1.0)
    [prior] = step.model.priors
    sides = {
        side: Gaussian(*(v.detach().requires_grad_() for v in gaussian))
        for side, gaussian in (("prior", prior), ("posterior", step.model.posterior))
    }
    model = step.model._replace(priors=[sides["prior"]], posterior=sides["posterior"])
    step = step._replace(model=model)
    losses_of(module.settings)["kl_balanced_loss"](step, module.settings).backward()
    for side, gaussian in sides.items():
        assert all(bool(v.grad.any()) == (side in moved) for v in gaussian), side
    algorithm.stop()


def test_the_total_is_the_weighted_sum_of_the_losses():
    algorithm, module, step = one_step(kl_weight=0.3, sale_weight=0.7, policy_weight=0.4)
    settings, own = module.settings, learner(algorithm)
    weighted = [
        settings.loss_weights[name] * loss(step, settings)
        for name, loss in losses_of(settings).items()
    ]
    out = {TEAM: {STEP: step}}
    total = own.compute_losses(fwd_out=out, batch={TEAM: {}})[TEAM]
    torch.testing.assert_close(total, torch.stack(weighted).sum())
    algorithm.stop()
