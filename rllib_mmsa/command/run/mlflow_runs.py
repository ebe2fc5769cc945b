"""Ray's MLflow callback, with one run of MLflow for one trial, however often it is resumed."""

from __future__ import annotations

from mlflow import MlflowClient
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.experiment import Trial


class TrialRuns(MLflowLoggerCallback):
    """A trial that goes on keeps its run; Ray's own callback would begin another."""

    def log_trial_start(self, trial: Trial) -> None:
        """Find the trial's run by the name that Ray tags it with, or begin one."""
        if trial not in self._trial_runs:
            client = MlflowClient(self.tracking_uri, self.registry_uri)
            experiment = client.get_experiment_by_name(self.experiment_name)
            ours = f"tags.trial_name = '{trial}'"
            for run in client.search_runs([experiment.experiment_id], ours, max_results=1):
                client.update_run(run.info.run_id, status="RUNNING")
                self._trial_runs[trial] = run.info.run_id
                return  # its parameters are there
        super().log_trial_start(trial)
