"""Small algorithms train: ablations, rewards, time limits, observations, the replay's limits."""

import numpy as np
import pytest
import torch

from env_registry.contract import TEAM
from rllib_mmsa.method import inputs, update
from rllib_mmsa.rllib import algorithm as q_learning
from rllib_mmsa.rllib.module import STEP
from tests.algorithms import FORAGING, batch_of, build, learner, weights

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.mark.parametrize(
    ("config", "missing"),
    [
        ({}, set()),
        ({"use_world_model": False}, {"world_model", "aggregator", "target_world_model"}),
        ({"use_sale": False}, {"agent.sale", "learned_sale", "world_model.sale"}),
        ({"use_sale": False, "use_world_model": False}, {"learned_sale", "world_model"}),
        ({"use_global_state": False}, set()),
        ({"kl_balance": None}, set()),
        ({"normaliser": "batch"}, set()),
        ({"world_model_form": "printed", "model_batch_share": 1.0}, set()),
        ({"preset": "paper"}, set()),
        ({"mixer": "vdn", "use_world_model": False}, {"mixer.weights_1", "world_model"}),
        ({"mixer": None, "use_world_model": False}, {"mixer.weights_1", "world_model"}),
    ],
)
def test_ablations_and_readings_train(config, missing):
    algorithm = build("MMSA", **FORAGING, **config)
    for _ in range(2):
        result = algorithm.train()
    names = learner(algorithm).team_module.state_dict()
    assert not any(name.startswith(part) for name in names for part in missing)
    logged = result["learners"][TEAM]
    assert np.isfinite(logged["td_loss"]) and logged["num_updates_lifetime"] > 0
    assert ("latent_active_dims" in logged) == config.get("use_world_model", True)
    algorithm.stop()


def test_reward_standardisation_scales_what_is_learned_from():
    algorithm = build("QMIX", standardise_rewards=True)
    algorithm.train()
    replay = algorithm.replay
    assert algorithm._reward_scale() == pytest.approx(1 / replay.reward_deviation)
    assert replay.reward_deviation > 1
    algorithm.stop()


@pytest.mark.parametrize("bootstrap", [True, False])
@pytest.mark.parametrize("ends_by", ["truncation", "termination"])
def test_a_time_limit_bootstraps_unless_it_is_learned_as_an_end(ends_by, bootstrap, monkeypatch):
    ends = {"env_config": {"ends_by": ends_by}}
    options = {"td_lambda": 0.0, "bootstrap_truncated": bootstrap, **ends}
    algorithm = build("QMIX", engine="plain", **options)
    module = learner(algorithm).team_module
    fields = batch_of(algorithm, algorithm.env_runner.sample(num_episodes=4))[TEAM]
    assert fields["truncated"].sum() == (4 if ends_by == "truncation" else 0)

    def hundred(q_values: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        return torch.full((*q_values.shape[:-1], 1), 100.0)

    monkeypatch.setattr(module.target_mixer, "forward", hundred)
    step = module.forward_train(fields)[STEP]
    last = fields["terminated"] | fields["truncated"]
    looks_on = torch.ones_like(last) if ends_by == "truncation" and bootstrap else ~last
    expected = fields["rewards"] + 0.99 * 100.0 * looks_on
    played = fields["loss_mask"].bool()
    torch.testing.assert_close(step.target.squeeze(-1)[played], expected[played])
    algorithm.stop()


@pytest.mark.parametrize("name", ["MMSA", "QMIX"])
def test_normalised_observations_follow_training_alone(name):
    algorithm = build(name, normalise_observations=True, train_batch_episodes=8, **FORAGING)
    while len(algorithm.replay) < 30:
        algorithm.train()
    module = learner(algorithm).team_module
    acting = algorithm.env_runner.module[TEAM]
    assert module.obs_scale.updates > 0 and module.obs_scale.mean.any()
    before = weights(acting.obs_scale)
    np.testing.assert_array_equal(before["mean"], module.obs_scale.mean)  # sent with the weights
    assert not hasattr(acting, "state_scale")
    algorithm.env_runner.sample(num_episodes=8)
    np.testing.assert_array_equal(weights(acting.obs_scale)["mean"], before["mean"])
    every = [window.episode for window in algorithm.replay.sample(len(algorithm.replay))]
    seen = np.concatenate([episode.obs for episode in every])
    np.testing.assert_allclose(before["mean"], seen.mean(0), atol=0.1)
    np.testing.assert_allclose(before["variance"], seen.var(0), atol=0.05)
    batch = update.Batch.of(batch_of(algorithm, every[:4])[TEAM])
    read = inputs.observe(module, batch)
    torch.testing.assert_close(read.obs, module.obs_scale(batch.obs))
    torch.testing.assert_close(read.state, module.state_scale(batch.state))
    assert read.actions is batch.actions
    algorithm.stop()


def test_a_replay_too_small_for_a_batch_is_said():
    algorithm = build("QMIX", replay_capacity_bytes=1500)
    with pytest.raises(ValueError, match=r"replay_capacity_bytes is 1500, which holds \d"):
        for _ in range(3):
            algorithm.train()
    algorithm.stop()


def test_a_replay_larger_than_the_memory_is_said_once(monkeypatch):
    said = []
    monkeypatch.setattr(
        q_learning.logger, "warning", lambda words, *args: said.append(words % args)
    )
    algorithm = build("QMIX", replay_capacity_episodes=10**12)
    for _ in range(2):
        algorithm.train()
    assert len(said) == 1 and "set replay_capacity_bytes" in said[0]
    algorithm.stop()
