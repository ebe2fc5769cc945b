"""Checkpoints of an older version still act, evaluate, train on and resume.

tests/data/older_version has, for MMSA and QMIX, the folder of results of an interrupted
`rllib train file` (version 0.1.0+922495c), and what that version computed from its checkpoint:
values, optimiser and counters.
"""

import importlib
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
import torch
from ray.rllib.algorithms.algorithm import Algorithm

from env_registry.contract import TEAM
from rllib_mmsa import ALGORITHMS
from rllib_mmsa.command import trust
from rllib_mmsa.command.checkpoints import locate
from rllib_mmsa.command.evaluate import evaluate, read_config
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.method import inputs, update
from rllib_mmsa.older import modules
from rllib_mmsa.rllib.module import STEP
from rllib_mmsa.whole import CLASS_FILE
from tests.algorithms import batch_of, learner, with_noise

DATA = Path(__file__).parents[1] / "data" / "older_version"
NAMES = {"mmsa": "MMSA", "qmix": "QMIX"}


def results(name: str, folder: Path) -> Path:
    """The folder of results of the older version, unpacked."""
    with tarfile.open(DATA / f"{name}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / name


def with_option(checkpoint: Path, option: str, value: object) -> None:
    """Writes a checkpoint anew, as if it had been made with an option."""
    file = checkpoint / CLASS_FILE
    content = pickle.loads(file.read_bytes())
    content["ctor_args_and_kwargs"][0][0][option] = value
    file.write_bytes(cloudpickle.dumps(content))


@pytest.fixture(autouse=True)
def trusted(monkeypatch):
    """Older checkpoints have no seal (docs/cli.md)."""
    monkeypatch.setenv(trust.VARIABLE, "1")


@pytest.fixture(scope="module", params=NAMES)
def restored(request, ray_session, tmp_path_factory):
    """An algorithm from an older checkpoint, and what the older version computed from it."""
    checkpoint = locate(results(request.param, tmp_path_factory.mktemp("older")))
    algorithm = Algorithm.from_checkpoint(str(checkpoint))
    yield algorithm, np.load(DATA / f"{request.param}.npz")
    algorithm.stop()


def test_it_has_the_counters_and_the_replay(restored):
    algorithm, expected = restored
    assert isinstance(algorithm, tuple(ALGORITHMS.values()))
    own = learner(algorithm)
    assert own._num_updates == expected["updates"] > 0
    assert own._num_target_updates == expected["target_updates"] > 0
    assert algorithm.num_env_steps_sampled == expected["env_steps"] > 0
    assert algorithm.iteration == expected["iteration"]
    assert algorithm.replay.num_episodes_added == expected["episodes_added"]
    assert len(algorithm.replay) == expected["replay_episodes"] > 0
    oldest = list(algorithm.replay._episodes)[:4]
    assert [len(episode) for episode in oldest] == expected["lengths"].tolist()


def test_it_has_the_optimisers_state(restored):
    algorithm, expected = restored
    own = learner(algorithm)
    [(_, optimiser)] = own.get_optimizers_for_module(TEAM)
    [group] = optimiser.param_groups
    assert [own._names[p] for p in group["params"]] == expected["optimiser_names"].tolist()
    squares = [optimiser.state[p]["square_avg"].double().sum() for p in group["params"]]
    np.testing.assert_allclose(squares, expected["square_sums"], rtol=1e-6)
    assert max(squares) > 0


@torch.no_grad()
def test_its_values_are_those_of_the_older_version(restored):
    algorithm, expected = restored
    module = learner(algorithm).team_module
    fields = batch_of(algorithm, list(algorithm.replay._episodes)[:4])[TEAM]
    played = inputs.observe(module, update.Batch.of(fields))
    state, values = module.agent.initial_state(4), []
    for t in range(expected["q_values"].shape[1]):
        q_values, state = module.agent.step(played.obs[:, t], state)
        state["last_action"] = played.actions[:, t]
        values.append(q_values)
    close = {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(torch.stack(values, 1), expected["q_values"], **close)

    step = module.forward_train(with_noise(algorithm, fields))[STEP]
    mask = played.loss_mask.unsqueeze(-1)
    np.testing.assert_allclose(step.q_tot * mask, expected["q_tot"], **close)
    goes_on = 1.0 - played.terminated.float().unsqueeze(-1)
    next_q_tot = torch.from_numpy(expected["next_q_tot"])
    target = played.rewards.unsqueeze(-1) + module.settings.gamma * goes_on * next_q_tot
    np.testing.assert_allclose(step.target * mask, target * mask, **close)


def test_it_trains_on_and_is_saved_anew(restored, tmp_path):  # the last test of its checkpoint
    algorithm, expected = restored
    result = algorithm.train()
    assert result["training_iteration"] == expected["iteration"] + 1
    logged = result["learners"][TEAM]
    assert np.isfinite(logged["td_loss"])
    assert logged["num_updates_lifetime"] > expected["updates"]
    again = Algorithm.from_checkpoint(algorithm.save_to_path(str(tmp_path)))
    theirs = learner(again).team_module.state_dict()
    for name, value in learner(algorithm).team_module.state_dict().items():
        assert torch.equal(value, theirs[name]), name
    again.stop()


@pytest.mark.parametrize("name", NAMES)
def test_rllib_evaluate_plays_it(name, tmp_path):
    found = evaluate(results(name, tmp_path), episodes=4, seed=1)
    assert (found.algorithm, len(found.returns)) == (NAMES[name], 4)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_rllib_train_resume_finishes_it(name, tmp_path):
    folder = results(name, tmp_path)
    before = locate(folder).name
    command = [sys.executable, "-m", "rllib_mmsa", "train", "resume", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert locate(folder).name > before
    assert read_config(locate(folder))[1].td_lambda == 0.0  # as it began
    assert len(next(folder.glob("*/progress.csv")).read_text().splitlines()) == 1 + 5


def test_an_option_that_is_gone_is_translated_where_today_does_the_same(tmp_path):
    checkpoint = locate(results("mmsa", tmp_path))
    with_option(checkpoint, "compiled_kernels", False)
    name, config = read_config(checkpoint)
    assert (name, config.engine, config.world_model_form) == ("MMSA", "plain", "residual")
    config.validate()
    assert (config.observation_head, config.self_prediction_weight) == ("agent", 0.0)
    assert config.td_lambda == 0.0  # there was no such setting; today's default is another


def test_a_reading_that_is_gone_is_refused_in_words(ray_session, tmp_path):
    checkpoint = locate(results("mmsa", tmp_path))
    with_option(checkpoint, "sale_action", "previous")
    words = "sale_action was 'previous' when this was saved, which is gone: it is now always"
    with pytest.raises(ValueError, match=words):
        Algorithm.from_checkpoint(str(checkpoint))
    with pytest.raises(ConfigError, match=f"cannot be evaluated: {words}"):
        evaluate(checkpoint, episodes=1)


@pytest.mark.parametrize(
    "old", [*modules.MOVED, "rllib_mmsa.common.batch", "rllib_mmsa.imagine.tensorboard"]
)
def test_both_names_of_a_module_mean_one_module(old):
    assert importlib.import_module(old) is importlib.import_module(modules.today(old))
    assert importlib.import_module(modules.today(old)).__name__ == modules.today(old)


def test_names_that_never_were_are_not_found():
    assert modules.today("rllib_mmsa.rllib.batch") is None
    for name in ("rllib_mmsa.common.nothing", "rllib_mmsa.nothing"):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(name)
        assert name not in sys.modules


def test_the_old_names_are_found_once_however_often_they_are_installed():
    modules.install()
    assert sum(isinstance(finder, modules.OldNames) for finder in sys.meta_path) == 1
