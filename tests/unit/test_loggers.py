"""`loggers` and `search_alg` of an experiment file: what is taken, and what is refused in words."""

from __future__ import annotations

import dataclasses
import importlib.util

import pytest
from ray import tune

from rllib_mmsa.command.experiment import loggers, search_alg
from rllib_mmsa.command.experiment.structure import parse_experiment
from rllib_mmsa.command.run import launch
from rllib_mmsa.command.run import loggers as callbacks
from rllib_mmsa.errors import ConfigError

LR = {"lr": {"loguniform": [1e-4, 1e-2]}}


@pytest.fixture
def installed(monkeypatch):
    """As if every package were there."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)


def entry(**settings):
    return {"run": "QMIX", "env": "two_step", "config": dict(LR), **settings}


@pytest.mark.parametrize(
    ("written", "checked"),
    [
        (None, ()),
        (["tensorboard", "csv", "json"], ()),
        ("wandb", ({"type": "wandb"},)),
        (
            ["csv", {"wandb": {"project": "p", "mode": "offline"}}, "mlflow"],
            ({"type": "wandb", "project": "p", "mode": "offline"}, {"type": "mlflow"}),
        ),
        ([{"mlflow": None}], ({"type": "mlflow"},)),
    ],
)
def test_loggers_that_are_taken(installed, written, checked):
    experiment = parse_experiment("name", entry(loggers=written))
    assert experiment.loggers == checked
    again = experiment.to_mapping()["name"]
    assert parse_experiment("name", again).loggers == checked  # as its record says it


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (["wanbd"], "name: loggers: unknown logger 'wanbd'. Did you mean 'wandb'"),
        (["wandb", {"wandb": {}}], "name: loggers: wandb is there twice"),
        ([{"wandb": {"projekt": "p"}}], "wandb: unknown key 'projekt'. Did you mean 'project'"),
        ([{"wandb": {"mode": "off"}}], "mode must be one of online, offline, disabled, not 'off'"),
        ([{"csv": {"x": 1}}], "csv: unknown key 'x'"),
        ([3], "must be a list such as"),
        ([{"a": 1, "b": 2}], "must be a list such as"),
        ([{"wandb": [1]}], "wandb must be a mapping"),
    ],
)
def test_loggers_that_are_refused(installed, written, words):
    with pytest.raises(ConfigError) as error:
        parse_experiment("name", entry(loggers=written))
    assert words in str(error.value)


def test_a_package_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for kind in loggers.SERVICES:
        with pytest.raises(ConfigError, match=rf"pip install 'rllib-mmsa\[{kind}\]'"):
            loggers.check([kind], "loggers")
    with pytest.raises(ConfigError, match=r"pip install 'rllib-mmsa\[optuna\]'"):
        search_alg.check("optuna", "search_alg", LR, {})


def test_wandb_without_a_login_is_refused_before_training(monkeypatch, tmp_path):
    wandb = pytest.importorskip("wandb")
    for name in (callbacks.WANDB_MODE, callbacks.WANDB_KEY):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(type(wandb.api), "api_key", None)
    experiment = parse_experiment("name", entry(loggers=["wandb"], storage_path=str(tmp_path)))
    with pytest.raises(ConfigError, match="name: loggers: nobody is logged in.*wandb login"):
        callbacks.check(experiment)
    monkeypatch.setenv(callbacks.WANDB_KEY, "0")
    callbacks.check(experiment)
    offline = ({"type": "wandb", "mode": "offline"},)
    monkeypatch.delenv(callbacks.WANDB_KEY)
    callbacks.check(dataclasses.replace(experiment, loggers=offline))


def test_a_store_that_mlflow_cannot_use_is_refused_before_training(tmp_path):
    pytest.importorskip("mlflow")
    store = {"mlflow": {"tracking_uri": "nothing://there"}}
    experiment = parse_experiment("name", entry(loggers=[store], storage_path=str(tmp_path)))
    with pytest.raises(ConfigError, match="MLflow cannot use tracking_uri nothing://there"):
        callbacks.check(experiment)


@pytest.mark.parametrize(
    ("written", "scheduler", "metric", "mode"),
    [
        ("optuna", {}, "test_return", "max"),
        (
            {"type": "optuna", "metric": "episode_return_mean", "mode": "min"},
            {},
            "env_runners/episode_return_mean",
            "min",
        ),
        ("optuna", {"metric": "test_win_rate", "mode": "max"}, "test_win_rate", "max"),
    ],
)
def test_a_search_algorithm_that_is_taken(installed, written, scheduler, metric, mode):
    found = search_alg.check(written, "search_alg", LR, scheduler)
    assert (found["type"], found["metric"], found["mode"]) == ("optuna", metric, mode)
    experiment = parse_experiment("name", entry(search_alg=written))
    again = parse_experiment("name", experiment.to_mapping()["name"])
    assert again.search_alg == experiment.search_alg


@pytest.mark.parametrize(
    ("written", "config", "scheduler", "words"),
    [
        ("optuner", LR, {}, "unknown type 'optuner'. Did you mean 'optuna'"),
        ({"metric": "test_return"}, LR, {}, "unknown type 'None'"),
        ({"type": "optuna", "sampler": "tpe"}, LR, {}, "unknown key 'sampler'"),
        ({"type": "optuna", "mode": "up"}, LR, {}, "mode must be 'min' or 'max', not 'up'"),
        ({"type": "optuna", "seed": -1}, LR, {}, "seed must be"),
        ("optuna", {"lr": {"grid_search": [1, 2]}}, {}, "grid_search is run in full"),
        ("optuna", {"model": {"x": {"grid_search": [1]}}, **LR}, {}, "grid_search is run in full"),
        ("optuna", {"lr": 1e-3}, {}, "config has no search space"),
        ("optuna", LR, {"type": "pbt"}, "a population (pbt) changes settings itself"),
    ],
)
def test_a_search_algorithm_that_is_refused(installed, written, config, scheduler, words):
    with pytest.raises(ConfigError) as error:
        search_alg.check(written, "search_alg", config, scheduler)
    assert words in str(error.value)


def test_it_proposes_and_the_seed_stays(tmp_path):
    pytest.importorskip("optuna")
    settings = entry(search_alg={"type": "optuna", "seed": 3}, num_samples=4)
    settings["config"]["seed"] = 1
    experiment = parse_experiment("name", {**settings, "storage_path": str(tmp_path)})
    tuner = launch.build_tuner(experiment)._local_tuner
    assert type(tuner._tune_config.search_alg).__name__ == "OptunaSearch"
    assert tuner._tune_config.num_samples == 4 and tuner.get_run_config().callbacks
    assert tuner._param_space["seed"] == 1
    assert isinstance(tuner._param_space["lr"], tune.search.sample.Float)
