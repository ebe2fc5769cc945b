"""The record of a run in its folder, and what a resumed run says of changes."""

from __future__ import annotations

import dataclasses

import pytest
import yaml

from rllib_mmsa.command.experiment.experiment import RECORD, Experiment
from rllib_mmsa.command.run import record


@pytest.fixture
def begun(results_dir) -> Experiment:
    """An experiment that was begun."""
    experiment = Experiment(
        name="e", run="QMIX", env="two_step", config={"lr": 0.1}, stop={"training_iteration": 3},
        checkpoint={}, storage_path=str(results_dir), imports=("/a/my_env.py",),
    )  # fmt: skip
    experiment.path.mkdir()
    record.write(experiment)
    return experiment


def recorded(experiment: Experiment) -> dict:
    (entry,) = yaml.safe_load((experiment.path / RECORD).read_text()).values()
    return entry


def test_a_moved_experiment_has_not_changed(begun, capsys):
    moved = dataclasses.replace(begun, name="moved", imports=("/b/my_env.py",))
    begun.path.rename(moved.path)
    record.note_changes(moved, {})
    assert not capsys.readouterr().err
    assert recorded(moved)["import"] == ["/b/my_env.py"]


@pytest.mark.parametrize("merged", [True, False])
def test_a_later_stop_is_recorded_and_no_change(begun, capsys, merged):
    later = {"training_iteration": 5}
    # A file's experiment has the criteria of the command line already; a record's has not.
    now = dataclasses.replace(begun, stop=later) if merged else begun
    record.note_changes(now, later)
    assert not capsys.readouterr().err
    assert recorded(begun)["stop"] == later


def test_changed_settings_are_named_and_not_recorded(begun, capsys):
    record.note_changes(dataclasses.replace(begun, config={"lr": 0.2}, stop={}), {})
    assert "note: config, stop of 'e' changed since its start" in capsys.readouterr().err
    assert recorded(begun)["config"] == {"lr": 0.1}
    assert recorded(begun)["stop"] == {"training_iteration": 3}


def test_an_experiment_without_a_stop_gets_one(begun, capsys):
    endless = dataclasses.replace(begun, stop={})
    record.write(endless)
    record.note_changes(endless, {"training_iteration": 5})
    assert not capsys.readouterr().err
    assert recorded(begun)["stop"] == {"training_iteration": 5}
