"""An environment written for RLlib's old QMIX trains as it is, through the public API."""

import pytest
from ray.tune.registry import register_env

from tests.algorithms import build, learner
from tests.envs import legacy_two_step

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.mark.parametrize("name", ["MMSA", "QMIX"])
@pytest.mark.parametrize("parts", legacy_two_step.PARTS)
def test_old_grouped_environments_train_unchanged(name, parts):
    register_env("old_two_step", legacy_two_step.make_env)
    algorithm = build(name, "old_two_step", env_config={"parts": parts})
    result = algorithm.train()
    assert 0.0 <= result["env_runners"]["episode_return_mean"] <= legacy_two_step.BEST_RETURN
    assert learner(algorithm)._num_updates > 0
    if parts == "state":  # the state is the three places, not the observations
        assert learner(algorithm).team_module.state_size == 3
    algorithm.stop()


@pytest.mark.slow
def test_remote_runners_sample_the_registered_environments():
    algorithm = build("QMIX", num_env_runners=2, env_config={"ends_by": "mixed"})
    for _ in range(2):
        result = algorithm.train()
    assert result["num_env_steps_sampled_lifetime"] >= 40
    seeds = {window.episode.state[0, 1] for window in algorithm.replay.sample(4)}
    assert len(seeds) == 4  # no two runners play the same episodes
    algorithm.stop()
