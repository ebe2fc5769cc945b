"""What an earlier run left, as it is read from Tune's state."""

from __future__ import annotations

import copy
import dataclasses
import json

import pytest
from ray.train._internal.storage import StorageContext
from ray.tune.experiment import Trial

import rllib_mmsa
from rllib_mmsa.command.experiment.experiment import Experiment
from rllib_mmsa.command.run import going_on
from rllib_mmsa.errors import ConfigError
from tests.checkpoints import make_checkpoint

# The states here are written and edited by the tests, not by a run of the user's.
pytestmark = pytest.mark.usefixtures("trusted")

STOP = {"training_iteration": 3}
DONE, FAILED = ("TERMINATED", 3, True), ("ERROR", 2, True)


@pytest.fixture
def run(results_dir):
    """Leaves an experiment with these trials: (status, iterations, whether it was saved)."""
    rllib_mmsa.register()  # a test before this one may have ended the Ray that knew them

    def leave(*trials: tuple[str, int, bool]) -> Experiment:
        storage = StorageContext(storage_path=str(results_dir), experiment_dir_name="e")
        data = []
        for number, (status, iterations, saved) in enumerate(trials):
            trial = Trial(
                "QMIX", trial_id=f"a_{number}", storage=copy.copy(storage), stopping_criterion=STOP
            )
            trial.storage.trial_dir_name = f"QMIX_{number}"
            trial.set_status(status)
            trial.run_metadata.last_result = {
                "training_iteration": iterations, "num_env_steps_sampled_lifetime": 100.0
            }  # fmt: skip
            if saved:
                make_checkpoint(results_dir / "e" / f"QMIX_{number}" / "checkpoint_000000")
            data.append(trial.get_json_state())
        (results_dir / "e").mkdir(exist_ok=True)
        content = {"trial_data": data, "runner_data": {"_iteration": 1}}
        (results_dir / "e" / "experiment_state-2026.json").write_text(json.dumps(content))
        return Experiment(
            name="e", run="QMIX", env="two_step", config={}, stop=STOP, checkpoint={},
            storage_path=str(results_dir),
        )  # fmt: skip

    return leave


def test_a_finished_run_may_have_a_new_one_beside_it(run):
    going_on.refuse_to_bury(run(DONE, DONE), "rllib train resume x")


def test_an_unfinished_run_is_not_buried(run):
    experiment = run(DONE, FAILED)
    with pytest.raises(ConfigError) as caught:
        going_on.refuse_to_bury(experiment, "rllib train resume x")
    for words in ("1 of 2 trials finished", "rllib train resume x", "--fresh"):
        assert words in str(caught.value)


def test_an_unfinished_run_without_a_checkpoint_has_nothing_to_lose(run):
    going_on.refuse_to_bury(
        run(("PAUSED", 1, False), ("PENDING", 0, False)), "rllib train resume x"
    )


def test_what_is_finished_says_how_to_go_on(run, capsys):
    assert not going_on.is_due(run(DONE, DONE), {})
    assert "--stop '{training_iteration: 6}'" in capsys.readouterr().out


def test_a_stop_that_was_passed_long_ago_is_answered_with_a_later_one(run, capsys):
    assert not going_on.is_due(run(DONE, DONE), {"training_iteration": 1})
    assert "--stop '{training_iteration: 6}'" in capsys.readouterr().out


def test_a_failed_trial_is_due(run):
    assert going_on.is_due(run(DONE, FAILED), {})


def test_a_later_stop_wakes_the_finished_trials(run):
    experiment = run(DONE, DONE)
    assert going_on.is_due(experiment, {"training_iteration": 5})
    trials = going_on.earlier_trials(experiment.path)
    assert [trial.status for trial in trials] == ["PAUSED", "PAUSED"]
    assert [trial.stop for trial in trials] == [{"training_iteration": 5}] * 2


def test_a_stop_that_is_already_reached_changes_no_trial(run, capsys):
    experiment = run(DONE, DONE)
    assert not going_on.is_due(experiment, {"training_iteration": 2})
    assert "reached training_iteration: 2" in capsys.readouterr().out
    for trial in going_on.earlier_trials(experiment.path):
        assert trial.finished and trial.stop == {"training_iteration": 3}


def test_a_search_with_a_scheduler_cannot_be_extended(run):
    experiment = dataclasses.replace(run(DONE, DONE), scheduler={"type": "asha"})
    with pytest.raises(ConfigError, match="scheduler"):
        going_on.is_due(experiment, {"training_iteration": 5})
