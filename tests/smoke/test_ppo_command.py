"""A file with `run: IPPO` through the command: train, resume, report."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SMALL = """
small:
  run: IPPO
  env: lbf
  stop: {num_env_steps_sampled_lifetime: 60}
  config:
    env_config: {task: 5x5-2p-1f-v2, max_episode_steps: 8}
    bootstrap_truncated: false
    hidden_dim: 8
    train_batch_episodes: 4
    min_sample_timesteps_per_iteration: 20
    evaluation_interval_env_steps: 30
    evaluation_duration: 4
    seed: 1
"""


def rllib(*arguments: str) -> str:
    """What the command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "rllib_mmsa", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_run_is_trained_resumed_and_reported_beside_the_q_learners(tmp_path):
    file, folder = tmp_path / "small.yaml", tmp_path / "small"
    file.write_text(SMALL)
    printed = rllib("train", "file", str(file), "--storage-path", str(tmp_path))
    assert "  test " in printed and "  eps " not in printed
    later = "{num_env_steps_sampled_lifetime: 120}"
    assert "resumes" in rllib("train", "resume", str(folder), "--stop", later)
    out = tmp_path / "report"
    rllib("report", str(folder), "--out", str(out), "--export", str(tmp_path / "points.csv"))
    rows = Path(tmp_path, "points.csv").read_text().splitlines()
    columns = rows[0].split(",")
    first = dict(zip(columns, rows[1].split(","), strict=True))
    assert first["algorithm"] == "IPPO" and first["test_episodes"] == "4"
    assert float(first["test_return"]) >= 0 and len(rows) > 2
