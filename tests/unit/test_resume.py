"""Stop at half, resume, finish: the same weights as the run that was never stopped."""

import numpy as np
import pytest

from tests.algorithms import build, learner, weights

pytestmark = pytest.mark.usefixtures("ray_session")
ROUNDS = 3
SETTINGS = dict(
    epsilon=[[0, 1.0], [150, 0.05]],
    target_update_episodes=6,
    updates_per_episode=0.7,
    evaluation_interval_env_steps=30,
    evaluation_duration=3,
    evaluation_epsilon=0.3,
    standardise_rewards=True,
)


def assert_same(ours: dict, theirs: dict) -> None:
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        np.testing.assert_array_equal(value, theirs[key], err_msg=key)


@pytest.mark.parametrize("name", ["MMSA", "QMIX"])
def test_resumed_equals_uninterrupted(name, tmp_path):
    straight = build(name, **SETTINGS)
    for _ in range(ROUNDS):
        straight.train()
    path = straight.save_to_path(tmp_path / "half")
    for _ in range(ROUNDS):
        last = straight.train()
    resumed = build(name, seed=0, **SETTINGS)
    resumed.restore_from_path(path)
    assert resumed.iteration == ROUNDS
    for _ in range(ROUNDS):
        again = resumed.train()
    own, other = learner(straight), learner(resumed)
    assert own._num_target_updates > 0 and own._num_updates > 4
    assert_same(weights(own.team_module), weights(other.team_module))
    for key in ("num_env_steps_sampled_lifetime", "training_iteration", "test_return"):
        assert last[key] == again[key]
    assert own._num_updates == other._num_updates
    assert last["env_runners"]["epsilon"] == again["env_runners"]["epsilon"]
    assert last["learners"]["team"]["td_loss"] == again["learners"]["team"]["td_loss"]
    assert len(straight.replay) == len(resumed.replay) > 4
    straight.stop()
    resumed.stop()


def test_same_seed_same_weights_and_another_seed_others():
    def train(seed):
        algorithm = build("QMIX", seed=seed)
        for _ in range(2):
            algorithm.train()
        result = weights(learner(algorithm).team_module)
        algorithm.stop()
        return result

    first = train(3)
    assert_same(first, train(3))
    other = train(4)
    assert any((first[key] != other[key]).any() for key in first)


def test_replay_can_stay_out_of_checkpoints(tmp_path):
    algorithm = build("QMIX", store_buffer_in_checkpoints=False)
    algorithm.train()
    path = algorithm.save_to_path(tmp_path / "slim")
    restored = build("QMIX", store_buffer_in_checkpoints=False)
    restored.restore_from_path(path)
    assert len(restored.replay) == 0
    assert restored.replay.num_episodes_added == algorithm.replay.num_episodes_added
    restored.train()
    for each in (algorithm, restored):
        each.stop()


def test_from_checkpoint_builds_the_same_algorithm(tmp_path):
    from rllib_mmsa import MMSA

    algorithm = build("MMSA")
    algorithm.train()
    path = algorithm.save_to_path(tmp_path / "whole")
    restored = MMSA.from_checkpoint(path)
    assert_same(weights(learner(algorithm).team_module), weights(learner(restored).team_module))
    assert restored.train()["training_iteration"] == 2
    for each in (algorithm, restored):
        each.stop()


def test_a_new_learning_rate_outlives_the_checkpoint_it_goes_on_from(tmp_path):
    before = build("QMIX", lr=1e-3)
    before.save_to_path(str(tmp_path))
    before.stop()
    after = build("QMIX", lr=5e-4)
    after.restore_from_path(str(tmp_path))
    (group,) = learner(after).get_optimizer("team").param_groups
    assert group["lr"] == 5e-4
    after.stop()
