"""What becomes of env runners in processes of their own that raise, die or hang."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ray import cloudpickle
from ray.tune.registry import register_env

from env_registry.toy import TwoStepEnv
from rllib_mmsa.rllib import messages, runner_group
from rllib_mmsa.rllib.algorithm import QLearning
from rllib_mmsa.rllib.supervised import TooManyFailures
from tests.algorithms import build

HERE = Path(__file__).name
pytestmark = pytest.mark.usefixtures("ray_session")


class Troubled(TwoStepEnv):
    """Does what ``how`` says in its steps: for good, or once for each file that it can delete.

    Args:
        how: "raise", "die", "hang" or "be slow".
        once: a file; the trouble comes only if it is there, and takes it away.
        built: a file; the environment can be made only while it is there.
        runner: the only env runner that is troubled; None: all.
    """

    def __init__(
        self,
        how: str = "",
        once: str | None = None,
        built: str | None = None,
        runner: int | None = None,
        worker_index: int = 0,
    ):
        if built is not None and not os.path.exists(built):
            raise ValueError("no licence for this game")
        super().__init__()
        self.how = how if runner in (None, worker_index) else ""
        self.once = once

    def step(self, action_dict: Any) -> Any:
        if self.how and self._is_time():
            if self.how == "raise":
                raise ValueError("a bug in my step")
            if self.how == "die":
                os.kill(os.getpid(), signal.SIGSEGV)
            time.sleep(600 if self.how == "hang" else 0.7)
        return super().step(action_dict)

    def _is_time(self) -> bool:
        if self.once is None:
            return True
        try:
            os.unlink(self.once)
        except FileNotFoundError:
            return False
        return True


cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests
register_env("troubled", lambda config: Troubled(**config, worker_index=config.worker_index))


@contextmanager
def built(env_config: dict, **settings: Any) -> Iterator[QLearning]:
    """An algorithm with one remote env runner; it is stopped at the end."""
    settings = {"num_env_runners": 1, "num_envs_per_env_runner": 2, **settings}
    algorithm = build("QMIX", "troubled", env_config=env_config, **settings)
    try:
        yield algorithm
    finally:
        algorithm.stop()


def notes(algorithm: QLearning) -> list[str]:
    """What ``rllib train`` would have printed; without waits that a busy machine explains."""
    said = messages.heard(messages.trial_of(algorithm.logdir))
    return [note for note in said if not note.startswith("still making")]


def test_a_bug_in_step_ends_the_run_with_its_line() -> None:
    with built({"how": "raise"}) as algorithm:
        with pytest.raises(TooManyFailures, match="failed 11 times in a row") as raised:
            algorithm.train()
        said = notes(algorithm)
    assert f"ValueError: a bug in my step ({__file__}:" in str(raised.value)
    assert len(said) == 2  # the first and the tenth
    assert "on env runner 1; its episode is dropped" in said[0]
    assert f"ValueError: a bug in my step ({__file__}:" in said[0]


def test_one_failure_costs_one_episode(tmp_path: Path) -> None:
    once = tmp_path / "once"
    once.touch()
    with built({"how": "raise", "once": str(once)}) as algorithm:
        result = algorithm.train()
        said = notes(algorithm)
    assert not once.exists()
    assert result["env_runners"]["num_episodes_dropped_lifetime"] == 1
    assert result["num_env_runner_restarts"] == 0
    assert len(said) == 1


def test_without_restarts_the_first_failure_ends_the_run() -> None:
    with (
        built({"how": "raise"}, restart_failed_env_runners=False) as algorithm,
        pytest.raises(ValueError, match="a bug in my step") as raised,
    ):
        algorithm.train()
    assert HERE in str(raised.value)


def test_an_environment_that_cannot_be_made_says_why() -> None:
    with pytest.raises(ValueError, match="no licence for this game") as raised:
        build("QMIX", "troubled", env_config={"built": "/nowhere"}, num_env_runners=1)
    assert HERE in str(raised.value)


@pytest.mark.slow
def test_one_that_cannot_be_made_again_ends_the_run(tmp_path: Path) -> None:
    licence = tmp_path / "licence"
    licence.touch()
    with built({"built": str(licence), "how": "die"}, max_failures_in_a_row=2) as algorithm:
        licence.unlink()
        with pytest.raises(TooManyFailures, match="no licence for this game"):
            algorithm.train()
        died, not_made = notes(algorithm)
    assert "env runner 1 failed, failure 1 in a row" in died
    assert "its process died" in died
    assert f"ValueError: no licence for this game ({__file__}:" in not_made


@pytest.mark.slow
def test_a_crash_is_told_and_the_runner_comes_back(tmp_path: Path) -> None:
    once = tmp_path / "once"
    once.touch()
    with built({"how": "die", "once": str(once), "runner": 1}, num_env_runners=2) as algorithm:
        result = algorithm.train()
        until = time.monotonic() + 300
        while len(algorithm.env_runner_group.healthy_env_runner_ids()) < 2:
            assert time.monotonic() < until
            result = algorithm.train()  # on the other one
        said = notes(algorithm)
        started = algorithm.env_runner_group.foreach_env_runner(
            lambda runner: runner._episodes_started, local_env_runner=False
        )
    assert result["num_env_runner_restarts"] == 1
    assert len(said) == 1 and "env runner 1 failed" in said[0]
    # It does not play the episode again in which it died.
    assert max(started) >= 10**6


@pytest.mark.slow
def test_a_runner_that_only_crashes_ends_the_run() -> None:
    with built({"how": "die"}, max_failures_in_a_row=1) as algorithm:
        with pytest.raises(TooManyFailures, match="env runner 1 failed 2 times in a row"):
            algorithm.train()
        assert len(notes(algorithm)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("overlap_sampling", [False, True])
def test_a_runner_that_hangs_is_restarted(tmp_path: Path, overlap_sampling: bool) -> None:
    once = tmp_path / "once"
    once.touch()
    with built(
        {"how": "hang", "once": str(once)},
        sample_timeout_s=2,
        overlap_sampling=overlap_sampling,
    ) as algorithm:
        result = algorithm.train()
        (said,) = notes(algorithm)
    assert result["num_env_runner_restarts"] == 1
    assert "has finished no step for" in said and "(sample_timeout_s: 2)" in said


@pytest.mark.slow
def test_a_runner_that_only_hangs_ends_the_run() -> None:
    with (
        built({"how": "hang"}, max_failures_in_a_row=0, sample_timeout_s=2) as algorithm,
        pytest.raises(TooManyFailures, match="has finished no step for"),
    ):
        algorithm.train()


@pytest.mark.slow
def test_a_round_may_take_longer_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    # Every step takes 1.4 s, a round of two steps 2.8.
    with built({"how": "be slow"}, sample_timeout_s=2.5) as algorithm:
        began = time.monotonic()
        episodes, _ = algorithm.collector.collect()
        assert time.monotonic() - began > 2.5
        assert len(episodes) == 2
        assert notes(algorithm) == []
        # Silence is told before it is over.
        monkeypatch.setattr(runner_group, "PATIENCE_S", 0.5)
        algorithm.collector.collect()
        assert "waiting until 2.5 s are over" in notes(algorithm)[0]


def test_the_evaluation_ends_the_run_as_training_does() -> None:
    with built(
        {},
        num_env_runners=0,
        evaluation_interval_env_steps=1,
        evaluation_duration=3,
        evaluation_num_env_runners=1,
        evaluation_config={"env_config": {"how": "raise"}},
    ) as algorithm:
        with pytest.raises(TooManyFailures, match="in the evaluation on env runner 1"):
            algorithm.train()
        assert "ValueError: a bug in my step" in notes(algorithm)[0]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["die", "hang"])
def test_an_evaluation_misses_no_episode(tmp_path: Path, how: str) -> None:
    once = tmp_path / "once"
    once.touch()
    with built(
        {},
        num_env_runners=0,
        evaluation_interval_env_steps=1,
        evaluation_duration=5,
        evaluation_num_envs=2,
        evaluation_num_env_runners=2,
        evaluation_sample_timeout_s=2,
        evaluation_config={"env_config": {"how": how, "once": str(once)}},
    ) as algorithm:
        result = algorithm.train()
        (said,) = notes(algorithm)
    assert result["evaluation"]["env_runners"]["num_episodes"] == 5
    assert said.startswith("evaluation env runner")
