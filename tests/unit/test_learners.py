"""Several learners learn what one would; a cluster's machines all sample."""

import os
import signal

import numpy as np
import pytest

from rllib_mmsa.rllib.batch import Window, to_train_batch
from tests.algorithms import FORAGING, build

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_session")]


def updated(name: str, num_learners: int, episodes: list | None) -> tuple[list, dict]:
    """Weights after two updates on the same episodes (played here where none are given)."""
    plain = {"engine": "plain", "optim": "adam", "optim_eps": 1e-3, "train_batch_episodes": 8}
    algorithm = build(name, num_learners=num_learners, **plain, **FORAGING)
    if episodes is None:
        # Different lengths on either half: the learners have different numbers of steps. Eight, so
        # that each has one of every fourth, those that the world model learns from.
        episodes = sorted(algorithm.env_runner.sample(num_episodes=40), key=len)[::5]
        assert len(episodes[0]) < len(episodes[-1])
    batch = to_train_batch([Window.whole(episode) for episode in episodes])
    steps = {"num_env_steps_sampled_lifetime": 0, "num_episodes_lifetime": 0}
    for _ in range(2):
        algorithm.learner_group.update(batch=batch, timesteps=steps)
    state = algorithm.learner_group.get_state(components="learner/rl_module")
    algorithm.stop()
    return episodes, state["learner"]["rl_module"]["team"]


@pytest.mark.parametrize("name", ["QMIX", "MMSA"])
def test_two_learners_have_the_gradient_of_one(name):
    episodes, alone = updated(name, 0, None)
    _, together = updated(name, 2, episodes)
    assert alone.keys() == together.keys()
    for key in alone:
        np.testing.assert_allclose(together[key], alone[key], rtol=1e-4, atol=2e-6, err_msg=key)


def test_a_learner_that_dies_is_named():
    algorithm = build("QMIX", num_learners=2, engine="plain")
    algorithm.train()
    pids = [each.get() for each in algorithm.learner_group.foreach_learner(lambda _: os.getpid())]
    os.kill(pids[1], signal.SIGKILL)
    with pytest.raises(RuntimeError, match="learner 1 of 2 .* died.*resumed from its last"):
        algorithm.train()
    algorithm.stop()  # does not wait for the dead one
