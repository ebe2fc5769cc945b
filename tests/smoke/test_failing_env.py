"""A mistake in an environment on a runner of its own, as the user of `rllib train` sees it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ENV = """
from ray.tune.registry import register_env
from env_registry.toy import TwoStepEnv

class Buggy(TwoStepEnv):
    def step(self, action_dict):
        raise ValueError("a bug in my step")

register_env("buggy", lambda config: Buggy())
"""
RUN = """
import: [buggy.py]
bug:
  run: QMIX
  env: buggy
  stop: {num_env_steps_sampled_lifetime: 2000}
  config: {num_env_runners: 1, num_envs_per_env_runner: 2, evaluation_interval_env_steps: null}
"""


@pytest.mark.slow
def test_the_exception_and_its_line_are_on_the_screen(tmp_path: Path, results_dir: Path) -> None:
    (tmp_path / "buggy.py").write_text(ENV)
    (tmp_path / "run.yaml").write_text(RUN)
    rllib = Path(sys.executable).with_name("rllib")
    done = subprocess.run(
        [rllib, "train", "file", "run.yaml", "--storage-path", results_dir],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=400,
    )
    bug = f"ValueError: a bug in my step ({tmp_path / 'buggy.py'}:7)"
    assert done.returncode == 1, done.stdout
    assert f"bug  an environment failed on env runner 1; its episode is dropped and it is made " \
        f"anew: {bug}" in done.stdout  # fmt: skip
    assert "failed 11 times in a row on env runner 1" in done.stdout
    assert "resume: " in done.stdout
    (error,) = results_dir.glob("bug/*/error.txt")
    assert bug in error.read_text()
