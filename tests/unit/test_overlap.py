"""Sampling beside learning: what is learned from, with which weights, and what is never lost."""

import numpy as np
import pytest
import torch

from rllib_mmsa.rllib.runner import EpisodeRunner
from tests.algorithms import build, learner

pytestmark = pytest.mark.usefixtures("ray_session")
SETTINGS = dict(
    num_env_runners=1,
    overlap_sampling=True,
    min_sample_timesteps_per_iteration=1,  # one round per iteration
    min_time_s_per_iteration=0,
)


def test_overlap_needs_a_remote_runner():
    with pytest.raises(ValueError, match="overlap_sampling is True; it must be False while num_"):
        build("QMIX", overlap_sampling=True)


def test_weights_are_one_round_old_and_no_older():
    """Epsilon 0: the episodes of a round tell which weights played them."""
    overlapped = build("QMIX", "two_step", epsilon=0.0, lr=0.1, **SETTINGS)
    sent = []
    send = overlapped._send_weights
    overlapped._send_weights = lambda: (
        sent.append(learner(overlapped)._num_updates),
        send(),
    )
    known = []  # updates that were in the weights when the round was requested
    for _ in range(5):
        overlapped.train()
        known.append((sent[-1], learner(overlapped)._num_updates))
    for (at_request, _), (_, after_earlier) in zip(known[1:], known, strict=False):
        assert at_request == after_earlier
    assert known[-1][1] > known[0][1]
    overlapped.stop()


@pytest.mark.slow
def test_a_round_in_flight_survives_a_checkpoint(tmp_path):
    straight = build("QMIX", **SETTINGS)
    for _ in range(3):
        straight.train()
    path = straight.save_to_path(tmp_path / "half")
    resumed = build("QMIX", **SETTINGS)
    resumed.train()  # something of its own is in flight
    resumed.restore_from_path(path)
    for mine, theirs in zip(
        straight.collector.collect()[0], resumed.collector.collect()[0], strict=True
    ):
        np.testing.assert_array_equal(mine.obs, theirs.obs)
        np.testing.assert_array_equal(mine.actions, theirs.actions)
    for algorithm in (straight, resumed):
        before = algorithm.num_env_steps_sampled
        algorithm.train()
        assert algorithm.num_env_steps_sampled > before
        algorithm.stop()


@pytest.mark.parametrize(("index", "cores", "left"), [(0, 1, 3), (1, 1, 1), (1, 2, 2), (1, 0.5, 1)])
def test_a_runner_beside_the_learner_takes_no_more_threads_than_its_cores(index, cores, left):
    """Whatever OMP_NUM_THREADS said; in the learner's process they are the learner's."""
    algorithm = build("QMIX", num_cpus_per_env_runner=cores)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        EpisodeRunner(algorithm.config, worker_index=index).stop()
        assert torch.get_num_threads() == left
    finally:
        torch.set_num_threads(before)
    algorithm.stop()
