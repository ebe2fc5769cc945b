"""A run that one Python began is moved, played and trained on by another, and again by the first.

OTHER_PYTHON names the interpreter of an environment of another Python, in which this package's
requirements are installed; without it both are this one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rllib_mmsa import whole
from tests.smoke.test_cli import environment, tiny_file
from tests.smoke.test_going_on_from_runs import logged

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
OTHER = os.environ.get("OTHER_PYTHON", sys.executable)
MINOR = "import sys; print('{}.{}.'.format(*sys.version_info))"
RESTORE = """
import sys
from rllib_mmsa import MMSA
algorithm = MMSA.from_checkpoint(sys.argv[1])
print("iteration", algorithm.train()["training_iteration"])
algorithm.stop()
"""


def call(python: str, folder: Path, *args: str) -> str:
    """What a Python prints in a folder."""
    done = subprocess.run(
        [python, *args], cwd=folder, env=environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_run_moves_between_pythons(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    tiny_file(here, run="MMSA")
    call(OTHER, here, "-m", "rllib_mmsa", "train", "file", "f.yaml", "--storage-path", ".")
    moved = (here / "tiny").rename(there / "moved")

    (checkpoint,) = moved.glob("*/checkpoint_*")
    assert whole.written_by(checkpoint)["python"].startswith(call(OTHER, here, "-c", MINOR).strip())
    relative = str(checkpoint.relative_to(there))
    assert "iteration 3" in call(sys.executable, there, "-c", RESTORE, relative)
    shown = call(sys.executable, there, "-m", "rllib_mmsa", "evaluate", "moved", "--episodes", "2")
    assert "MMSA on two_step" in shown
    (checkpoint / whole.TEAM_FILE).rename(there / "aside")  # by its pickles, too
    shown = call(sys.executable, there, "-m", "rllib_mmsa", "evaluate", relative, "--episodes", "2")
    assert "MMSA on two_step" in shown
    (there / "aside").rename(checkpoint / whole.TEAM_FILE)

    for python, last in ((sys.executable, 4), (OTHER, 6)):
        stop = json.dumps({"training_iteration": last})
        call(python, there, "-m", "rllib_mmsa", "train", "resume", "moved", "--stop", stop)
        assert logged(moved, "training_iteration") == list(range(1, last + 1))
