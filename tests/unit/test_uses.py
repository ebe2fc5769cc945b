"""Options of method/uses.py: what they come to at their ends, and what they leave alone."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from env_registry.contract import TEAM
from rllib_mmsa.method import uses
from rllib_mmsa.method.update import Batch
from rllib_mmsa.method.world_model import Gaussian
from tests.algorithms import FORAGING, batch_of, build, learner, with_noise

pytestmark = pytest.mark.usefixtures("ray_session")


def gaussian(mean: float, deviation: float) -> Gaussian:
    return Gaussian(torch.tensor([mean]), torch.tensor([deviation]).log())


def test_a_mixture_has_the_moments_of_its_samples():
    assert uses.mixture([gaussian(2.0, 3.0)]) == gaussian(2.0, 3.0)
    mean, log_std = uses.mixture([gaussian(-1.0, 0.5), gaussian(3.0, 2.0)])
    torch.manual_seed(0)
    halves = -1.0 + 0.5 * torch.randn(200_000), 3.0 + 2.0 * torch.randn(200_000)
    samples = torch.cat(halves)
    assert mean.item() == pytest.approx(samples.mean().item(), abs=0.02)
    assert log_std.exp().item() == pytest.approx(samples.std().item(), abs=0.02)


@pytest.mark.parametrize(("spread", "gain"), [(1e-4, 1.0), (1e4, 0.0)])
def test_what_is_known_is_read_and_what_is_not_known_is_the_present(spread, gain):
    torch.manual_seed(1)
    rollout = torch.randn(2, 3, 4, 6)  # K = 3, two agents of three numbers
    model = SimpleNamespace(
        num_agents=2,
        policy=lambda latents: torch.zeros(*latents.shape[:-1], 2, 5),
        next=lambda latents, actions: Gaussian(latents, torch.full_like(latents, spread).log()),
    )
    nets = SimpleNamespace(target_world_model=model)
    read = uses.gate(nets, rollout, torch.zeros(2, 3, 2, dtype=torch.int64))
    expected = rollout[..., :1, :] + gain * (rollout - rollout[..., :1, :])
    torch.testing.assert_close(read, expected, atol=1e-5, rtol=1e-5)


def heads(reward: float, value: float, end: float = -50.0) -> SimpleNamespace:
    """A model that foretells the same everywhere."""

    def foretell(before, actions, after):
        like = after[..., 0]
        return torch.full_like(like, reward), torch.full_like(like, end)

    return SimpleNamespace(
        foretell=foretell, value_net=lambda latents: torch.full_like(latents[..., :1], value)
    )


def test_values_after_imagined_steps():
    latents, actions = torch.zeros(1, 4, 2), torch.zeros(1, 3, 1, dtype=torch.int64)
    found = uses.k_step_values(heads(1.0, 8.0), latents, actions, gamma=0.5)
    torch.testing.assert_close(found, torch.tensor([[1 + 4.0, 1.5 + 2.0, 1.75 + 1.0]]))
    ended = uses.k_step_values(heads(1.0, 8.0, end=50.0), latents, actions, gamma=0.5)
    torch.testing.assert_close(ended, torch.ones(1, 3))


def test_a_depth_that_errs_does_not_count():
    """Values are 10 everywhere, rewards 1, gamma 1; the model says 10, or 1000."""
    batch = Batch(
        obs=torch.zeros(1, 4, 1, 1), action_mask=torch.ones(1, 4, 1, 2), state=torch.zeros(1, 4, 1),
        actions=torch.zeros(1, 3, 1, dtype=torch.int64), rewards=torch.full((1, 3), 1.0),
        terminated=torch.zeros(1, 3, dtype=torch.bool),
        truncated=torch.zeros(1, 3, dtype=torch.bool), loss_mask=torch.ones(1, 3),
    )  # fmt: skip
    values = torch.full((1, 3, 1), 10.0)
    settings = SimpleNamespace(value_expansion=1, gamma=1.0, bootstrap_truncated=True)
    for said, expected in ((10.0, 10.5), (1000.0, 10.0)):
        model = heads(1.0, said)
        model.predict = lambda latents, actions, depth: [latents] * depth
        model.policy = lambda latents: torch.zeros(*latents.shape[:-1], 1, 2)
        nets = SimpleNamespace(target_world_model=model, settings=settings)
        actions = torch.zeros(1, 4, 1, dtype=torch.int64)
        found = uses.expand(nets, batch, torch.zeros(1, 4, 2, 3), actions, values)
        assert found.shape == (1, 3, 1)
        # The target networks err by 1 a step. Right, the two depths, 10 and 1 + 10, count alike.
        torch.testing.assert_close(found, torch.full((1, 3, 1), expected), atol=0.02, rtol=0.0)


def test_further_model_updates_move_the_model_alone():
    algorithm = build("MMSA", engine="plain", model_updates=3, **FORAGING)
    own = learner(algorithm)
    fields = batch_of(algorithm, algorithm.env_runner.sample(num_episodes=8))
    played = Batch.of(fields[TEAM])
    before = {name: value.clone() for name, value in own.team_module.named_parameters()}
    own._learn_model(played, part=1, seed=0)
    after = dict(own.team_module.named_parameters())
    moved = {name.split(".")[0] for name, value in before.items() if not value.equal(after[name])}
    assert moved == {"world_model"}
    # Another part of the batch: other losses than those of the first.
    nets, losses = own.team_module, own.losses()
    noise = with_noise(algorithm, fields[TEAM])["noise"]
    first, second = (
        uses.model_losses(nets, Batch(*(v.roll(-part, 0) for v in played)), noise, losses)
        for part in (0, 1)
    )
    assert tuple(first) == tuple(second) and set(first) == set(nets.settings.model_loss_weights)
    assert all(not torch.equal(first[name], second[name]) for name in first)
    # A user's equation of the values (docs/extending.md) has none to look at here.
    of_values = {"value_size_loss": lambda step, settings: step.steps(step.q_tot**2)}
    assert uses.model_losses(nets, played, noise, {**losses, **of_values}).keys() == first.keys()
    algorithm.stop()


@pytest.mark.parametrize("engine", ["auto", "native"])
def test_model_updates_are_as_many_as_asked_for(engine, monkeypatch):
    calls = []
    real = uses.model_losses
    monkeypatch.setattr(uses, "model_losses", lambda *a: calls.append(1) or real(*a))
    algorithm = build("MMSA", engine=engine, model_updates=4, **FORAGING)
    while "learners" not in algorithm.train():
        pass
    assert len(calls) == 3 * learner(algorithm)._num_updates > 0
    algorithm.stop()


USES = {
    "num_models": 2,
    "gate_rollout": True,
    "value_expansion": 2,
    "model_updates": 2,
    "self_prediction_weight": 1.0,
}


def test_all_of_them_train_save_and_load(tmp_path):
    algorithm = build("MMSA", **USES, **FORAGING)
    logged: dict = {}
    while "value_loss" not in logged:
        logged = algorithm.train().get("learners", {}).get(TEAM, {})
    assert {"value_loss", "self_prediction_loss"} <= logged.keys()
    before = learner(algorithm).team_module.state_dict()
    algorithm.save_to_path(tmp_path)
    again = build("MMSA", **USES, **FORAGING)
    again.restore_from_path(str(tmp_path))
    after = learner(again).team_module.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert any(name.startswith("self_predictor") for name in before)
    assert any("other_priors.0" in name for name in before)
    algorithm.stop()
    again.stop()


@pytest.mark.parametrize("name", sorted(USES.keys() - {"self_prediction_weight"}))
def test_each_is_refused_where_there_is_nothing_to_use(name):
    with pytest.raises(ValueError, match=f"{name} is .*; it must be"):
        build("MMSA", **{name: USES[name]}, use_world_model=False)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"value_expansion": 3}, r"value_expansion is 3; it must be rollout_horizon \(2\) at most"),
        ({"value_expansion": 1, "reward_weight": 0}, "value_expansion is 1; it must be 0 without"),
        ({"value_expansion": 1, "mixer": None}, "value_expansion is 1; it must be 0 without"),
        ({"model_updates": 5}, "model_updates is 5; it must be at most 4"),
        ({"num_models": 0}, "num_models is 0; it must be a whole number from 1 to 100"),
        ({"num_models": 2, "mixer_reads": "untrained"}, "num_models is 2; it must be 1: there is"),
    ],
)
def test_settings_that_cannot_be(settings, words):
    with pytest.raises(ValueError, match=words):
        build("MMSA", **settings)
