"""Rows are lazy and resolve; what is misspelt is answered in words; names are registered."""

from __future__ import annotations

import difflib
import importlib
import inspect
import subprocess
import sys
from typing import Any

import pytest
from ray import tune
from ray.rllib.env.env_context import EnvContext
from ray.tune.registry import ENV_CREATOR, _global_registry, register_env

import env_registry
from env_registry import ENVIRONMENTS, EnvConfigError
from env_registry.contract import TEAM, GroupedEnv
from env_registry.registry import validate_options

INSTALLED = [name for name in ENVIRONMENTS if env_registry.installed(name)[0]]


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_row_agrees_with_what_it_names(name: str) -> None:
    row = ENVIRONMENTS[name]
    assert row.name == name
    assert row.summary.endswith(".")
    if name not in INSTALLED:
        pytest.skip(env_registry.installed(name)[1])
    module, _, attribute = row.entry_point.partition(":")
    environment = getattr(importlib.import_module(module), attribute)
    if inspect.isclass(environment):  # a function takes its defaults from the row
        assert issubclass(environment, GroupedEnv)
        defaults = {
            key: parameter.default
            for key, parameter in inspect.signature(environment.__init__).parameters.items()
            if key != "self"
        }
        assert defaults == {key: option.default for key, option in row.options.items()}
    if row.default_task is not None:
        assert row.options["task"].default == row.default_task
        assert row.default_task in row.tasks


@pytest.mark.parametrize("name", INSTALLED)
def test_tune_makes_the_environment_from_an_env_context(name: str) -> None:
    env_registry.register()  # again: changes nothing
    creator = _global_registry.get(ENV_CREATOR, name)
    env = creator(EnvContext({}, worker_index=1, vector_index=2, num_workers=3))
    assert env.possible_agents == [TEAM]


def test_the_env_context_holds_the_options() -> None:
    creator = _global_registry.get(ENV_CREATOR, "counter")
    assert creator(EnvContext({"n_agents": 5}, worker_index=0)).n_agents == 5
    with pytest.raises(EnvConfigError, match="n_agents"):
        creator(EnvContext({"num_agents": 5}, worker_index=0))


def test_importing_and_checking_imports_no_environment_and_starts_no_ray() -> None:
    code = (
        "import sys, env_registry, ray\n"
        "env_registry.validate('counter', {'n_agents': 2})\n"
        "try:\n"
        "    env_registry.validate('lbf', {'task': '8x8-2p-2f-v9'})\n"
        "except env_registry.EnvConfigError as error:\n"
        "    assert 'v9' in str(error)\n"
        "heavy = {'torch', 'lbforaging', 'ray.rllib', 'env_registry.contract'}\n"
        "print(sorted(heavy & set(sys.modules)), ray.is_initialized())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "False"]


@pytest.mark.parametrize(
    ("name", "config", "words"),
    [
        ("lfb", {}, "did you mean 'lbf'"),
        ("zzz", {}, "valid: climbing, counter"),
        ("lbf", {"tsk": "8x8-2p-2f-v2"}, "did you mean 'task'"),
        ("lbf", {"task": "8x8-2p-2f-v9"}, 'nearest: "8x8-2p-2f-v'),
        ("lbf", {"task": 5}, "of type str"),
        ("lbf", {"scale_observations": "yes"}, "of type bool"),
        ("lbf", {"max_episode_steps": True}, "of type int"),
        ("lbf", {"max_episode_steps": 2.5}, "of type int"),
        ("lbf", {"penalty": "much"}, "of type float"),
        ("lbf", {"max_episode_steps": 0}, r"is 0, and must be 1 or more \(time limit .*default 50"),
        ("lbf", {"penalty": -0.1}, "must be 0 or more"),
        ("lbf", {"penalty": float("nan")}, "must be 0 or more"),
        ("lbf", {"max_food_level": {"grid_search": [None, 2, 0]}}, "is 0, and must be 1 or more"),
        ("smac", {"episode_limit": 0}, "must be 1 or more"),
        ("counter", {"n_actions": 1}, "must be 2 or more"),
        ("lbf", {"state": "observation"}, "did you mean 'observations'"),
        ("lbf", {"task": {"grid_search": ["8x8-2p-2f-v2", "8x8-2p-2f-v7"]}}, "v7"),
        ("two_step", {"size": 2}, "it takes none"),
        ("counter", {"ends_by": "truncated"}, "did you mean 'truncation'"),
        ("counter", [1], "must be a mapping"),
        (None, {}, "unknown environment None"),
    ],
)
def test_mistakes_are_answered_with_the_nearest_valid_name(
    name: Any, config: Any, words: str
) -> None:
    with pytest.raises(EnvConfigError, match=words):
        env_registry.validate(name, config)


def test_valid_configurations_pass() -> None:
    env_registry.validate("counter")
    env_registry.validate("climbing", {"penalty": -5})  # an int passes for a float
    env_registry.validate("counter", {"n_agents": tune.choice([2, 3])})  # Tune fills it in
    env_registry.validate("counter", {"n_agents": {"grid_search": [2, 3]}})
    if "lbf" in INSTALLED:
        env_registry.validate("lbf", {"max_food_level": None, "penalty": 1})


@pytest.mark.parametrize("name", sorted(ENVIRONMENTS))
def test_the_least_of_an_option_is_the_last_that_passes(name: str) -> None:
    limited = {k: o for k, o in ENVIRONMENTS[name].options.items() if o.least is not None}
    for key, option in limited.items():
        validate_options(name, {key: option.kind(option.least)})
        with pytest.raises(EnvConfigError, match=f"'{key}' in .* must be {option.least} or more"):
            validate_options(name, {key: option.kind(option.least - 1)})
    limits = {"max_episode_steps", "episode_limit"} & set(ENVIRONMENTS[name].options)
    assert limits <= set(limited), "an episode has at least one step"


def test_an_environment_registered_by_its_user_passes() -> None:
    register_env("my_own_env", lambda config: None)
    env_registry.validate("my_own_env", {"anything": 1})
    with pytest.raises(EnvConfigError, match="unknown environment"):
        env_registry.make("my_own_env")


def test_a_missing_package_is_answered_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda module: None)
    ok, reason = env_registry.installed("lbf")
    assert not ok
    assert 'pip install "rllib-mmsa[lbf]"' in reason
    with pytest.raises(EnvConfigError, match="lbforaging"):
        env_registry.validate("lbf", {})
    assert env_registry.installed("counter") == (True, "")
    with pytest.raises(EnvConfigError, match="unknown"):
        env_registry.installed("lfb")


def test_nearest_names_are_the_nearest() -> None:
    for name in ENVIRONMENTS:
        with pytest.raises(EnvConfigError) as caught:
            env_registry.validate(name + "x", {})
        (nearest,) = difflib.get_close_matches(name + "x", ENVIRONMENTS, n=1)
        assert f"did you mean {nearest!r}" in str(caught.value)
