"""Values of the command line over those of a file: what they change, and the words of a mistake."""

import pytest

from rllib_mmsa.command.experiment import overrides
from rllib_mmsa.command.experiment.files import load_file
from rllib_mmsa.errors import ConfigError

FILE = """
one: &one
  run: QMIX
  env: lbf
  stop: {num_env_steps_sampled_lifetime: 1000, env_runners: {episode_return_mean: 0.5}}
  config: {lr: {loguniform: [1e-4, 1e-2]}, seed: 1, env_config: {task: 8x8-2p-2f-v2, x: 1}}
two:
  <<: *one
  run: VDN
"""


@pytest.fixture
def load(tmp_path):
    """Loads the file with overrides."""
    (tmp_path / "f.yaml").write_text(FILE)

    def with_overrides(*assignments: str, config: str | None = None, **more):
        changed = overrides.parse(assignments, config)
        return load_file(tmp_path / "f.yaml", overrides=changed, **more)

    return with_overrides


def test_a_value_is_put_over_that_of_every_experiment(load):
    for found in load("config.lr=5e-4", "config.seed=2", "config.env_config.task=other"):
        assert found.config["lr"] == 5e-4 and found.config["seed"] == 2
        assert found.config["env_config"] == {"task": "other", "x": 1}, "the rest is as in the file"
    assert [e.run for e in load("config.gamma=0.9")] == ["QMIX", "VDN"]


@pytest.mark.parametrize(
    ("assignments", "config", "expected"),
    [
        ((), "{seed: 2, env_config: {task: b}}", {"seed": 2, "env_config": {"task": "b", "x": 1}}),
        (("config.seed=3",), "{seed: 2}", {"seed": 3}),
        (("config.seed=3", "config.seed=4"), None, {"seed": 4}),
        (("config.lr={grid_search: [1e-3, 1e-4]}",), None, {"lr": {"grid_search": [1e-3, 1e-4]}}),
        (("config={seed: 5}",), None, {"seed": 5, "lr": {"loguniform": [1e-4, 1e-2]}}),
        (("config.env_config=",), None, {"env_config": None}),
        (
            ("config.evaluation_config.explore=true",),
            None,
            {"evaluation_config": {"explore": True}},
        ),
        (("config.optim = adam",), None, {"optim": "adam"}),
    ],
)
def test_mappings_are_merged_and_the_rest_is_replaced(load, assignments, config, expected):
    found, _ = load(*assignments, config=config)
    assert {key: found.config[key] for key in expected} == expected


def test_other_keys_than_config_can_be_set(load):
    found, _ = load(
        "run=MMSA",
        "num_samples=3",
        "checkpoint_config.num_to_keep=7",
        "stop.env_runners/episode_return_mean=0.9",
        "stop.training_iteration=10",
    )
    assert (found.run, found.num_samples, found.checkpoint["num_to_keep"]) == ("MMSA", 3, 7)
    assert found.stop == {
        "num_env_steps_sampled_lifetime": 1000,
        "env_runners/episode_return_mean": 0.9,
        "training_iteration": 10,
    }


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("config.lr", "'config.lr' is no override; write the keys with dots, '=' and the value"),
        ("=3", "is no override"),
        ("config..lr=3", "is no override"),
        ("cofig.lr=3", "no key 'cofig'. Did you mean 'config.lr'?"),
        (
            "lr=5e-4",
            "no key 'lr'. An option of the algorithm begins with 'config.': config.lr=5e-4",
        ),
        ("config.lr=[", "override 'config.lr=[' is not valid YAML"),
        ("config.lr=&a [*a]", "override 'config.lr=&a [*a]': line 1: the value refers to itself"),
    ],
)
def test_what_is_no_override_is_refused(assignment, words):
    with pytest.raises(ConfigError) as error:
        overrides.parse([assignment])
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("stop.episod_return_mean=3", "Did you mean 'episode_return_mean'?"),
        ("num_samples=0", "num_samples must be 1 or more"),
        ("config=3", "config must be a mapping"),
    ],
)
def test_a_mistake_that_an_override_brings_in_names_it(load, assignment, words):
    changed = overrides.parse([assignment])
    with pytest.raises(ConfigError) as error, overrides.named(changed):
        load(assignment)
    assert words in str(error.value)
    assert str(error.value).endswith(f"(override: {assignment})")


def test_a_mistake_of_the_file_does_not_name_an_override():
    with pytest.raises(ConfigError, match="^f: unknown key 'stp'.$"):
        with overrides.named(overrides.parse(["config.seed=2"], "{lr: 1}")):
            raise ConfigError("f: unknown key 'stp'.")


def test_a_file_with_one_experiment_can_be_given_another_name(load, tmp_path):
    with pytest.raises(ConfigError, match="names one experiment, but .*f.yaml has 2: one, two"):
        load(name="three")
    (tmp_path / "f.yaml").write_text("one: {run: QMIX, env: lbf}")
    (found,) = load(name="three")
    assert (found.name, found.path.name) == ("three", "three")
