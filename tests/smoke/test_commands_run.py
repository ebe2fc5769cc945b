"""What pages show of `rllib evaluate`, `imagine`, `export` and `report` runs as it is printed.

The runs that the lines name are small ones here. Lines that train for minutes are taken up to the
start of the training (tests/unit/test_snippets.py).
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
from pathlib import Path

import pytest

from tests import pages
from tests.commands import lines_of
from tests.smoke.test_cli import ROOT, TINY, rllib

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
WORDS = ("evaluate", "imagine", "export", "report")
#: The runs that pages speak of, and the algorithm of each.
RUNS = {"mmsa_lbf": "MMSA", "compare_lbf": "MMSA", "first_team": "MMSA", "first_qmix": "QMIX"}
#: The form of a command, with no path in it.
FORMS = ("RESULTS...",)


def lines() -> list[str]:
    """The lines, each once, whatever the folder is that they write into."""
    found = (line for block in pages.to_run("shell") for line in lines_of(block.code))
    rllib_lines = (line for line in found if line.split()[0] == "rllib")
    named = [line for line in rllib_lines if line.split()[1] in WORDS]
    return sorted({line for line in named if not set(line.split()) & set(FORMS)})


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A folder with ~/ray_results as a reader has it, and the repository's data."""
    pytest.importorskip("lbforaging")
    home = tmp_path_factory.mktemp("home")
    for name in ("docs", "tuned_examples"):
        (home / name).symlink_to(ROOT / name)
    entry = {"env": "lbf", "stop": {"training_iteration": 2}, "config": TINY}
    text = {name: {**entry, "run": run} for name, run in RUNS.items() if name != "compare_lbf"}
    (home / "f.yaml").write_text(json.dumps(text))
    done = rllib(home, "train", "file", "f.yaml", HOME=str(home))
    assert done.returncode == 0, done.stderr
    shutil.copytree(home / "ray_results" / "mmsa_lbf", home / "ray_results" / "compare_lbf")
    return home


def test_there_are_lines_of_each():
    assert {line.split()[1] for line in lines()} == set(WORDS)


@pytest.mark.parametrize("line", lines())
def test_a_line_of_a_page_runs(line, home, tmp_path):
    for name in os.listdir(home):
        (tmp_path / name).symlink_to(home / name)
    (trial,) = (home / "ray_results" / "compare_lbf").glob("MMSA_lbf_*/")
    line = line.replace("MMSA_lbf_...", trial.name)
    _, *words = shlex.split(line)
    words = [word.replace("~", str(home), 1) if word.startswith("~") else word for word in words]
    before = set(os.listdir(tmp_path))
    done = rllib(tmp_path, *words, HOME=str(home))
    assert done.returncode == 0, done.stdout + done.stderr
    written = set(os.listdir(tmp_path)) - before
    options = ("--out", "--render", "--export")
    assert written == {words[i + 1] for i, word in enumerate(words) if word in options}
