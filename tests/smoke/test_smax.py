"""SMAX through the whole of training: one program for all environments, in Ray's workers too."""

import numpy as np
import pytest

from tests.algorithms import build, learner

pytest.importorskip("jaxmarl")

pytestmark = [
    pytest.mark.usefixtures("ray_session"),
    pytest.mark.slow,  # compiling
    pytest.mark.timeout(900),
]
# As many environments for evaluation as for training: one program is compiled for both.
SETTINGS = dict(
    num_envs_per_env_runner=2,
    evaluation_num_envs=2,
    evaluation_interval_env_steps=1_000_000,  # at the start, and not again
    evaluation_duration=4,
)


@pytest.mark.parametrize("name", ["MMSA", "QMIX"])
def test_training_and_evaluation_on_smax(name):
    from env_registry.smax import SmaxVectorEnv

    algorithm = build(name, "smax", env_config={"task": "smacv2_5_units"}, **SETTINGS)
    assert isinstance(algorithm.env_runner.env, SmaxVectorEnv)
    result = algorithm.train()
    evaluation = result["evaluation"]["env_runners"]
    assert evaluation["num_episodes"] == 4
    assert 0 <= evaluation["episode_return_mean"] <= 2 and 0 <= evaluation["win_rate"] <= 1
    for _ in range(40):
        result = algorithm.train()
        if learner(algorithm)._num_updates >= 10:
            break
    assert learner(algorithm)._num_updates >= 10
    assert np.isfinite(result["learners"]["team"]["total_loss"])
    assert 0 <= result["env_runners"]["win_rate"] <= 1
    for window in algorithm.replay.sample(4):
        check_episode(window.episode)
    algorithm.stop()


def check_episode(episode) -> None:
    length = len(episode)
    assert episode.obs.shape == (length + 1, 5, 13 * 9 + 10)
    assert episode.state.shape == (length + 1, 12 * 10)
    legal = np.take_along_axis(episode.action_mask[:-1], episode.actions[..., None], -1)
    assert legal.all()
    # The last observation is the battle's end, not the next battle's beginning.
    health = episode.state[:, :100].reshape(-1, 10, 10)[:, :, 0]
    one_side_dead = (health[:, :5] == 0).all(1) | (health[:, 5:] == 0).all(1)
    assert one_side_dead[-1] == episode.terminated
    assert not one_side_dead[:-1].any()
    assert episode.terminated or length == 100
    assert episode.agent_returns.sum() == pytest.approx(episode.episode_return, abs=1e-4)


def test_remote_runners_play_episodes_of_their_own_that_a_seed_repeats():
    def first_observations():
        algorithm = build("QMIX", "smax", num_env_runners=2, num_envs_per_env_runner=2)
        episodes = algorithm.env_runner_group.foreach_env_runner(
            lambda runner: runner.sample(num_episodes=2), local_env_runner=False
        )
        algorithm.stop()
        return np.stack([episode.obs[0] for each in episodes for episode in each])

    first = first_observations()
    assert len(np.unique(first.reshape(4, -1), axis=0)) == 4
    again = first_observations()
    # The order in which a runner's two episodes end is kept; that of the runners may differ.
    assert {row.tobytes() for row in first} == {row.tobytes() for row in again}
