"""A search that is killed goes on where it was: what had ended is not run again."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from tests.smoke.test_cli import COMMAND, TINY, environment, rllib, tiny_file

ITERATIONS = 12


def logs(folder: Path) -> dict[str, str]:
    """Trial's folder -> what it has logged."""
    return {path.parent.name: path.read_text() for path in folder.glob("tiny/*/result.json")}


def iterations(log: str) -> list[int]:
    return [json.loads(line)["training_iteration"] for line in log.splitlines()]


def kill_in_the_third_trial(tmp_path: Path, args: list[str]) -> None:
    """Start a search and kill -9 its driver when two trials have ended and a third runs."""
    process = subprocess.Popen(
        [*COMMAND, *args],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    for line in process.stdout:
        if line.startswith("seed=3 ") and "steps/s" in line:
            break
    else:
        raise AssertionError(f"the search ended by itself, with exit code {process.wait()}")
    process.kill()
    process.wait()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_killed_search_resumes_without_running_finished_trials_again(tmp_path):
    tiny_file(
        tmp_path,
        stop={"training_iteration": ITERATIONS},
        num_samples=4,
        max_concurrent_trials=1,
        checkpoint_config={"checkpoint_frequency": 3, "num_to_keep": 2},
        config=TINY,
    )
    args = ["train", "file", "f.yaml", "--storage-path", str(tmp_path)]
    kill_in_the_third_trial(tmp_path, args)
    before = logs(tmp_path)
    finished = {name for name, log in before.items() if ITERATIONS in iterations(log)}
    assert len(finished) == 2

    time.sleep(5)  # Ray's own processes notice that their driver is gone
    result = rllib(tmp_path, *args, "--resume", timeout=900)
    assert result.returncode == 0, result.stderr
    after = logs(tmp_path)
    assert len(after) == 4
    assert all(after[name] == before[name] for name in finished), "a finished trial ran again"
    # The killed one, too: what it had logged after its last checkpoint was cut off.
    assert all(iterations(log) == list(range(1, ITERATIONS + 1)) for log in after.values())
    seeds = {json.loads(log.splitlines()[-1])["config"]["seed"] for log in after.values()}
    assert seeds == {1, 2, 3, 4}


SCHEDULERS = {
    "asha": {"grace_period": 100, "reduction_factor": 2},
    "hyperband": {"grace_period": 100, "reduction_factor": 2},
    "pbt": {
        "perturbation_interval": 100,
        "quantile_fraction": 0.5,
        "hyperparam_mutations": {"lr": [1e-5, 1e-4, 1e-3, 1e-2]},
    },
}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", SCHEDULERS)
def test_a_scheduler_from_a_file_compares_the_latest_test(tmp_path, kind):
    tiny_file(
        tmp_path,
        stop={"num_env_steps_sampled_lifetime": 400},
        num_samples=3,
        scheduler={"type": kind, **SCHEDULERS[kind]},
        # Every second iteration evaluates: the results in between have the latest test, too.
        config={**TINY, "evaluation_interval_env_steps": 200},
    )
    args = ["train", "file", "f.yaml", "--storage-path", str(tmp_path), "--ray-num-cpus", "2"]
    result = rllib(tmp_path, *args, timeout=1000)
    assert result.returncode == 0, result.stderr + result.stdout
    rows = {
        name: [json.loads(row) for row in log.splitlines()] for name, log in logs(tmp_path).items()
    }
    assert len(rows) == 3
    assert all("test_return" in row for trial in rows.values() for row in trial)
    assert max(trial[-1]["num_env_steps_sampled_lifetime"] for trial in rows.values()) == 400
    best = max(trial[-1]["test_return"] for trial in rows.values())
    assert f": test return {best:.2f} at " in result.stdout
    if kind == "pbt":
        for trial in rows.values():
            for row in trial:
                used = row["learners"]["team"]["default_optimizer_learning_rate"]
                assert used == pytest.approx(row["config"]["lr"])
