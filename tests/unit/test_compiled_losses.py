"""The model losses, compiled: losses and gradients are those of PyTorch's steps."""

import copy

import pytest
import torch

from env_registry.contract import TEAM
from rllib_mmsa.nets import kernels
from rllib_mmsa.rllib import compiled_losses
from rllib_mmsa.rllib.batch import Window, to_train_batch
from rllib_mmsa.rllib.model_data import ModelBatch
from tests.algorithms import build, learner, train_batch

FORAGING = {"env": "lbf", "env_config": {"task": "5x5-2p-1f-v3", "max_episode_steps": 12}}
STEPS = {"num_env_steps_sampled_lifetime": 0, "num_episodes_lifetime": 0}

pytestmark = pytest.mark.usefixtures("ray_session")


def what_is_learned_from(algorithm, monkeypatch):
    """The learner, and what its model losses go over in an update on some episodes."""
    one, given = learner(algorithm), []
    learn = one._learn_model

    def record(inputs):
        given.append(inputs)
        return learn(inputs)

    monkeypatch.setattr(one, "_learn_model", record)
    episodes = algorithm.env_runner.sample(num_episodes=9)
    windows = [  # of many lengths, some with a burn-in
        Window(episode, 0, n % 3, max(n % 3 + 1, len(episode) - n))
        for n, episode in enumerate(episodes)
    ]
    for _ in range(2):  # the first one measures the world model, which is left to PyTorch
        algorithm.learner_group.update(batch=to_train_batch(windows), timesteps=STEPS)
    [inputs] = given
    return one, inputs


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"kl_balance": "posterior", "kl_balance_alpha": 0.6, "kl_prior_weight": 0.5},
        {"kl_balance": None, "kl_weight": 2.0, "model_batch_share": 1.0, "latent_dim": 5},
        {"sale_weight": 0.0, "hidden_weight": 3.0, "observation_weight": 0.5},
        {"policy_weight": 0.3, "reconstruction_weight": 0.7, "sale_encoders": "fixed"},
        {"sale_action": "previous", "world_model_dim": 20, "action_embed_dim": 3},
    ],
)
def test_losses_and_gradients_are_pytorchs(settings, kind, monkeypatch):
    algorithm = build("MMSA", **FORAGING, hidden_dim=16, **settings)
    one, inputs = what_is_learned_from(algorithm, monkeypatch)
    module, config = one.team_module, one.config.get_config_for_module(TEAM)
    assert compiled_losses.are_compiled(config)
    assert not inputs.packed.packing.even
    assert not inputs.packed.read.all()
    before = copy.deepcopy(module.state_dict())
    names = {id(parameter): name for name, parameter in module.named_parameters()}

    module.seed_noise(7)
    compiled = compiled_losses.CompiledLosses(kind, module, config)
    prepared = compiled.prepare(ModelBatch(*inputs[:2], None, *inputs[2:4]))
    total, losses, learned = compiled(inputs._replace(prepared=prepared))
    found = {
        names[id(p)]: gradient for p, gradient in zip(compiled.parameters, learned, strict=True)
    }
    scales = copy.deepcopy({k: v for k, v in module.state_dict().items() if "scale" in k})

    module.load_state_dict(before)
    module.seed_noise(7)
    kernels.use_kernels(False)
    one._logged.clear()
    loss = one.model_loss(config, module.forward_model(inputs))
    parameters = list(one._params.values())
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    kernels.use_kernels(True)
    expected = {
        names[id(parameter)]: gradient
        for parameter, gradient in zip(parameters, gradients, strict=True)
        if gradient is not None
    }
    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(total, loss.detach(), **close)
    torch.testing.assert_close(losses, {name: one._logged[name] for name in losses}, **close)
    torch.testing.assert_close(found, expected, **close)
    torch.testing.assert_close(
        {k: v for k, v in module.state_dict().items() if "scale" in k}, scales, rtol=0, atol=0
    )
    algorithm.stop()


@pytest.mark.parametrize(
    "setting",
    [
        {"use_world_model": False},
        {"use_sale": False},
        {"normaliser": "layer"},
        {"posterior_sees_obs": False},
        {"prior_residual": False},
        {"prior_sees_latent": False},
        {"imagined_actions": "values"},
        {"free_bits": 0.1},
    ],
)
def test_other_readings_are_left_to_pytorch(setting, kind, monkeypatch):
    algorithm = build("MMSA", **FORAGING, hidden_dim=16, **setting)
    monkeypatch.setattr(type(kind), "model_losses", None)  # would fail where it is called
    batch = train_batch(algorithm.env_runner.sample(num_episodes=4))
    for _ in range(2):  # quality is measured in the first
        algorithm.learner_group.update(batch=batch, timesteps=STEPS)
    assert learner(algorithm)._num_updates == 2
    algorithm.stop()
