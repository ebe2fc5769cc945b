"""Lines that are printed to be run next name the command as it was called."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rllib_mmsa.command.experiment.structure import parse_experiment
from rllib_mmsa.command.name import command_name, tool_name


def program(folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\necho ran\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("called", [".venv/bin/rllib", "a b/rllib", "rllib"])
def test_a_command_that_is_not_on_the_path_is_named_as_it_was_called(monkeypatch, tmp_path, called):
    (tmp_path / called).parent.mkdir(parents=True, exist_ok=True)
    program((tmp_path / called).parent, "rllib")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"./{called}" if "/" not in called else called])
    monkeypatch.setenv("PATH", "/nowhere")
    if "/" in called:
        printed = subprocess.run(command_name(), shell=True, capture_output=True, text=True).stdout
        assert printed == "ran\n"
    else:
        assert command_name() == "rllib"


def test_a_command_on_the_path_has_its_bare_name(monkeypatch, tmp_path):
    path = program(tmp_path / "bin", "rllib")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(sys, "argv", [str(path)])
    assert command_name() == "rllib"
    other = program(tmp_path / "other", "rllib")  # not the one that the shell would find
    monkeypatch.setattr(sys, "argv", [str(other)])
    assert command_name() == str(other)


def test_python_m_is_named_with_its_python(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/rllib_mmsa/__main__.py"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert command_name() == f"{sys.executable} -m rllib_mmsa"
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable))
    assert command_name() == f"{Path(sys.executable).name} -m rllib_mmsa"


def test_from_python_it_is_the_commands_own_name(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/home/me/my_script.py"])
    assert command_name() == "rllib"


def test_tensorboard_is_the_one_beside_python(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert tool_name("tensorboard") == str(Path(sys.executable).with_name("tensorboard"))
    assert tool_name("no-such-tool") == "no-such-tool"
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable))
    assert tool_name("tensorboard") == "tensorboard"


def test_what_is_typed_to_resume_is_quoted_for_the_shell(monkeypatch):
    from rllib_mmsa.command.run import launch

    monkeypatch.setattr(sys, "argv", ["rllib"])
    experiment = parse_experiment(
        "a", {"run": "QMIX", "env": "lbf", "storage_path": "/tmp/my runs/$x"}
    )
    line = launch.resume_command(experiment, launch.LaunchOptions())
    assert line == "rllib train resume '/tmp/my runs/$x/a'"
    options = launch.LaunchOptions(resume_command="train file f.yaml --config '{seed: {x}}'")
    assert launch.resume_command(experiment, options) == (
        "rllib train file f.yaml --config '{seed: {x}}'"
    )


def test_without_a_file_it_saves_on_the_way_as_with_one():
    from typer.testing import CliRunner

    from rllib_mmsa.command.cli import app, train

    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "_train", lambda experiments, **options: seen.extend(experiments))
        arguments = ["train", "--algo", "QMIX", "--env", "my/env v1"]
        assert CliRunner().invoke(app, arguments).exit_code == 0
        CliRunner().invoke(app, [*arguments, "--checkpoint-freq", "7"])
    first, second = seen
    assert first.checkpoint == parse_experiment("a", {"run": "QMIX", "env": "x"}).checkpoint
    assert first.checkpoint["checkpoint_frequency"] == 50
    assert first.path.name == "qmix_my_env_v1"
    assert second.checkpoint["checkpoint_frequency"] == 7
