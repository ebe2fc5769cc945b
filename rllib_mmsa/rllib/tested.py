"""How a team is tested, as its files say it, so that it can be tested without the run's pickles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.callbacks.callbacks import RLlibCallback

#: Settings of the tests, as an evaluation's configuration has them.
SETTINGS = ("num_envs_per_env_runner", "evaluation_epsilon")


def said_of(config: AlgorithmConfig) -> dict[str, Any] | None:
    """The tests of a run as JSON.

    Args:
        config: The run's.

    Returns:
        "env", "env_config" and ``SETTINGS``; None where JSON cannot hold them: an environment that
        is no registered name, a setting of it that is an object, callbacks.
    """
    tests = config.get_evaluation_config_object() or config
    if tests.callbacks_class not in (None, RLlibCallback) or tests.callbacks_on_environment_created:
        return None
    said = {"env": tests.env, "env_config": dict(tests.env_config or {})}
    said |= {name: getattr(tests, name) for name in SETTINGS}
    try:
        return said if json.loads(json.dumps(said)) == said else None
    except (TypeError, ValueError):
        return None


def of_team(said: Mapping[str, Any]) -> dict[str, Any] | None:
    """The tests of a team.

    Args:
        said: Its description.

    Returns:
        As ``said_of``; the first version of the description had none, and means greedy tests on
        the environment that was trained on.
    """
    if "tests" in said:
        return said["tests"]
    return {name: said["environment"][name] for name in ("env", "env_config")}


def config_of(said: Mapping[str, Any], tests: Mapping[str, Any]) -> AlgorithmConfig:
    """The configuration that plays a team's tests.

    Args:
        said: Its description; the algorithm is one of ``ALGORITHMS``.
        tests: What ``of_team`` returned.
    """
    from rllib_mmsa.rllib import ALGORITHMS

    tests = dict(tests)
    config = ALGORITHMS[said["algorithm"]].get_default_config()
    config.environment(tests.pop("env"), env_config=tests.pop("env_config"))
    config.evaluation_num_envs = tests.pop("num_envs_per_env_runner", config.evaluation_num_envs)
    return config.update_from_dict({**said["settings"], **tests})
