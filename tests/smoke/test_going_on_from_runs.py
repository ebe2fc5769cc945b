"""Finished runs that train on, new runs that begin from old ones, and runs that were moved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.smoke.test_cli import USERS_ENV, rllib, tiny_file

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def logged(folder: Path, key: str) -> list[float]:
    """A key of every result of an experiment's one trial."""
    (log,) = folder.glob("*/result.json")
    return [json.loads(line)[key] for line in log.read_text().splitlines()]


def test_a_finished_run_trains_on_with_a_later_stop(tmp_path):
    tiny_file(tmp_path)
    file = ("train", "file", "f.yaml", "--storage-path", str(tmp_path))
    assert rllib(tmp_path, *file).returncode == 0

    said = rllib(tmp_path, *file, "--resume")
    assert said.returncode == 0 and "starts" not in said.stdout
    assert "reached training_iteration: 2" in said.stdout
    assert "--stop '{training_iteration: 4}'" in said.stdout

    done = rllib(tmp_path, *file, "--resume", "--stop", "{training_iteration: 3}")
    assert done.returncode == 0, done.stderr
    assert "resumes" in done.stdout and "settings" not in done.stderr
    assert logged(tmp_path / "tiny", "training_iteration") == [1, 2, 3]


def test_a_run_and_what_it_imported_are_moved(tmp_path):
    (tmp_path / "my_env.py").write_text(USERS_ENV)
    tiny_file(tmp_path, env="users_env", **{"import": ["my_env.py"]})
    done = rllib(tmp_path, "train", "file", "f.yaml", "--storage-path", str(tmp_path / "here"))
    assert done.returncode == 0, done.stderr
    (tmp_path / "here").rename(tmp_path / "there")
    moved = (tmp_path / "there" / "tiny").rename(tmp_path / "there" / "moved")
    (tmp_path / "lib").mkdir()
    (tmp_path / "my_env.py").rename(tmp_path / "lib" / "my_env.py")

    lost = rllib(tmp_path, "evaluate", str(moved))
    assert lost.returncode == 2 and "--import path/to/my_env.py" in lost.stderr
    here = ("--import", "lib/my_env.py")
    found = rllib(tmp_path, "evaluate", str(moved), "--episodes", "2", *here)
    assert found.returncode == 0, found.stderr
    later = ("--stop", "{training_iteration: 3}")
    done = rllib(tmp_path, "train", "resume", str(moved), *later, *here)
    assert done.returncode == 0, done.stderr
    assert "changed" not in done.stderr
    assert logged(moved, "training_iteration") == [1, 2, 3]
    (record,) = yaml.safe_load((moved / "experiment.yaml").read_text()).values()
    assert record["stop"] == {"training_iteration": 3}
    assert record["import"] == [str(tmp_path / "lib" / "my_env.py")], "found by itself next time"


def test_a_run_begins_from_anothers_checkpoint(tmp_path):
    storage = ("--storage-path", str(tmp_path))
    tiny_file(tmp_path)
    assert rllib(tmp_path, "train", "file", "f.yaml", *storage).returncode == 0
    steps = logged(tmp_path / "tiny", "num_env_steps_sampled_lifetime")

    restore = ("train", "file", "f.yaml", *storage, "-n", "second", "--restore", "tiny")
    enough = ("--stop", f"{{num_env_steps_sampled_lifetime: {steps[-1]}}}")
    refused = rllib(tmp_path, *restore, *enough)
    assert refused.returncode == 2 and "already reached" in refused.stderr
    tiny_file(tmp_path, run="VDN")
    refused = rllib(tmp_path, *restore)
    assert refused.returncode == 2 and "was made by IndependentQ" in refused.stderr
    tiny_file(tmp_path, env="counter", stop={"training_iteration": 4})
    refused = rllib(tmp_path, *restore)
    assert refused.returncode == 2 and "number of agents: 2 (environment: 3)" in refused.stderr

    tiny_file(tmp_path, stop={"training_iteration": 4}, restore="tiny")
    done = rllib(tmp_path, "train", "file", "f.yaml", *storage, "-n", "second")
    assert done.returncode == 0, done.stderr
    assert "starts from " in done.stdout
    assert logged(tmp_path / "second", "training_iteration") == [3, 4]
    first, _ = logged(tmp_path / "second", "num_env_steps_sampled_lifetime")
    assert first > steps[-1], "env steps count on"

    # Resumed, it goes on from its own checkpoint, and needs the other one no more.
    (tmp_path / "tiny").rename(tmp_path / "gone")
    later = ("--stop", "{training_iteration: 5}")
    done = rllib(tmp_path, "train", "resume", str(tmp_path / "second"), *later)
    assert done.returncode == 0, done.stderr
    assert logged(tmp_path / "second", "training_iteration") == [3, 4, 5]
