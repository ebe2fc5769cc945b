"""What the tests on the game share."""

from __future__ import annotations

import os
import subprocess

import pytest

from env_registry.starcraft2 import install

PROBLEM = install.problem() if os.environ.get("SC2PATH") else "SC2PATH is not set"
MARKS = [
    pytest.mark.skipif(bool(PROBLEM), reason=f"needs smacv2 and SC2PATH: {PROBLEM}"),
    pytest.mark.timeout(600),
]


def games() -> set[int]:
    """The process ids of all games on this machine that SC2PATH started."""
    path = str(install.game_folder() / "Versions")
    found = subprocess.run(["pgrep", "-f", path], capture_output=True, text=True, check=False)
    return {int(line) for line in found.stdout.split()}
