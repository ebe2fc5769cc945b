"""The absolute metric: which checkpoint it takes, and what it writes."""

import dataclasses
import json
import pickle

import pytest

from rllib_mmsa import whole
from rllib_mmsa.command import absolute, checkpoints, evaluate
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.report import contents, groups, study, tune
from tests.unit.report_data import config_of, result, write_trial


def write_checkpoint(trial, number, steps):
    """A checkpoint's folder with no more in it than is looked at."""
    folder = trial / f"checkpoint_{number:06}"
    (folder / "env_runner").mkdir(parents=True)
    (folder / whole.CLASS_FILE).write_bytes(pickle.dumps(None))
    state = {"num_env_steps_sampled_lifetime": steps}
    (folder / checkpoints.STEPS_FILE).write_bytes(pickle.dumps(state))
    whole.mark(folder, None)
    return folder


@pytest.fixture
def trial(tmp_path):
    values = [(1000, 0.1), (2000, 0.9), (3000, 0.4)]
    lines = [result(step, value, config_of(1)) for step, value in values]
    return write_trial(tmp_path / "e", "MMSA_lbf_0", lines)


def test_takes_the_checkpoint_with_the_best_evaluation(trial):
    kept = [write_checkpoint(trial, i, steps) for i, steps in enumerate((1040, 2100, 3000))]
    assert absolute.best_checkpoint(trial) == kept[1].resolve()
    assert absolute.best_checkpoint(trial.parent) == kept[1].resolve()
    # One that is named is taken, good or not.
    assert absolute.best_checkpoint(kept[2]) == kept[2].resolve()


def test_of_equals_the_newest(trial):
    kept = [write_checkpoint(trial, i, steps) for i, steps in enumerate((2100, 2200))]
    assert absolute.best_checkpoint(trial) == kept[1].resolve()


def test_says_when_it_cannot_tell(trial):
    write_checkpoint(trial, 0, 1000)
    write_checkpoint(trial, 1, 0)  # samples elsewhere: its own count stays at zero
    with pytest.raises(ConfigError, match="which checkpoint was best cannot be told"):
        absolute.best_checkpoint(trial)


def test_a_checkpoint_outside_a_trial_is_refused(tmp_path):
    checkpoint = write_checkpoint(tmp_path, 0, 1000)
    with pytest.raises(ConfigError, match="--absolute is of a trial, and .* is not in one"):
        absolute.best_checkpoint(checkpoint)


def test_the_report_reads_what_it_writes(trial):
    checkpoint = write_checkpoint(trial, 0, 1000)
    found = evaluate.Evaluation(checkpoint, "MMSA", "lbf", [0.0, 0.5], [9, 7], [])
    file = absolute.save(found)
    assert json.loads(file.read_text())["checkpoint"] == "checkpoint_000000"
    (run,) = tune.read_folder(trial)
    assert (run.absolute.episodes, run.absolute.test_return) == (2, 0.25)
    assert run.absolute.actions == "greedy"
    for how, words in (({"epsilon": 0.05}, "epsilon 0.05"), ({"drawn": True}, "drawn")):
        absolute.save(dataclasses.replace(found, **how))
        (run,) = tune.read_folder(trial)
        assert run.absolute.actions == words
        assert (
            contents.absolute(study.build(groups.group([run]), study.Options())).rows[0][4] == words
        )
