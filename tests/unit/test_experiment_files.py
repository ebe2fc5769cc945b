"""Experiment files: what is accepted, and the words of every refusal. No Ray, no torch."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rllib_mmsa.command.experiment import imports
from rllib_mmsa.command.experiment.experiment import DEFAULT_STORAGE
from rllib_mmsa.command.experiment.files import load_file, read_file
from rllib_mmsa.command.experiment.structure import parse_experiment
from rllib_mmsa.errors import ConfigError

MINIMAL = {"run": "QMIX", "env": "two_step"}


def write(folder: Path, text: str) -> Path:
    path = folder / "f.yaml"
    path.write_text(text)
    return path


def test_a_whole_file_is_read(tmp_path):
    path = write(
        tmp_path,
        """
        one:
          run: QMIX
          env: lbf
          stop: {num_env_steps_sampled_lifetime: 1000, env_runners: {episode_return_mean: 0.5}}
          num_samples: 2
          checkpoint_config: {checkpoint_freq: 5, num_to_keep: 2}
          local_dir: results
          config:
            lr: {loguniform: [1e-4, 1e-2]}
            env_config: {task: 8x8-2p-2f-v2}
        two:
          run: MMSA
          config: {env: two_step, seed: {grid_search: [1, 2]}}
          checkpoint_at_end: false
        """,
    )
    one, two = load_file(path, stop="{episode_return_mean: 0.9}")
    assert one.stop == {
        "num_env_steps_sampled_lifetime": 1000,
        "env_runners/episode_return_mean": 0.9,  # the option's value, not the file's
    }
    assert one.num_samples == 2
    assert one.checkpoint == {
        "checkpoint_frequency": 5,
        "num_to_keep": 2,
        "checkpoint_at_end": True,
    }
    assert one.path == Path("results/one").resolve()
    assert one.config["lr"] == {"loguniform": [1e-4, 1e-2]}, "1e-4 is a number, not text"
    assert (two.env, two.config) == ("two_step", {"seed": {"grid_search": [1, 2]}})
    assert two.checkpoint == {"checkpoint_at_end": False}


def test_the_storage_option_wins_over_the_file(tmp_path):
    path = write(tmp_path, "a: {run: QMIX, env: lbf, local_dir: elsewhere}")
    (found,) = load_file(path, storage_path=str(tmp_path))
    assert found.path == tmp_path / "a"


def test_the_record_of_a_run_reads_back_as_the_same_experiment(tmp_path):
    path = write(
        tmp_path,
        "a: {run: QMIX, env: lbf, stop: {training_iteration: 3}, max_concurrent_trials: 1,"
        " config: {seed: {grid_search: [1, 2]}}}",
    )
    (before,) = load_file(path, storage_path=str(tmp_path))
    path.write_text(yaml.safe_dump(before.to_mapping()))
    assert load_file(path, storage_path=str(tmp_path)) == [before]


@pytest.mark.parametrize(
    "text, words",
    [
        ("[1, 2]", "must be a mapping of experiment names to settings, but is a list"),
        ("", "must be a mapping of experiment names to settings, but is empty"),
        ("just words", "but is text ('just words')"),
        ("a: {run: [}", "is not valid YAML in line 1"),
        ("a:\n  run: QMIX\n bad: 1", "is not valid YAML in line 3"),
        ("a: {run: QMIX, run: MMSA}", "line 1: the key 'run' appears twice"),
        ("a: 5", "experiment 'a' must be a mapping with run, env, stop and config"),
        ("import: json", "names no experiment"),
        ("a: {run: QMIX, env: lbf, import: nowhere.py}", "a: import: no file"),
        ("a: {run: QMIX, env: lbf, import: {x: 1}}", "import must be a list of modules"),
        ("a/b: {run: QMIX, env: lbf}", "becomes a folder"),
    ],
)
def test_what_is_no_experiment_file_is_refused(tmp_path, text, words):
    with pytest.raises(ConfigError) as error:
        load_file(write(tmp_path, text))
    assert words in str(error.value)


def test_a_missing_file_is_named_with_its_nearest(tmp_path):
    write(tmp_path, "a: {}")
    with pytest.raises(
        ConfigError, match=r"no experiment file '.*ff.yaml'.*Did you mean '.*f.yaml"
    ):
        read_file(tmp_path / "ff.yaml")
    with pytest.raises(ConfigError, match="is a directory"):
        read_file(tmp_path)


def test_a_file_may_build_on_what_it_has_said(tmp_path):
    text = "a: &a {run: QMIX, env: lbf}\nb: {<<: *a, run: VDN}"
    assert [e.run for e in load_file(write(tmp_path, text))] == ["QMIX", "VDN"]


# One experiment's structure.


@pytest.mark.parametrize(
    "entry, words",
    [
        ({"runn": "QMIX"}, "a: unknown key 'runn'. Did you mean 'run'?"),
        ({"env_config": {}}, "'env_config' belongs under 'config:'"),
        ({"run": None}, "'run' is missing; add for example 'run: MMSA'"),
        ({"env": None}, "'env' is missing; add for example 'env: lbf'"),
        ({"run": 3}, "run must be an algorithm's name, but is a whole number (3)"),
        ({"env": ["lbf"]}, "env must be an environment's name, but is a list"),
        ({"config": [1]}, "a: config must be a mapping (key: value), but is a list ([1])"),
        ({"num_samples": "two"}, "num_samples must be a whole number, but is text ('two')"),
        ({"num_samples": 0}, "num_samples must be 1 or more, but is 0"),
        ({"max_concurrent_trials": 0}, "max_concurrent_trials must be 1 or more"),
        ({"storage_path": 3}, "storage_path must be a path"),
        ({"storage_path": ""}, "storage_path is empty; name a folder, or leave it out"),
        (
            {"checkpoint_config": {"num_to_kep": 1}},
            "checkpoint_config: unknown key 'num_to_kep'. Did you mean 'num_to_keep'?",
        ),
        ({"checkpoint_config": {"num_to_keep": 0}}, "num_to_keep must be 1 or more"),
        ({"checkpoint_at_end": "yes"}, "checkpoint_at_end must be true or false"),
        ({"checkpoint_config": {"checkpoint_score_order": "up"}}, "must be 'min' or 'max'"),
        ({"checkpoint_score_attr": "retrn"}, "unknown metric 'retrn'"),
    ],
)
def test_mistakes_in_an_experiment(entry, words):
    with pytest.raises(ConfigError) as error:
        parse_experiment("a", {**MINIMAL, **entry})
    assert words in str(error.value)


def test_imports_are_made_absolute_and_loaded_once(tmp_path):
    (tmp_path / "users_own_env.py").write_text("import json\nLOADED = True\n")
    path = write(tmp_path, "import: [users_own_env.py, json]\na: {run: QMIX, env: lbf}")
    (found,) = load_file(path)
    assert found.imports == (str((tmp_path / "users_own_env.py").resolve()), "json")
    imports.load(found.imports)
    imports.load(found.imports)
    (tmp_path / "broken_env.py").write_text("1 / 0")
    with pytest.raises(ConfigError, match=r"broken_env.py' failed: ZeroDivisionError"):
        imports.load([str(tmp_path / "broken_env.py")])


def test_defaults_stay_where_they_were():
    assert DEFAULT_STORAGE == "~/ray_results"
    found = parse_experiment("a", dict(MINIMAL))
    assert found.path == Path("~/ray_results/a").expanduser().resolve()
