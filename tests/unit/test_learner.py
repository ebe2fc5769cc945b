"""The learner: optimiser, clipping, target networks, and what it logs."""

import numpy as np
import pytest
import torch
from ray.rllib.utils.metrics import LEARNER_RESULTS

from env_registry.contract import TEAM
from rllib_mmsa.method import networks
from rllib_mmsa.rllib.module import QModule
from tests.algorithms import FORAGING, Q_LEARNERS, build, learner, train_batch, weights

pytestmark = pytest.mark.usefixtures("ray_session")
STEPS = {"num_env_steps_sampled_lifetime": 0, "num_episodes_lifetime": 0}


def applied(name: str, **config) -> tuple[dict, dict, list]:
    """The gradients of one update before clipping and after, and what the optimiser has."""
    algorithm = build(name, engine="plain", **FORAGING, **config)
    own = learner(algorithm)
    raw, clipped = {}, {}
    postprocess, apply = own.postprocess_gradients, own.apply_gradients
    own.postprocess_gradients = lambda g: (raw.update(g), postprocess(g))[1]
    own.apply_gradients = lambda g: (clipped.update(g), apply(g))[1]
    batch = train_batch(algorithm.env_runner.sample(num_episodes=4))
    algorithm.learner_group.update(batch=batch, timesteps=STEPS)
    learned = {p for p in own.team_module.parameters() if p.requires_grad}
    params = own.get_optimizer(TEAM).param_groups[0]["params"]
    assert len(params) == len(learned) and set(params) == learned
    algorithm.stop()
    return raw, clipped, params


def norm(gradients: dict) -> float:
    return torch.cat([gradient.flatten() for gradient in gradients.values()]).norm().item()


@pytest.mark.parametrize("name", ["MMSA", "QMIX"])
def test_gradients_are_clipped_together(name):
    raw, clipped, _ = applied(name, grad_clip=0.01)
    assert norm(raw) > 0.02
    assert norm(clipped) == pytest.approx(0.01, rel=1e-3)
    for parameter, gradient in clipped.items():  # all by one factor
        torch.testing.assert_close(gradient, raw[parameter] * 0.01 / norm(raw), rtol=1e-3, atol=0)


@pytest.mark.parametrize("grad_clip", [None, 1e6])
def test_small_gradients_stay_as_they_are(grad_clip):
    raw, clipped, _ = applied("QMIX", grad_clip=grad_clip)
    for parameter, gradient in clipped.items():
        assert torch.equal(gradient, raw[parameter])


@pytest.mark.parametrize("by", ["value", "norm"])
def test_gradients_can_be_clipped_one_by_one(by):
    _, clipped, _ = applied("QMIX", grad_clip=0.01, grad_clip_by=by)
    size = torch.Tensor.norm if by == "norm" else lambda gradient: gradient.abs().max()
    sizes = [size(gradient).item() for gradient in clipped.values()]
    assert max(sizes) == pytest.approx(0.01, rel=1e-4)


def test_a_gradient_that_is_not_finite_skips_the_update():
    algorithm = build("QMIX")
    own, module = learner(algorithm), learner(algorithm).team_module
    before = weights(module)
    grads = {ref: torch.full_like(p, torch.nan) for ref, p in own._params.items()}
    own.apply_gradients(grads)
    for key, value in weights(module).items():
        np.testing.assert_array_equal(value, before[key])
    assert own._num_skipped_updates == 1
    algorithm.stop()


@pytest.mark.parametrize("optim", ["rmsprop", "adam"])
def test_the_optimiser_is_pytorchs_with_the_settings_of_the_configuration(optim):
    algorithm = build("QMIX", optim=optim, optim_alpha=0.9, optim_eps=1e-4, lr=3e-4)
    optimiser = learner(algorithm).get_optimizer(TEAM)
    assert type(optimiser) is {"rmsprop": torch.optim.RMSprop, "adam": torch.optim.Adam}[optim]
    [group] = optimiser.param_groups
    assert (group["lr"], group["eps"]) == (3e-4, 1e-4)
    assert group.get("alpha", 0.9) == 0.9
    algorithm.stop()


@pytest.mark.parametrize(
    ("settings", "now", "moves"),
    [
        ({"target_update_episodes": 10}, {"num_episodes_lifetime": 9}, 0.0),
        ({"target_update_episodes": 10}, {"num_episodes_lifetime": 10}, 1.0),
        ({"target_network_update_freq": 50}, {"num_env_steps_sampled_lifetime": 49}, 0.0),
        ({"target_network_update_freq": 50}, {"num_env_steps_sampled_lifetime": 50}, 1.0),
        ({"target_update_tau": 0.25}, {}, 0.25),
    ],
)
def test_target_networks_move_when_due(settings, now, moves):
    algorithm = build("QMIX", **settings)
    own, module = learner(algorithm), learner(algorithm).team_module
    with torch.no_grad():
        module.mixer.bias_1.bias.add_(1.0)
    start = module.target_mixer.bias_1.bias.clone()
    own._update_targets({**STEPS, **now})
    moved = module.target_mixer.bias_1.bias - start
    torch.testing.assert_close(moved, torch.full_like(moved, moves))
    algorithm.stop()


def test_every_target_network_takes_over_its_network():
    algorithm = build("MMSA", **FORAGING)
    own, module = learner(algorithm), learner(algorithm).team_module
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if not name.startswith("target_"):
                value.add_(1.0)
    own.sync_targets(1.0)
    state = module.state_dict()
    still = "target_world_model.prior_net.linear.weight"  # it is averaged, and not copied
    assert not torch.equal(state[still], state[still.removeprefix("target_")])
    networks.move(module.target_world_model, module.world_model, 1.0)
    targets = [name for name in state if name.startswith("target_")]
    assert {name.split(".")[0] for name in targets} == {
        f"target_{part}" for part in ("agent", "mixer", "aggregator", "world_model")
    }
    for name in targets:
        if ".sale.f." in name or ".sale.g." in name:  # acting encoders move in their own way
            continue
        torch.testing.assert_close(state[name], state[name.removeprefix("target_")])
    algorithm.stop()


def test_counts_are_logged_as_they_stand_and_not_averaged():
    algorithm = build("QMIX", min_sample_timesteps_per_iteration=100)
    for _ in range(2):
        logged = algorithm.train()[LEARNER_RESULTS][TEAM]
    assert logged["num_updates_lifetime"] == learner(algorithm)._num_updates > 8
    algorithm.stop()


@pytest.mark.parametrize("updates_per_episode", [2.0, 0.25])
def test_an_iteration_reports_all_its_updates(updates_per_episode):
    """Also where its last round had none: the learners hand their log over once an iteration."""
    config = {"updates_per_episode": updates_per_episode, **FORAGING}
    algorithm = build("QMIX", min_sample_timesteps_per_iteration=80, **config)
    algorithm.train()  # fills the replay
    for _ in range(6):
        before = learner(algorithm)._num_updates
        logged = algorithm.train()[LEARNER_RESULTS][TEAM]
        made = learner(algorithm)._num_updates
        assert made > before
        assert logged["num_updates_lifetime"] == made
        assert np.isfinite(logged["td_loss"])
    algorithm.stop()


@pytest.mark.parametrize("name", Q_LEARNERS)
def test_who_acts_gets_the_weights_that_rllib_would_send(name):
    """``QModule.get_state`` takes them alone; RLlib takes all and drops what is not needed."""
    algorithm = build(name, normalise_observations=True)
    module = learner(algorithm).team_module
    sent = module.get_state(inference_only=True)
    expected = super(QModule, module).get_state(inference_only=True)
    assert list(sent) == list(expected)
    for key, value in expected.items():
        np.testing.assert_array_equal(sent[key], value)
    assert len(module.get_state()) > len(sent), "a checkpoint has everything"
    algorithm.stop()
