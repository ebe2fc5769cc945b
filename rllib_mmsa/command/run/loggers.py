"""Tune's own callbacks for the services that an experiment's `loggers` name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from ray.tune import Callback

from rllib_mmsa.command.experiment.experiment import Experiment
from rllib_mmsa.errors import ConfigError

WANDB_MODE, WANDB_KEY = "WANDB_MODE", "WANDB_API_KEY"


def check(experiment: Experiment) -> None:
    """Refuse, before training, a service that would refuse this run.

    Raises:
        ConfigError: If nobody is logged in to Weights & Biases, or MLflow's store cannot be used.
    """
    where = f"{experiment.name}: loggers"
    for kind, settings in _services(experiment):
        if kind == "wandb":
            _require_login(settings, where)
        else:
            _require_store(settings, where)


def build(experiment: Experiment) -> list[Callback]:
    """The callbacks; what they send to is named after the experiment where it has no name."""
    return [_callback(kind, settings, experiment) for kind, settings in _services(experiment)]


def _services(experiment: Experiment) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each service with its settings."""
    for each in experiment.loggers:
        yield each["type"], {name: value for name, value in each.items() if name != "type"}


def _callback(kind: str, settings: dict[str, Any], experiment: Experiment) -> Callback:
    if kind == "mlflow":
        from rllib_mmsa.command.run.mlflow_runs import TrialRuns

        return TrialRuns(**{"experiment_name": experiment.name, **settings})
    from ray.air.integrations.wandb import WandbLoggerCallback

    default: dict[str, Any] = {"project": experiment.name}
    if not experiment.is_remote:
        # Wandb's files would be in Ray's temporary folder.
        experiment.path.mkdir(parents=True, exist_ok=True)
        default["dir"] = str(experiment.path)
    return WandbLoggerCallback(**{**default, **settings})


def _require_login(settings: dict[str, Any], where: str) -> None:
    if mode := settings.get("mode"):
        os.environ[WANDB_MODE] = mode  # where Ray's own check looks, also when a run goes on
    if os.environ.get(WANDB_MODE) in ("offline", "disabled") or os.environ.get(WANDB_KEY):
        return
    import wandb

    if not wandb.api.api_key:
        raise ConfigError(
            f"{where}: nobody is logged in to Weights & Biases; run `wandb login`, set "
            f"{WANDB_KEY}, or write {{wandb: {{mode: offline}}}}."
        )


def _require_store(settings: dict[str, Any], where: str) -> None:
    from mlflow import MlflowClient

    try:
        MlflowClient(settings.get("tracking_uri")).search_experiments(max_results=1)
    except Exception as err:  # MLflow's, its database's, the network's
        uri = settings.get("tracking_uri", "its default")
        raise ConfigError(f"{where}: MLflow cannot use tracking_uri {uri}: {err}") from None
