"""The `scheduler` of an experiment, and the seeds and threads of its trials."""

from __future__ import annotations

import pytest
from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    HyperBandScheduler,
    PopulationBasedTraining,
)

from rllib_mmsa import MMSAConfig
from rllib_mmsa.command.experiment import preflight, search
from rllib_mmsa.command.experiment.structure import parse_experiment
from rllib_mmsa.command.run import schedulers
from rllib_mmsa.errors import ConfigError

MINIMAL = {"run": "QMIX", "env": "two_step"}
STOP = {"num_env_steps_sampled_lifetime": 1000}
PBT = {"type": "pbt", "perturbation_interval": 10, "hyperparam_mutations": {"lr": [1e-3, 1e-4]}}


def test_a_scheduler_is_completed_and_read_back_from_the_record():
    entry = {**MINIMAL, "stop": STOP, "scheduler": {"type": "asha", "metric": "win_rate"}}
    found = parse_experiment("a", entry)
    assert found.scheduler == {
        "type": "asha",
        "metric": "env_runners/win_rate",
        "mode": "max",
        "time_attr": "num_env_steps_sampled_lifetime",
        "max_t": 1000,
        "grace_period": 100,
        "reduction_factor": 4,
    }
    assert parse_experiment("a", found.to_mapping()["a"]).scheduler == found.scheduler


@pytest.mark.parametrize(
    ("written", "metric"),
    [
        ({}, "test_return"),
        ({"metric": "test_win_rate"}, "test_win_rate"),
        ({"metric": "evaluation/env_runners/episode_return_mean"}, "test_return"),
        ({"metric": "evaluation/episode_return_mean"}, "test_return"),
        ({"metric": "evaluation/win_rate"}, "test_win_rate"),
        ({"metric": "episode_return_mean"}, "env_runners/episode_return_mean"),
    ],
)
def test_trials_are_compared_by_what_every_result_has(written, metric):
    entry = {**MINIMAL, "stop": STOP, "scheduler": {"type": "asha", **written}}
    assert parse_experiment("a", entry).scheduler["metric"] == metric


def test_hyperband_takes_its_length_from_the_stop_criterion():
    entry = {**MINIMAL, "stop": STOP, "scheduler": {"type": "hyperband"}}
    found = parse_experiment("a", entry).scheduler
    assert (found["max_t"], found["grace_period"], found["reduction_factor"]) == (1000, 100, 3)
    built = schedulers.build(found)
    assert isinstance(built, HyperBandScheduler)
    # 1000, 333 and 111 env steps: a fourth bracket would cut before the grace period.
    assert [built._get_r0(s) for s in range(built._s_max_1)] == [1000, 333, 111]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scheduler": PBT}, "needs a fixed number of trials, 2 or more, but has num_samples: 1"),
        ({"scheduler": PBT, "num_samples": -1}, "but has num_samples: -1"),
        (
            {"scheduler": PBT, "num_samples": 8, "max_concurrent_trials": 4},
            "max_concurrent_trials is 4, but the 8 trials of a population must be alive together",
        ),
        (
            {
                "scheduler": {"type": "hyperband"},
                "num_samples": 2,
                "config": {"lr": {"grid_search": [1e-3, 1e-4]}, "seed": {"grid_search": [1, 2]}},
                "max_concurrent_trials": 7,
            },
            "but the 8 trials of a search by halves",
        ),
        (
            {"scheduler": {"type": "asha"}, "config": {"evaluation_interval_env_steps": None}},
            "test_return is never measured, since evaluation_interval_env_steps is off",
        ),
        (
            {"stop": {"test_win_rate": 1}, "config": {"evaluation_interval_env_steps": None}},
            "test_win_rate is never measured",
        ),
    ],
)
def test_trials_that_cannot_be_compared_are_refused(changes, words):
    experiment = parse_experiment("a", {**MINIMAL, "stop": STOP, **changes})
    with pytest.raises(ConfigError) as error:
        search.check_trials(experiment)
    assert words in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"scheduler": PBT, "num_samples": 2, "max_concurrent_trials": 2},
        {"scheduler": {"type": "asha"}, "num_samples": 8, "max_concurrent_trials": 2},
        {
            "scheduler": {"type": "asha"},
            "config": {"evaluation_interval_env_steps": None, "evaluation_interval": 1},
        },
    ],
)
def test_trials_that_can_be_compared(changes):
    search.check_trials(parse_experiment("a", {**MINIMAL, "stop": STOP, **changes}))


def test_schedulers_become_tunes_own_and_populations_keep_more_checkpoints():
    asha = parse_experiment("a", {**MINIMAL, "stop": STOP, "scheduler": {"type": "asha"}})
    assert isinstance(schedulers.build(asha.scheduler), AsyncHyperBandScheduler)
    pbt = parse_experiment("a", {**MINIMAL, "scheduler": PBT})
    assert isinstance(schedulers.build(pbt.scheduler), PopulationBasedTraining)
    assert (asha.checkpoint["num_to_keep"], pbt.checkpoint["num_to_keep"]) == (2, 4)


@pytest.mark.parametrize(
    "scheduler, words",
    [
        ({"type": "ash"}, "unknown type 'ash'. Did you mean 'asha'?"),
        ({"metric": "win_rate"}, "unknown type 'None'"),
        ({"type": "asha", "max": 1}, "scheduler: unknown key 'max'"),
        ({"type": "asha", "metric": "winrate"}, "Did you mean 'win_rate'?"),
        ({"type": "asha", "mode": "up"}, "mode must be 'min' or 'max'"),
        ({"type": "asha", "metric": "evaluation/episode_len_mean"}, "is in some results only"),
        ({"type": "asha", "time_attr": "training_iteration"}, "name max_t, or a stop criterion"),
        ({"type": "asha", "grace_period": 2000}, "is beyond max_t (1000)"),
        ({**PBT, "perturbation_interval": 0}, "perturbation_interval must be 1 or more"),
        ({"type": "pbt"}, "perturbation_interval is missing"),
        ({**PBT, "hyperparam_mutations": {}}, "hyperparam_mutations is missing"),
        ({**PBT, "quantile_fraction": 0.8}, "quantile_fraction must be 0.5 or less"),
        (
            {**PBT, "hyperparam_mutations": {"hidden_dim": [32, 64]}},
            "hidden_dim cannot change while a trial runs",
        ),
        ({**PBT, "hyperparam_mutations": {"free_bits": [0, 1]}}, "free_bits is gone: "),
        ({**PBT, "hyperparam_mutations": {"lr": 1}}, "lr must be a list of values or a search"),
        ({**PBT, "hyperparam_mutations": {"lr": {"grid_search": [1]}}}, "a grid is not drawn from"),
    ],
)
def test_mistakes_in_a_scheduler(scheduler, words):
    with pytest.raises(ConfigError) as error:
        parse_experiment("a", {**MINIMAL, "stop": STOP, "scheduler": scheduler})
    assert words in str(error.value)


def test_what_a_population_changes_is_an_option_of_the_algorithm():
    entry = {**MINIMAL, "scheduler": {**PBT, "hyperparam_mutations": {"kl_weight": [0.1, 1.0]}}}
    with pytest.raises(ConfigError, match="'kl_weight' is an option of MMSA alone"):
        preflight.check([parse_experiment("a", entry)])


def test_every_setting_that_may_change_in_flight_is_one_of_mmsa():
    assert set(search.IN_FLIGHT) <= MMSAConfig().to_dict().keys()


def test_samples_count_their_seeds_up():
    assert search.with_seeds({"seed": 5, "lr": 1}, 3) == (
        {"seed": {"grid_search": [5, 6, 7]}, "lr": 1},
        1,
    )
    for config, samples in (({}, 3), ({"seed": 5}, 1), ({"seed": 5}, -1)):
        assert search.with_seeds(config, samples) == (config, samples)
    grid = {"seed": {"grid_search": [1, 2]}}
    assert search.with_seeds(grid, 2) == (grid, 2)


@pytest.mark.parametrize(
    ("config", "samples", "threads"),
    [
        ({"seed": 5}, 1, None),
        ({"seed": 5}, 3, 1),
        ({"lr": {"grid_search": [1, 2]}}, 1, 1),
        ({"env_config": {"task": {"grid_search": ["a", "b"]}}}, 1, 1),
        ({"env_config": {"task": "a"}}, 1, None),
        ({"lr": {"grid_search": [1, 2]}, "learner_threads": 2}, 1, 2),
    ],
)
def test_trials_beside_each_other_have_one_thread_each(config, samples, threads):
    assert search.with_threads(config, samples).get("learner_threads") == threads
