"""One command at a time in an experiment's folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rllib_mmsa.command.run import ownership
from rllib_mmsa.errors import ConfigError

HOLDER = """
import sys, time
from pathlib import Path
from rllib_mmsa.command.run import ownership
with ownership.held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(results_dir: Path):
    """Another process that holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(results_dir)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_command_is_told_who_holds_the_folder(results_dir, holder):
    with pytest.raises(ConfigError) as caught, ownership.held(results_dir):
        pass
    assert f"process {holder.pid} on {socket.gethostname()}" in str(caught.value)


def test_a_killed_holder_does_not_block(results_dir, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with ownership.held(results_dir):
        assert str(os.getpid()) in (results_dir / ownership.LOCK).read_text()


def test_the_folder_is_free_again_after_the_block(results_dir):
    for _ in range(2):
        with ownership.held(results_dir / "new"):
            pass


def test_a_folder_that_cannot_be_made_is_an_error_in_words(results_dir):
    (results_dir / "file").write_text("")
    with (
        pytest.raises(ConfigError, match="cannot be written"),
        ownership.held(results_dir / "file"),
    ):
        pass


def test_a_file_system_without_locks_is_used_and_named(results_dir, monkeypatch, capsys):
    def no_locks(*args: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(ownership.fcntl, "flock", no_locks)
    with ownership.held(results_dir):
        assert "No locks available" in capsys.readouterr().err
