"""A request to stop cuts what takes long, and costs nothing of what was learnt."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from rllib_mmsa.rllib import stop
from tests.algorithms import build, learner, weights

pytestmark = pytest.mark.usefixtures("ray_session")
ONE_ROUND = {"min_sample_timesteps_per_iteration": 1}


class AfterSteps(stop.Listener):
    """Due after so many looks, of which there is one before each env step of a round."""

    def __init__(self, looks: float):
        super().__init__()
        self.left = looks

    def is_due(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_a_round_that_was_given_up_is_played_again(tmp_path, monkeypatch):
    settings = {**ONE_ROUND, "updates_per_episode": 0.7}
    straight, stopped = build("QMIX", **settings), build("QMIX", **settings)
    for _ in range(6):
        straight.train()
    for _ in range(3):
        before = stopped.train()
    with monkeypatch.context() as patch:
        patch.setattr(stop, "listener", AfterSteps(2))  # in the middle of the round
        cut = stopped.train()
    steps = "num_env_steps_sampled_lifetime"
    assert cut[steps] == before[steps], "nothing of the round counts"
    resumed = build("QMIX", seed=1, **settings)
    resumed.restore_from_path(stopped.save_to_path(tmp_path / "stopped"))
    for _ in range(3):
        resumed.train()
    assert resumed.num_env_steps_sampled == straight.num_env_steps_sampled
    own, other = (weights(learner(each).team_module) for each in (straight, resumed))
    for key, value in own.items():
        np.testing.assert_array_equal(value, other[key], err_msg=key)
    for each in (straight, stopped, resumed):
        each.stop()


def test_an_iteration_ends_with_the_round_that_is_played(monkeypatch):
    algorithm = build("VDN", min_sample_timesteps_per_iteration=10**9)
    listener = AfterSteps(math.inf)
    monkeypatch.setattr(stop, "listener", listener)
    rounds = []
    step = algorithm.training_step

    def counted() -> None:
        step()
        rounds.append(algorithm.num_env_steps_sampled)
        if len(rounds) == 3:
            listener.left = 0

    monkeypatch.setattr(algorithm, "training_step", counted)
    result = algorithm.train()
    assert len(rounds) == 3 and result["num_env_steps_sampled_lifetime"] == rounds[-1] > 0
    algorithm.stop()


def test_an_evaluation_that_was_given_up_is_made_later(monkeypatch):
    algorithm = build("VDN", evaluation_interval_env_steps=1000, evaluation_duration=10**6)
    evaluating = []
    monkeypatch.setattr(
        type(algorithm),
        "_before_evaluate",
        lambda self: evaluating.append(monkeypatch.setattr(stop, "listener", AfterSteps(5))),
    )
    result = algorithm.train()
    assert evaluating and "evaluation" not in result
    assert algorithm._evaluations_done == -1, "it is still due"
    algorithm.stop()


def test_the_request_reaches_who_looks(monkeypatch):
    monkeypatch.setattr(stop, "_KEY", f"test_{time.time_ns()}")
    listener = stop.Listener()
    assert not stop.is_requested() and not listener.is_due()
    stop.request()
    assert stop.is_requested()
    monkeypatch.setattr(stop, "GRACE_S", 0.0)
    time.sleep(stop.POLL_S)
    assert listener.is_due()
    with pytest.raises(stop.StopRequested):
        listener.check()
