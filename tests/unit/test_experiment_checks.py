"""Stop criteria, search spaces, environments and options: how mistakes are refused, without Ray."""

from __future__ import annotations

import pytest
import ray

from rllib_mmsa.command.experiment import metrics, preflight
from rllib_mmsa.command.experiment.structure import parse_experiment
from rllib_mmsa.command.run.schedulers import search_space
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.older.options import REMOVED

MINIMAL = {"run": "QMIX", "env": "two_step"}


# Stop criteria.


@pytest.mark.parametrize(
    "short, path",
    [
        ("episode_return_mean", "env_runners/episode_return_mean"),
        ("win_rate", "env_runners/win_rate"),
        ("evaluation/win_rate", "evaluation/env_runners/win_rate"),
        ("num_env_steps_sampled_lifetime", "num_env_steps_sampled_lifetime"),
        ("num_episodes_lifetime", "env_runners/num_episodes_lifetime"),
        ("learners/team/td_loss", "learners/team/td_loss"),
    ],
)
def test_short_metric_names_are_completed(short, path):
    assert metrics.stop_criteria({short: 5}) == {path: 5}


@pytest.mark.parametrize(
    "stop, words",
    [
        ({"episod_return_mean": 1}, "unknown metric 'episod_return_mean'. "
                                    "Did you mean 'episode_return_mean'?"),
        ({"timesteps_total": 1}, "write 'num_env_steps_sampled_lifetime'"),
        ({"episode_reward_mean": 1}, "write 'env_runners/episode_return_mean'"),
        ({"training_iteration": "ten"}, "must be a number, but is text ('ten')"),
        ({"training_iteration": "200,000"}, "is text ('200,000'). Write 200000."),
        ({"training_iteration": {"grid_search": [1, 2]}}, "must be a number, but is a search"),
        ({"training_iteration": True}, "must be a number, but is a boolean"),
        ({"training_iteration": 0}, "must be 1 or more, but is 0"),
        (7, "stop must be a mapping"),
    ],
)  # fmt: skip
def test_mistakes_in_stop(stop, words):
    with pytest.raises(ConfigError) as error:
        metrics.stop_criteria(stop)
    assert words in str(error.value)


# Search spaces.


def test_every_value_of_a_search_space_is_visited_one_space_at_a_time():
    tree = {"lr": {"grid_search": [1, 2, 3]}, "env_config": {"task": {"choice": ["a", "b"]}}}
    seen = [(v["lr"], v["env_config"]["task"]) for v in preflight.variants(tree, "x")]
    assert seen == [(1, "a"), (2, "a"), (3, "a"), (1, "b")]


@pytest.mark.parametrize(
    "space, words",
    [
        ({"grid_serch": [1]}, "unknown search space 'grid_serch'. Did you mean 'grid_search'?"),
        ({"grid_search": []}, "'grid_search' takes a list of values, but has a list ([])"),
        ({"grid_search": 5}, "'grid_search' takes a list of values"),
        ({"grid_search": [1, 2, 1]}, "'grid_search' lists 1 twice; list it once"),
        (
            {"grid_search": [1, 2], "choice": [3]},
            "lr: grid_search and choice are two search",
        ),
        ({"uniform": [1]}, "'uniform' takes 2 numbers, but has a list ([1])"),
        ({"uniform": [1, "b"]}, "must be a number, but is text ('b')"),
        ({"uniform": [2, 1]}, "'uniform' needs low < high, but has 2 and 1"),
        ({"loguniform": [0, 1]}, "'loguniform' needs low > 0, but has 0"),
    ],
)
def test_mistakes_in_search_spaces(space, words):
    with pytest.raises(ConfigError) as error:
        list(preflight.variants({"lr": space}, "x"))
    assert words in str(error.value)


def test_search_spaces_become_tunes_own():
    from ray.tune.search.sample import Categorical, Float, Integer

    space = search_space(
        {
            "lr": {"loguniform": [1e-4, 1e-2]},
            "gamma": {"choice": [0.9, 0.99]},
            "seed": {"grid_search": [1, 2]},
            "env_config": {"size": {"randint": [1, 4]}},
        }
    )
    assert isinstance(space["lr"], Float)
    assert isinstance(space["gamma"], Categorical)
    assert space["seed"] == {"grid_search": [1, 2]}
    assert isinstance(space["env_config"]["size"], Integer)


# Environments, algorithms and options.


@pytest.mark.parametrize(
    "entry, words",
    [
        ({"env": "lfb"}, "unknown environment 'lfb'. Did you mean 'lbf'?"),
        ({"env": {"grid_search": ["lbf", "lfb"]}}, "unknown environment 'lfb'"),
        ({"run": "QMX"}, "run: unknown algorithm 'QMX'. Did you mean 'QMIX'?"),
        ({"config": {"gama": 0.9}}, "a: config: unknown option 'gama'. Did you mean 'gamma'?"),
        ({"config": {"latent_dim": 9}}, "'latent_dim' is an option of MMSA alone; leave it out"),
        ({"config": {"num_workers": 2}}, "write 'num_env_runners' (default 0)"),
        ({"config": {"exploration_config": {"type": "x"}}}, "write 'epsilon' (default [[0, 1.0]"),
        ({"config": {"num_samples": 2}}, "'num_samples' belongs beside 'config:', not in it"),
        ({"config": {"framework": "tf2"}}, "RLlib has only 'torch' left, not 'tf2'"),
        ({"config": {"gamma": "high"}}, "gamma must be a number, but is text ('high')"),
        ({"config": {"gamma": {"grid_search": [0.9, "x"]}}}, "gamma must be a number"),
        ({"config": {"double_q": 1}}, "double_q must be true or false, but is a whole number"),
        ({"config": {"optim": 1}}, "optim must be text (default 'rmsprop')"),
        ({"config": {"optim": "sgd"}}, "optim is 'sgd'"),
        ({"config": {"env_config": 3}}, "env_config must be a mapping"),
        ({"config": {"env_config": {"tsk": 1}}}, "unknown key 'tsk'"),
        (
            {"config": {"evaluation_config": {"explor": False}}},
            "evaluation_config: unknown option 'explor'. Did you mean 'explore'?",
        ),
        (
            {"config": {"evaluation_config": {"env_config": {"tsk": 1}}}},
            "evaluation_config: unknown key 'tsk'",
        ),
        ({"config": {"num_env_runners": 4000}}, "one trial takes 4001 CPUs, but there are"),
    ],
)
def test_mistakes_in_settings_are_found_without_ray(entry, words, monkeypatch):
    started = []
    monkeypatch.setattr(ray, "init", lambda *args, **kwargs: started.append(kwargs))
    with pytest.raises(ConfigError) as error:
        preflight.check([parse_experiment("a", {**MINIMAL, **entry})])
    assert words in str(error.value)
    assert not started


def test_a_removed_option_is_answered_with_what_to_do_instead():
    with pytest.raises(ConfigError) as error:
        preflight.check_options({"compiled_kernels": False}, {"engine": "auto"}, "a: config")
    sentence = REMOVED["compiled_kernels"]
    assert str(error.value) == f"a: config: compiled_kernels is gone: {sentence}."
    # A user's algorithm may have an option of that name.
    preflight.check_options({"free_bits": 1.0}, {"free_bits": 0.0}, "a: config")


def test_a_task_of_a_grid_is_checked_too():
    pytest.importorskip("lbforaging")
    tasks = {"grid_search": ["8x8-2p-2f-v2", "8x8-2p-2f-v9"]}
    entry = {**MINIMAL, "env": "lbf", "config": {"env_config": {"task": tasks}}}
    with pytest.raises(ConfigError, match="8x8-2p-2f-v9"):
        preflight.check([parse_experiment("a", entry)])


def test_options_of_rllibs_old_qmix_are_accepted():
    options = {
        "mixer": "qmix",
        "mixing_embed_dim": 32,
        "double_q": True,
        "optim_alpha": 0.99,
        "optim_eps": 1e-5,
        "target_network_update_freq": 500,
        "grad_clip": 10,
        "lr": 5e-4,
        "gamma": 0.99,
        "framework": "torch",
        "rollout_fragment_length": 4,
    }
    preflight.check([parse_experiment("a", {**MINIMAL, "config": options})])


def test_a_cluster_is_not_measured_by_this_machine():
    entry = {**MINIMAL, "config": {"num_env_runners": 4000}}
    preflight.check([parse_experiment("a", entry)], local=False)
