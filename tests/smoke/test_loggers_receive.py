"""A search from YAML whose metrics reach Weights & Biases (offline) and MLflow (a local store)."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.smoke.test_cli import rllib

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def rllib_ends_well(folder: Path, *arguments: str) -> None:
    done = rllib(folder, *arguments, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr


def search(store: str) -> dict:
    """Two trials, short."""
    return {
        "run": "QMIX",
        "env": "two_step",
        "stop": {"num_env_steps_sampled_lifetime": 1000},
        "num_samples": 2,
        "search_alg": {"type": "optuna", "seed": 3},
        "loggers": [{"wandb": {"mode": "offline"}}, {"mlflow": {"tracking_uri": store}}],
        "config": {
            "seed": 1,
            "lr": {"loguniform": [1e-4, 1e-2]},
            "evaluation_interval_env_steps": 500,
            "evaluation_duration": 10,
        },
    }


def test_two_trials_that_optuna_proposed_are_logged_and_trained_on(tmp_path):
    for package in ("wandb", "mlflow", "sqlalchemy", "optuna"):
        pytest.importorskip(package)
    from mlflow import MlflowClient

    store = f"sqlite:///{tmp_path / 'runs.db'}"
    (tmp_path / "search.yaml").write_text(yaml.safe_dump({"search": search(store)}))
    rllib_ends_well(tmp_path, "train", "file", "search.yaml", "--storage-path", str(tmp_path))

    folder = tmp_path / "search"
    assert len(list(folder.glob("wandb/offline-run-*/*.wandb"))) == 2
    client = MlflowClient(store)
    (experiment,) = (e for e in client.search_experiments() if e.name == "search")
    runs = client.search_runs([experiment.experiment_id])
    assert len({run.data.params["lr"] for run in runs}) == len(runs) == 2
    for run in runs:
        assert run.data.metrics["test_return"] >= 0 and run.data.metrics["learners/team/td_loss"]
        steps = [each.step for each in client.get_metric_history(run.info.run_id, "test_return")]
        assert steps[-1] >= 1000

    # What is logged goes on with the run.
    stop = "{num_env_steps_sampled_lifetime: 2000}"
    rllib_ends_well(tmp_path, "train", "resume", str(folder), "--stop", stop)
    again = client.search_runs([experiment.experiment_id])
    assert {run.info.run_id for run in again} == {run.info.run_id for run in runs}
    for run in again:
        assert run.info.status == "FINISHED"
        steps = [each.step for each in client.get_metric_history(run.info.run_id, "test_return")]
        assert steps[0] < 2000 <= steps[-1]
