"""What settings may be: every one has a rule, and breaking one is said in words."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

from rllib_mmsa.method.settings import MMSASettings
from rllib_mmsa.rllib import ALGORITHMS, MMSAConfig
from rllib_mmsa.rllib.rules import RULES


def test_every_setting_of_the_method_and_of_the_project_has_a_rule():
    own = set(vars(MMSAConfig())) - set(vars(AlgorithmConfig()))
    own |= {field.name for field in dataclasses.fields(MMSASettings)}
    assert {name for name in own if not name.startswith("_")} <= set(RULES)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_defaults_keep_the_rules(name):
    ALGORITHMS[name].get_default_config().environment("counter").validate()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"gamma": 2}, "gamma is 2; it must be a number from 0 to 1"),
        ({"gamma": -0.1}, "gamma is -0.1; it must be a number from 0 to 1"),
        ({"gamma": math.nan}, "gamma is nan; it must be a number from 0 to 1"),
        ({"td_lambda": 1.1}, "td_lambda is 1.1; it must be a number from 0 to 1"),
        ({"lr": -1e-3}, "lr is -0.001; it must be a number above 0, 1 at most"),
        ({"lr": 0}, "lr is 0; it must be a number above 0, 1 at most"),
        ({"lr": 100}, "lr is 100; it must be a number above 0, 1 at most"),
        ({"lr": math.nan}, "lr is nan; it must be"),
        ({"lr": [[0, 1e-3], [100, math.nan]]}, "with rising env steps"),
        ({"lr": [[10, 1e-3], [100, 1e-4]]}, r"or \[\[0, value\]"),
        ({"lr": [[0, 1e-3]]}, r"or \[\[0, value\]"),
        ({"epsilon": 5}, "epsilon is 5; it must be a number from 0 to 1"),
        ({"epsilon": [[0, 1.0], [100, 1.5]]}, "epsilon is .*rising env steps"),
        ({"epsilon": [[100, 1.0], [0, 0.05]]}, "epsilon is .*rising env steps"),
        ({"epsilon": [[-5, 1.0], [10, 0.05]]}, "epsilon is .*rising env steps"),
        ({"epsilon": [[0, 1.0, 2.0]]}, "epsilon is .*rising env steps"),
        ({"epsilon": []}, "epsilon is .*rising env steps"),
        ({"epsilon": None}, "epsilon is None; it must be"),
        ({"hidden_dim": 64.5}, "hidden_dim is 64.5; it must be a whole number from 1 to 65536"),
        ({"hidden_dim": 0}, "hidden_dim is 0; it must be a whole number"),
        ({"hidden_dim": True}, "hidden_dim is True; it must be a whole number"),
        ({"latent_dim": -3}, "latent_dim is -3; it must be a whole number"),
        ({"seed": -1}, "seed is -1; it must be None or a whole number from 0 to 2147483647"),
        ({"seed": 1.5}, "seed is 1.5; it must be None or a whole number"),
        ({"kl_weight": -1}, "kl_weight is -1; it must be a number of at least 0"),
        ({"policy_weight": math.inf}, "policy_weight is inf; it must be a number of at least 0"),
        ({"grad_clip": 0}, "grad_clip is 0; it must be None or a number above 0"),
        ({"grad_clip_by": "norms"}, "grad_clip_by is 'norms'; it must be one of"),
        ({"num_envs_per_env_runner": 0}, "num_envs_per_env_runner is 0; it must be a whole"),
        ({"num_env_runners": -1}, "num_env_runners is -1; it must be a whole number of at least 0"),
        ({"evaluation_duration": 0}, "evaluation_duration is 0; it must be 'auto' or a whole"),
        ({"evaluation_num_envs": 0}, "evaluation_num_envs is 0; it must be a whole number"),
        ({"evaluation_epsilon": 1.5}, "evaluation_epsilon is 1.5; it must be a number from 0 to 1"),
        ({"evaluation_interval_env_steps": -5}, "interval_env_steps is -5; it must be None or a"),
        ({"imagine_interval_env_steps": 0}, "interval_env_steps is 0; it must be None or a whole"),
        ({"target_update_tau": 1.5}, "tau is 1.5; it must be None or a number above 0, 1 at most"),
        ({"optim_eps": 0}, "optim_eps is 0; it must be a number above 0"),
        ({"updates_per_episode": 0}, "updates_per_episode is 0; it must be a number above 0"),
        ({"replay_burn_in": -1}, "replay_burn_in is -1; it must be a whole number of at least 0"),
        ({"double_q": "yes"}, "double_q is 'yes'; it must be one of"),
        ({"model_batch_share": 0}, "model_batch_share is 0; it must be a number above 0"),
        ({"sample_timeout_s": 0}, "sample_timeout_s is 0; it must be None or a number above 0"),
        ({"env_runner_health_probe_timeout_s": math.nan}, "timeout_s is nan; it must be a number"),
        ({"evaluation_config": {"gamma": 2}}, "evaluation_config: gamma is 2; it must be"),
    ],
)
def test_what_cannot_be_right_is_refused(settings, words):
    config = MMSAConfig().environment("counter").update_from_dict(settings)
    with pytest.raises(ValueError, match=words):
        config.validate()


@pytest.mark.parametrize(
    "settings",
    [
        {"gamma": 0}, {"gamma": 1}, {"gamma": np.float64(0.9)}, {"lr": 1.0}, {"epsilon": 0.05},
        {"lr": [[0, 1e-3], [1e6, 0.0]]}, {"lr": ((0, 1e-3), (50, 1e-3), (50, 1e-4))},
        {"epsilon": [[1000, 0.5]]}, {"hidden_dim": np.int64(32)}, {"seed": 0}, {"seed": None},
        {"replay_capacity_bytes": 4e9}, {"evaluation_interval_env_steps": 1e4},
        {"evaluation_interval_env_steps": 0}, {"grad_clip": None}, {"kl_weight": 0},
    ],
)  # fmt: skip
def test_what_can_be_right_is_taken(settings):
    MMSAConfig().environment("counter").update_from_dict(settings).validate()
