"""The `scheduler` of an experiment, and the seeds and threads of its trials."""

from __future__ import annotations

import pytest
from ray.tune.schedulers import AsyncHyperBandScheduler, PopulationBasedTraining

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
    with pytest.raises(ConfigError, match="unknown option 'kl_weight'"):
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
