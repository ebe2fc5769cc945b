"""`rllib train ... --local`: everything in one process, which stops where it is told to."""

from __future__ import annotations

import json

import pytest

from rllib_mmsa.command.experiment.structure import parse_experiment
from rllib_mmsa.command.run import local
from rllib_mmsa.errors import ConfigError
from tests.smoke.test_cli import TINY, rllib, tiny_file

WHO = """
import os
from ray.tune.registry import register_env
from env_registry.toy import TwoStepEnv
from ray.rllib.callbacks.callbacks import RLlibCallback

print("read in", os.getpid())


class Told(TwoStepEnv):
    def __init__(self):
        super().__init__()
        print("env in", os.getpid())


register_env("told", lambda config: Told())
"""


@pytest.mark.slow
def test_it_trains_in_one_process_until_its_stop(tmp_path):
    (tmp_path / "told.py").write_text(WHO)
    tiny_file(tmp_path, env="told", **{"import": ["told.py"]})
    done = rllib(tmp_path, "train", "file", "f.yaml", "--local", "--storage-path", str(tmp_path))
    assert done.returncode == 0, done.stderr
    said = [line.split() for line in done.stdout.splitlines()]
    assert len({pid for *_, word, pid in filter(None, said) if word == "in" and pid.isdigit()}) == 1
    lines = [line for line in done.stdout.splitlines() if "steps/s" in line and "return" in line]
    assert len(lines) == 2 and "test" in lines[-1], "one for each iteration"
    checkpoint = tmp_path / "tiny" / local.FOLDER / "checkpoint_000002"
    assert json.loads((checkpoint / "complete.json").read_text())["result"]["test_return"] > 0
    assert str(checkpoint) in done.stdout


@pytest.mark.slow
def test_an_environment_s_exception_comes_through(tmp_path):
    (tmp_path / "told.py").write_text(WHO + "\n\ndef step(*_):\n    raise OSError('here')\n\n"
                                      "Told.step = step\n")  # fmt: skip
    tiny_file(tmp_path, env="told", **{"import": ["told.py"]})
    done = rllib(tmp_path, "train", "file", "f.yaml", "--local", "--storage-path", str(tmp_path))
    assert done.returncode == 1 and "here" in done.stderr and "told.py" in done.stderr


def experiment(**changes):
    entry = {"run": "IndependentQ", "env": "two_step", "config": TINY, **changes}
    return parse_experiment("a", entry)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"config": {"lr": {"grid_search": [1e-3, 1e-4]}}}, "this is a search"),
        ({"num_samples": 3}, "this is a search"),
        ({"config": {"num_env_runners": 2}}, "num_env_runners is 2, .* config.num_env_runners=0"),
        ({"storage_path": "s3://bucket/x"}, "storage_path elsewhere"),
    ],
)
def test_what_needs_more_than_one_process_is_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        local.run([experiment(**changes)], verbose=False)


def test_one_experiment_at_a_time():
    with pytest.raises(ConfigError, match="one experiment, not a, a; choose one with --only"):
        local.run([experiment(), experiment()], verbose=False)


def test_it_begins_anew():
    with pytest.raises(ConfigError, match="leave out --resume, or --local"):
        local.run([experiment()], verbose=False, others={"--fresh": False, "--resume": True})
