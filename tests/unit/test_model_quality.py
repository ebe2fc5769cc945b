"""The world model's quality is measured on the right steps."""

import numpy as np
import pytest
import torch

from env_registry.contract import OBS, TEAM
from rllib_mmsa.method.quality import prediction_errors
from rllib_mmsa.method.update import Batch
from tests.algorithms import FORAGING, batch_of, build, learner

pytestmark = pytest.mark.usefixtures("ray_session")


def test_errors_against_a_slow_loop():
    algorithm = build("MMSA", rollout_horizon=3, **FORAGING)
    module = learner(algorithm).team_module
    episodes = algorithm.env_runner.sample(num_episodes=6)
    fields = batch_of(algorithm, episodes)[TEAM]
    hidden = module.agent.unroll(fields["obs"], fields["actions"])
    model, expected, still = module.world_model, [], []
    errors = prediction_errors(model, Batch.of(fields), hidden, horizon=3)
    with torch.no_grad():
        for row, episode in enumerate(episodes):
            for t in range(len(episode) - 2):
                latent = model.posterior(hidden[row, t], fields[OBS][row, t]).mean
                for k in range(3):
                    latent = model.go_on(latent, fields["actions"][row, t + k])
                seen = model.obs_scale.invert(model.decode(latent).obs).numpy()
                expected.append(((seen - episode.obs[t + 3]) ** 2).mean())
                still.append(((episode.obs[t] - episode.obs[t + 3]) ** 2).mean())
    assert errors["obs_error_3_step"].item() == pytest.approx(np.mean(expected), rel=1e-4)
    assert errors["obs_nothing_changes_3_step"].item() == pytest.approx(np.mean(still), rel=1e-4)
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
