"""Files of the package edited in place, or deleted: tried in a copy, in a process of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

TRAIN = """
import logging
logging.basicConfig(level=logging.INFO)
from tests.algorithms import build, learner
import rllib_mmsa, ray
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
print("from", rllib_mmsa.__file__)
for name in ("MMSA", "QMIX"):
    algorithm = build(name, "two_step")
    for _ in range(2):
        result = algorithm.train()
    print(name, "engine:", result["engine"], "loss:", result["learners"]["team"]["td_loss"] >= 0)
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the project."""
    left_out = shutil.ignore_patterns("__pycache__", "*.pyc", ".git", ".*cache", ".venv")
    shutil.copytree(ROOT, tmp_path / "copy", ignore=left_out)
    return tmp_path / "copy"


def run(copy: Path, *command: str) -> str:
    """What a command prints that runs in the copy."""
    env = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=copy, env=env, capture_output=True, text=True, timeout=1400
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed[-4000:]
    return printed


def native_runs(copy: Path) -> bool:
    return "engine: native" in run(copy, "-c", TRAIN)


@pytest.mark.slow
def test_an_edit_in_place_acts_and_is_said(copy):
    if not native_runs(copy):
        pytest.skip("there is no native engine here")
    file = copy / "rllib_mmsa" / "method" / "losses.py"
    text = file.read_text()
    assert "step.steps(squared_error(step.q_tot, step.target))" in text
    file.write_text(
        text.replace(
            "step.steps(squared_error(step.q_tot", "2 * step.steps(squared_error(step.q_tot"
        )
    )
    printed = run(copy, "-c", TRAIN)
    assert "MMSA engine: plain" in printed and "QMIX engine: plain" in printed
    said = [each for each in printed.splitlines() if "engine: plain, not native" in each]
    assert said and all("method/losses.py was edited (`make stamp`" in each for each in said)


@pytest.mark.slow
def test_a_comment_or_a_docstring_is_no_edit(copy):
    if not native_runs(copy):
        pytest.skip("there is no native engine here")
    file = copy / "rllib_mmsa" / "method" / "losses.py"
    text = file.read_text()
    file.write_text(text.replace('"""L_TD', '"""Our L_TD') + "\n# A comment.\n")
    assert "MMSA engine: native" in run(copy, "-c", TRAIN)


@pytest.mark.slow
def test_without_the_fast_engines_the_product_trains(copy):
    shutil.rmtree(copy / "rllib_mmsa" / "engine" / "native")
    (copy / "rllib_mmsa" / "engine" / "compile.py").unlink()
    printed = run(copy, "-c", TRAIN)
    assert str(copy) in printed.split("from ")[1].splitlines()[0]
    assert "MMSA engine: plain loss: True" in printed


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_without_the_fast_engines_the_other_tests_pass(copy):
    shutil.rmtree(copy / "rllib_mmsa" / "engine" / "native")
    (copy / "rllib_mmsa" / "engine" / "compile.py").unlink()
    for name in (copy / "tests" / "engine").glob("*.py"):
        if name.name not in ("__init__.py", "test_edits_act.py"):
            name.unlink()
    kept = ["tests/unit", "tests/contract", "tests/engine", "tests/test_layering.py"]
    # These compute no update; the pages name the files of the engines.
    others = "env report experiment docs site snippets pages completion serving sc2 smac runner"
    others = [*others.split(), "recover", "origin", "quiet", "signals", "full_disk", "tensorboard"]
    without = [f"--ignore-glob=*/test_{kind}*.py" for kind in others]
    run(copy, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *without, *kept)
