"""The learner's batched losses and gradients are those of slow loops."""

import pytest
import torch

from env_registry.contract import TEAM
from tests.algorithms import batch_of, build, learner
from tests.reference import Reference

pytestmark = pytest.mark.usefixtures("ray_session")

#: Episodes of different lengths, observations in [0, 1].
FORAGING = {"env": "lbf", "env_config": {"task": "5x5-2p-1f-v2", "max_episode_steps": 5}}


def prepared(name: str) -> tuple:
    """An algorithm in float64 whose targets lag behind, and a batch of five episodes."""
    algorithm = build(name, **FORAGING)
    own, module = learner(algorithm), learner(algorithm).team_module
    episodes = sorted(algorithm.env_runner.sample(num_episodes=80), key=len)
    batch = batch_of(algorithm, episodes[::19])
    assert len(batch[TEAM]["loss_mask"]) == 5
    assert len(set(batch[TEAM]["loss_mask"].sum(1).tolist())) > 1
    fields = {
        key: value.double() if value.is_floating_point() else value
        for key, value in batch[TEAM].items()
    }
    module.double()
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return algorithm, own, module, fields


def drawn(module, fields) -> dict[str, torch.Tensor]:
    """The noise of the next forward pass under ``seed_noise(3)``."""
    if not hasattr(module, "world_model"):
        return {}
    module.seed_noise(3)
    batch, steps = fields["loss_mask"][::4].shape  # the episodes that the world model learns from
    shape = (batch, steps + 1, module.world_model.joint_dim)
    empty = torch.empty(shape, dtype=torch.float64)
    posterior = empty.clone().normal_(generator=module.noise)
    prior = empty.clone().normal_(generator=module.noise)
    module.seed_noise(3)
    return {"posterior": posterior, "prior": prior}


@pytest.mark.parametrize("name", ["QMIX", "MMSA"])
def test_losses_and_gradients_are_those_of_slow_loops(name):
    algorithm, own, module, fields = prepared(name)
    noise = drawn(module, fields)
    out = module.forward_train(fields)  # moves the running statistics, once
    ours = own.compute_losses(fwd_out={TEAM: out}, batch={TEAM: fields})[TEAM]
    module.zero_grad(set_to_none=True)
    ours.backward()
    gradients = {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}
    module.zero_grad(set_to_none=True)
    theirs = Reference(module, algorithm.config, fields, noise).total()
    theirs.backward()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-8)
    assert len(gradients) > 10
    for key, parameter in module.named_parameters():
        if parameter.grad is None:
            assert key not in gradients or not gradients[key].any(), key
        else:
            torch.testing.assert_close(gradients[key], parameter.grad, rtol=1e-5, atol=1e-8)
    algorithm.stop()
