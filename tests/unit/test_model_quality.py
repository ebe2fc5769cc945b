"""The world model's quality is measured on the right steps."""

import numpy as np
import pytest
import torch

from env_registry.contract import OBS, TEAM
from rllib_mmsa.method.kinds import auc, r2
from rllib_mmsa.method.quality import foresee_latents, prediction_errors, reward_scores
from rllib_mmsa.method.update import Batch
from tests.algorithms import FORAGING, batch_of, build, learner

pytestmark = pytest.mark.usefixtures("ray_session")


def test_errors_against_a_slow_loop():
    algorithm = build("MMSA", rollout_horizon=3, **FORAGING)
    module = learner(algorithm).team_module
    episodes = algorithm.env_runner.sample(num_episodes=6)
    fields = batch_of(algorithm, episodes)[TEAM]
    hidden = module.agent.unroll(fields["obs"], fields["actions"])
    model, expected, still, told, paid = module.world_model, [], [], [], []
    paying = torch.rand(fields["rewards"].shape, generator=torch.Generator().manual_seed(1)) < 0.3
    batch = Batch.of({**fields, "rewards": paying.float()})
    forecast = foresee_latents(model, batch, hidden, horizon=3)
    errors = {**prediction_errors(model, batch, forecast), **reward_scores(model, batch, forecast)}
    with torch.no_grad():
        for row, episode in enumerate(episodes):
            for t in range(len(episode) - 2):
                latent = model.posterior(hidden[row, t], fields[OBS][row, t]).mean
                for k in range(3):
                    before, actions = latent, fields["actions"][row, t + k]
                    latent = model.go_on(before, actions)
                told.append(model.foretell(before, actions, latent)[0].item())
                paid.append(batch.rewards[row, t + 2])
                seen = model.obs_scale.invert(model.decode(latent).obs).numpy()
                expected.append(((seen - episode.obs[t + 3]) ** 2).mean())
                still.append(((episode.obs[t] - episode.obs[t + 3]) ** 2).mean())
    assert errors["obs_error_3_step"].item() == pytest.approx(np.mean(expected), rel=1e-4)
    assert errors["obs_nothing_changes_3_step"].item() == pytest.approx(np.mean(still), rel=1e-4)
    told, paid = torch.tensor(told), torch.stack(paid)
    assert errors["reward_auc_3_step"].item() == pytest.approx(auc(told, paid > 0).item(), abs=1e-6)
    assert errors["reward_r2_3_step"].item() == pytest.approx(r2(told, paid).item(), rel=1e-3)
    algorithm.stop()


def test_unseen_episodes_are_greedy_and_stay_out_of_the_replay():
    algorithm = build("MMSA", **FORAGING)
    stored = len(algorithm.replay)
    errors = algorithm.world_model_errors(num_episodes=5)
    assert len(algorithm.replay) == stored
    assert {"obs_error_1_step", "obs_nothing_changes_1_step", "obs_error_2_step"} <= errors.keys()
    assert all(np.isfinite(value) for value in errors.values())
    algorithm.stop()


def test_there_is_no_quality_without_a_world_model():
    algorithm = build("MMSA", use_world_model=False, **FORAGING)
    with pytest.raises(ValueError, match="there is no world model to ask"):
        algorithm.world_model_errors()
    algorithm.stop()
