"""Ray Tune from Python on the latest test: schedulers, a searcher, best results, data frames."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from ray import tune
from ray.tune.schedulers import ASHAScheduler, HyperBandScheduler, PopulationBasedTraining

from rllib_mmsa import MMSA, MMSAConfig
from tests.algorithms import SMALL, SMALL_MMSA

pytestmark = [pytest.mark.usefixtures("ray_session"), pytest.mark.slow, pytest.mark.timeout(600)]

STEPS = "num_env_steps_sampled_lifetime"
#: Iterations of 112 env steps, of which every second one evaluates.
SPACE = {
    "env": "two_step",
    "hidden_dim": 8,
    "mixing_embed_dim": 4,
    "engine": "plain",
    "min_sample_timesteps_per_iteration": 100,
    "evaluation_duration": 2,
    "evaluation_interval_env_steps": 224,
    "learning_starts_episodes": 8,
    "train_batch_episodes": 8,
    "updates_per_episode": 0.1,
    "seed": 1,
}


def fit(
    folder: Path, *, scheduler=None, search_alg=None, stop: int = 448, num_samples: int = 1, **space
) -> tune.ResultGrid:
    """Run a search on the test return, which ends without an error."""
    own = {} if scheduler or search_alg else {"metric": "test_return", "mode": "max"}
    results = tune.Tuner(
        "QMIX",
        param_space={**SPACE, **space},
        tune_config=tune.TuneConfig(
            scheduler=scheduler, search_alg=search_alg, num_samples=num_samples, **own
        ),
        run_config=tune.RunConfig(
            name="tuned", storage_path=str(folder), stop={STEPS: stop}, verbose=0
        ),
    ).fit()
    assert not results.errors
    return results


def of_mmsa() -> MMSAConfig:
    settings = {**SMALL, **SMALL_MMSA, "evaluation_duration": 2}
    return MMSAConfig().environment("two_step").debugging(seed=1).update_from_dict(settings)


@pytest.mark.parametrize("as_dict", [False, True])
def test_a_tuner_takes_a_configuration_under_the_algorithm_s_name(results_dir, as_dict):
    space = of_mmsa().training(lr=tune.grid_search([1e-3, 1e-4]))
    tuner = tune.Tuner(
        "MMSA",
        param_space=space.to_dict() if as_dict else space,
        run_config=tune.RunConfig(
            storage_path=str(results_dir), stop={"training_iteration": 2}, verbose=0
        ),
    )
    results = tuner.fit()
    assert not results.errors and len(results) == 2
    rates = [r.metrics["learners"]["team"]["default_optimizer_learning_rate"] for r in results]
    assert sorted(rates) == pytest.approx([1e-4, 1e-3])


def test_tune_run_takes_a_configuration_under_the_algorithm_s_name(results_dir):
    analysis = tune.run(
        "MMSA",
        config=of_mmsa(),
        stop={"training_iteration": 2},
        storage_path=str(results_dir),
        checkpoint_at_end=True,
        verbose=0,
    )
    (trial,) = analysis.trials
    assert trial.status == "TERMINATED" and trial.last_result["training_iteration"] == 2
    algorithm = MMSA.from_checkpoint(trial.checkpoint)
    assert algorithm.train()["training_iteration"] == 3
    algorithm.stop()


def test_best_result_and_data_frames_have_the_test_return(results_dir):
    results = fit(results_dir, lr=tune.grid_search([1e-3, 1e-4]))
    best = results.get_best_result(metric="test_return", mode="max")
    ends = [result.metrics["test_return"] for result in results]
    assert best.metrics["test_return"] == max(ends)
    assert not results.get_dataframe()["test_return"].isna().any()
    rows = best.metrics_dataframe
    assert not rows["test_return"].isna().any()
    assert rows["test_env_steps"].tolist() == [112, 224, 224, 448]
    assert rows["evaluation/env_runners/episode_return_mean"].isna().any(), "rarer than results"


def test_asha_cuts_by_the_test_return(results_dir):
    asha = ASHAScheduler(
        metric="test_return", mode="max", time_attr=STEPS, max_t=448, grace_period=112,
        reduction_factor=2,
    )  # fmt: skip
    results = fit(results_dir, scheduler=asha, lr=tune.grid_search([1e-3, 1e-4, 1e-5, 1e-2]))
    assert all(not math.isnan(result.metrics["test_return"]) for result in results)
    assert max(result.metrics[STEPS] for result in results) == 448


def test_hyperband_halves_by_the_test_return(results_dir):
    band = HyperBandScheduler(
        metric="test_return", mode="max", time_attr="training_iteration", max_t=4,
        reduction_factor=2,
    )  # fmt: skip
    results = fit(results_dir, scheduler=band, lr=tune.grid_search([1e-3, 1e-4, 1e-5, 1e-2]))
    assert all(not math.isnan(result.metrics["test_return"]) for result in results)
    assert max(result.metrics["training_iteration"] for result in results) == 4


def test_a_population_trains_on_with_the_changed_learning_rate(results_dir):
    rates = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    pbt = PopulationBasedTraining(
        metric="test_return", mode="max", time_attr=STEPS, perturbation_interval=112,
        hyperparam_mutations={"lr": rates}, quantile_fraction=0.5, resample_probability=1.0,
    )  # fmt: skip
    results = fit(results_dir, scheduler=pbt, num_samples=2, stop=560)
    changed = 0
    for result in results:
        rows = result.metrics_dataframe
        used = rows["learners/team/default_optimizer_learning_rate"]
        assert rows["config/lr"].isin(rates).all()
        assert used.tolist() == pytest.approx(rows["config/lr"].tolist())
        changed += rows["config/lr"].nunique() > 1
    assert changed, "nothing was exchanged"


def test_optuna_searches_on_the_test_return(results_dir):
    optuna = pytest.importorskip("ray.tune.search.optuna")
    pytest.importorskip("optuna")
    results = fit(
        results_dir,
        search_alg=optuna.OptunaSearch(metric="test_return", mode="max"),
        num_samples=3,
        lr=tune.loguniform(1e-4, 1e-2),
    )
    assert len(results) == 3
    best = results.get_best_result(metric="test_return", mode="max")
    assert best.metrics["test_return"] == max(r.metrics["test_return"] for r in results)
