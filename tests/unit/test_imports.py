"""Where the files that a run imported are now."""

from __future__ import annotations

import sys

import pytest

from rllib_mmsa.command.experiment import imports
from rllib_mmsa.command.experiment.imports import found_again
from rllib_mmsa.errors import ConfigError


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """(where the file was, the experiment's folder); the working folder is empty."""
    for name in ("before", "results/experiment", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "before", tmp_path / "results" / "experiment"


def test_a_file_that_is_there_is_taken_from_there(folders):
    before, experiment = folders
    (before / "my_env.py").touch()
    (experiment / "my_env.py").touch()
    recorded = [str(before / "my_env.py"), "my_package.envs"]
    assert found_again(recorded, experiment) == tuple(recorded)


@pytest.mark.parametrize("place", ["results/experiment", "results", "elsewhere"])
def test_a_moved_file_is_found_near_the_run(folders, tmp_path, place):
    before, experiment = folders
    (tmp_path / place / "my_env.py").touch()
    found = found_again([str(before / "my_env.py")], experiment)
    assert found == (str(tmp_path / place / "my_env.py"),)


def test_a_file_that_is_gone_is_asked_for(folders):
    before, experiment = folders
    with pytest.raises(ConfigError, match="--import path/to/my_env.py"):
        found_again([str(before / "my_env.py")], experiment)


def test_a_given_file_wins_over_the_recorded_one_of_its_name(folders, tmp_path):
    before, experiment = folders
    (before / "my_env.py").touch()
    (tmp_path / "elsewhere" / "my_env.py").touch()
    found = found_again([str(before / "my_env.py")], experiment, ["my_env.py"])
    assert found == (str(tmp_path / "elsewhere" / "my_env.py"),)


def test_a_given_file_replaces_one_that_is_gone_under_another_name(folders, tmp_path):
    before, experiment = folders
    (tmp_path / "elsewhere" / "renamed.py").touch()
    found = found_again([str(before / "my_env.py"), "package"], experiment, ["renamed.py"])
    assert found == (str(tmp_path / "elsewhere" / "renamed.py"), "package")


def test_a_given_file_that_is_not_there_is_a_mistake(folders):
    with pytest.raises(ConfigError, match="no file 'nowhere.py'"):
        found_again([], folders[1], ["nowhere.py"])


def test_a_module_that_fails_is_said_with_its_line(tmp_path):
    file = tmp_path / "failing_module.py"
    file.write_text("import math\n\n\nmath.sqrt(-1)\n")
    with pytest.raises(ConfigError) as refused:
        imports.load([str(file)])
    assert f"ValueError: math domain error ({file}:4)" in str(refused.value)


def test_an_import_of_gym_names_gymnasium(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gym", None)  # as if it were not installed
    file = tmp_path / "old_gym_module.py"
    file.write_text("from gym.spaces import Box\n")
    with pytest.raises(ConfigError, match="gym has become gymnasium"):
        imports.load([str(file)])
