"""The native engine where it is not one whole update after the other in one process."""

import copy
import dataclasses
import os

import pytest
import torch

from rllib_mmsa.engine.native import unavailable
from rllib_mmsa.engine.native.native import NativeEngine
from rllib_mmsa.method.settings import MMSASettings
from tests.engine import native_cases

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))

SIZES = 2, 4, 5, 6
SMALL = {"hidden_dim": 8, "latent_dim": 3, "sale_dim": 5, "sale_hidden_dim": 12}
SETTINGS = MMSASettings(**SMALL, self_prediction_weight=0.7)


def prepared() -> tuple:
    """A team with a world model, a batch and its noise."""
    team = native_cases.scatter(native_cases.Team(SETTINGS, *SIZES), 0)
    batch = native_cases.random_batch(native_cases.np.random.default_rng(0), 6, 9, *SIZES)
    return team, batch, native_cases.noise_for(team, batch, 0)


def test_statistics_stand_still_in_evaluation():
    team, batch, noise = prepared()
    before = copy.deepcopy(dict(team.named_buffers()))
    team.eval()
    ours = NativeEngine(team, 1).learn(batch._asdict(), noise)
    exact = native_cases.plain(team, batch, noise, torch.float64)
    assert ours.total.item() == pytest.approx(exact.total.item(), rel=1e-5)
    for name, buffer in team.named_buffers():
        assert torch.equal(buffer, before[name]), name


def test_noise_of_another_shape_is_refused():
    team, batch, noise = prepared()
    engine = NativeEngine(team, 1)
    for wrong in (None, noise[:1], noise[:, :, 1:], noise.double()):
        with pytest.raises(ValueError, match="noise"):
            engine.learn(batch._asdict(), wrong)


def test_a_fork_learns_without_the_threads_of_its_parent():
    team, batch, noise = prepared()
    team.eval()  # every update is the same
    engine = NativeEngine(team, 2)
    total = engine.learn(batch._asdict(), noise).total.item()
    child = os.fork()
    if not child:
        same = engine.learn(batch._asdict(), noise).total.item() == total
        del engine
        os._exit(0 if same else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert engine.learn(batch._asdict(), noise).total.item() == total


def test_more_threads_than_parts_change_nothing():
    team, batch, noise = prepared()
    team.eval()
    totals = {
        NativeEngine(team, threads).learn(batch._asdict(), noise).total.item()
        for threads in (1, 5, 8, 100)
    }
    assert len(totals) == 1


def test_an_update_without_a_step_to_learn_from_is_zero():
    team, batch, noise = prepared()
    batch = batch._replace(loss_mask=torch.zeros_like(batch.loss_mask))
    learned = NativeEngine(team, 2).learn(batch._asdict(), noise)
    assert learned.total.item() == 0
    assert all(not gradient.any() for gradient in learned.gradients.values())


def test_an_untrained_model_is_judged_and_not_moved():
    team, batch, noise = prepared()
    trained = NativeEngine(copy.deepcopy(team), 1).learn(batch._asdict(), noise)
    team.settings = dataclasses.replace(SETTINGS, mixer_reads="untrained")
    learned = NativeEngine(team, 1).learn(batch._asdict(), noise)
    of_model = {n: g for n, g in learned.gradients.items() if n.startswith("world_model")}
    assert of_model and not any(gradient.any() for gradient in of_model.values())
    assert any(g.any() for n, g in learned.gradients.items() if n.startswith("learned_sale"))
    assert learned.losses.keys() == trained.losses.keys()
    for name, loss in learned.losses.items():
        assert torch.equal(loss, trained.losses[name]), name


def test_acting_follows_the_engines_own_steps():
    team, batch, noise = prepared()
    engine = NativeEngine(team, 1)
    parameters = dict(team.named_parameters())
    optimizer = torch.optim.RMSprop(
        [p for p in parameters.values() if p.requires_grad], lr=0.01, foreach=True
    )
    obs = torch.rand(3, SIZES[0], SIZES[2])
    for _ in range(2):
        with torch.no_grad():
            expected, _ = team.agent.step(obs, team.agent.initial_state(3))
        ours, _ = engine.act(obs, team.agent.initial_state(3))
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
        learned = engine.learn(batch._asdict(), noise)
        engine.step(optimizer, {parameters[n]: g for n, g in learned.gradients.items()})


def test_fields_with_gaps_are_read_as_they_are():
    team, batch, noise = prepared()
    team.eval()
    expected = NativeEngine(team, 1).learn(batch._asdict(), noise)
    gradients = {name: gradient.clone() for name, gradient in expected.gradients.items()}
    wide = {
        name: torch.stack([field, field], -1)[..., 0] for name, field in batch._asdict().items()
    }
    assert not any(field.is_contiguous() for field in wide.values() if field.dim() > 1)
    wide["action_mask"] = wide["action_mask"].bool()
    for _ in range(3):
        found = NativeEngine(team, 2).learn(wide, noise)
        for name, gradient in gradients.items():
            assert torch.equal(found.gradients[name], gradient), name
