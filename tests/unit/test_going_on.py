"""What an earlier run left, as it is read from Tune's state."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from ray import tune

from rllib_mmsa.command.experiment.experiment import Experiment
from rllib_mmsa.command.run import going_on
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.whole import CLASS_FILE


class Counting(tune.Trainable):
    """Counts iterations, and fails where it is told to."""

    def setup(self, config: dict) -> None:
        self.fails = config["fails"]

    def step(self) -> dict:
        if self.iteration + 1 == self.fails:
            raise OSError("the disk is gone")
        return {}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        Path(checkpoint_dir, CLASS_FILE).touch()  # what marks a checkpoint of ours

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        pass


@pytest.fixture
def run(ray_session, results_dir):
    """Runs two trials of an experiment; returns the experiment."""

    def start(fails: list[int], frequency: int) -> Experiment:
        tune.Tuner(
            Counting,
            param_space={"fails": tune.grid_search(fails)},
            run_config=tune.RunConfig(
                name="e",
                storage_path=str(results_dir),
                stop={"training_iteration": 3},
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=frequency),
                verbose=0,
            ),
        ).fit()
        return Experiment(
            name="e", run="Counting", env="two_step", config={}, stop={"training_iteration": 3},
            checkpoint={}, storage_path=str(results_dir),
        )  # fmt: skip

    return start


def test_a_finished_run_may_have_a_new_one_beside_it(run):
    going_on.refuse_to_bury(run([0, 0], 1), "rllib train resume x")


def test_an_unfinished_run_is_not_buried(run):
    experiment = run([0, 2], 1)
    with pytest.raises(ConfigError) as caught:
        going_on.refuse_to_bury(experiment, "rllib train resume x")
    for words in ("1 of 2 trials finished", "rllib train resume x", "--fresh"):
        assert words in str(caught.value)


def test_an_unfinished_run_without_a_checkpoint_has_nothing_to_lose(run):
    going_on.refuse_to_bury(run([1, 1], 0), "rllib train resume x")


def test_what_is_finished_says_how_to_go_on(run, capsys):
    assert not going_on.is_due(run([0, 0], 1), {})
    assert "--stop '{training_iteration: 6}'" in capsys.readouterr().out


def test_a_failed_trial_is_due(run):
    assert going_on.is_due(run([0, 2], 1), {})


def test_a_later_stop_wakes_the_finished_trials(run):
    experiment = run([0, 0], 1)
    assert going_on.is_due(experiment, {"training_iteration": 5})
    trials = going_on.earlier_trials(experiment.path)
    assert [trial.status for trial in trials] == ["PAUSED", "PAUSED"]
    assert [trial.stop for trial in trials] == [{"training_iteration": 5}] * 2


def test_a_stop_that_is_already_reached_changes_no_trial(run, capsys):
    experiment = run([0, 0], 1)
    assert not going_on.is_due(experiment, {"training_iteration": 2})
    assert "reached training_iteration: 2" in capsys.readouterr().out
    for trial in going_on.earlier_trials(experiment.path):
        assert trial.finished and trial.stop == {"training_iteration": 3}


def test_a_search_with_a_scheduler_cannot_be_extended(run):
    experiment = dataclasses.replace(run([0, 0], 1), scheduler={"type": "asha"})
    with pytest.raises(ConfigError, match="scheduler"):
        going_on.is_due(experiment, {"training_iteration": 5})
