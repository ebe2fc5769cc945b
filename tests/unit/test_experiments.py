"""Experiment files: what is accepted, and the words of every refusal. Ray is never started."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import env_registry
from rllib_mmsa.command.evaluate import interval, locate
from rllib_mmsa.command.experiment import checks, experiments, preflight
from rllib_mmsa.command.experiment.experiments import load_file, parse_experiment, read_file
from rllib_mmsa.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
MINIMAL = {"run": "QMIX", "env": "two_step"}


def write(folder: Path, text: str) -> Path:
    path = folder / "f.yaml"
    path.write_text(text)
    return path


# Files.


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
    import yaml

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
    assert checks.stop_criteria({short: 5}) == {path: 5}


@pytest.mark.parametrize(
    "stop, words",
    [
        ({"episod_return_mean": 1}, "unknown metric 'episod_return_mean'. "
                                    "Did you mean 'episode_return_mean'?"),
        ({"timesteps_total": 1}, "write 'num_env_steps_sampled_lifetime'"),
        ({"episode_reward_mean": 1}, "write 'env_runners/episode_return_mean'"),
        ({"training_iteration": "ten"}, "must be a number, but is text ('ten')"),
        ({"training_iteration": True}, "must be a number, but is a boolean"),
        ({"training_iteration": 0}, "must be 1 or more, but is 0"),
        (7, "stop must be a mapping"),
    ],
)  # fmt: skip
def test_mistakes_in_stop(stop, words):
    with pytest.raises(ConfigError) as error:
        checks.stop_criteria(stop)
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

    from rllib_mmsa.command.run.schedulers import search_space

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
        ({"config": {"num_workers": 2}}, "write 'num_env_runners' (default 0)"),
        ({"config": {"exploration_config": {}}}, "write 'epsilon' (default [[0, 1.0]"),
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
    import ray

    started = []
    monkeypatch.setattr(ray, "init", lambda *args, **kwargs: started.append(kwargs))
    with pytest.raises(ConfigError) as error:
        preflight.check([parse_experiment("a", {**MINIMAL, **entry})])
    assert words in str(error.value)
    assert not started


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


EXAMPLES = sorted((ROOT / "tuned_examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_every_tuned_example_is_valid(path):
    found = load_file(path)
    for experiment in found:
        there, reason = env_registry.installed(experiment.env)
        if not there:
            pytest.skip(reason)
    preflight.check(found, local=False)
    if len(found) == 1:
        assert found[0].name == path.stem
    else:
        assert all(e.name.startswith(f"{path.stem}_") for e in found)


# Files that ask a question of their own; the others come as one file per algorithm.
STUDIES = ("mmsa_search_horizon_lr", "mmsa_ablations", "compare_lbf", "compare_smacv2")
PLAIN = [path for path in EXAMPLES if path.stem not in STUDIES]


@pytest.mark.parametrize("group", sorted({p.stem.split("_", 1)[1] for p in PLAIN}))
def test_tuned_examples_of_one_environment_differ_in_their_algorithm_alone(group):
    ours = [path for path in PLAIN if path.stem.split("_", 1)[1] == group]
    assert len(ours) > 1
    (found, *others) = [
        {key: value for key, value in next(iter(read_file(path).values())).items() if key != "run"}
        for path in ours
    ]
    assert all(other == found for other in others)
    runs = [load_file(path)[0].run for path in ours]
    assert [run.lower() for run in runs] == [path.stem.split("_")[0] for path in ours]


def test_the_paper_s_foraging_tasks_are_a_grid_of_trials_and_train_stays_quick():
    (paper,) = load_file(ROOT / "tuned_examples/mmsa_lbf_paper.yaml")
    settings = preflight.variants(paper.config, "")
    assert {one["env_config"]["task"] for one in settings} == {
        "2s-8x8-2p-2f-coop-v2",
        "10x10-3p-5f-v2",
        "10x10-4p-3f-v2",
        "2s-10x10-3p-3f-v2",
    }
    assert paper.stop == {"num_env_steps_sampled_lifetime": 2_000_000}
    (quick,) = load_file(ROOT / "tuned_examples/mmsa_lbf.yaml")
    assert quick.stop == {"num_env_steps_sampled_lifetime": 200_000}
    assert len(list(preflight.variants(quick.config, ""))) == 1


def test_the_ablations_are_those_of_the_figure_and_differ_from_mmsa_in_one_setting():
    full, *others = load_file(ROOT / "tuned_examples/mmsa_ablations.yaml")
    changed = {}
    for other in others:
        assert (other.run, other.env, other.stop) == (full.run, full.env, full.stop)
        ((key, value),) = [i for i in other.config.items() if i not in full.config.items()]
        changed[other.name.removeprefix("mmsa_ablations_")] = (key, value)
    assert changed == {
        "no_wm": ("use_world_model", False),
        "no_sale": ("use_sale", False),
        "no_klb": ("kl_balance", None),
        "no_gs": ("use_global_state", False),
    }


@pytest.mark.parametrize("name, tasks", [("compare_lbf", 4), ("compare_smacv2", 3)])
def test_comparisons_differ_in_their_algorithm_alone(name, tasks):
    found = load_file(ROOT / f"tuned_examples/{name}.yaml")
    assert [e.run for e in found] == ["MMSA", "QMIX", "VDN", "IndependentQ"]
    assert len({repr((e.env, e.config, e.stop, e.num_samples)) for e in found}) == 1
    assert len(found[0].config["env_config"]["task"]["grid_search"]) == tasks


def test_the_search_is_a_grid_through_the_default():
    (found,) = load_file(ROOT / "tuned_examples/mmsa_search_horizon_lr.yaml")
    assert found.config["rollout_horizon"] == {"grid_search": [1, 2, 3, 5, 10]}
    assert found.config["lr"] == {"grid_search": [1e-3, 5e-4, 1e-4]}


# Schedulers and seeds.

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
    from ray.tune.schedulers import AsyncHyperBandScheduler, PopulationBasedTraining

    from rllib_mmsa.command.run.schedulers import build

    asha = parse_experiment("a", {**MINIMAL, "stop": STOP, "scheduler": {"type": "asha"}})
    assert isinstance(build(asha.scheduler), AsyncHyperBandScheduler)
    pbt = parse_experiment("a", {**MINIMAL, "scheduler": PBT})
    assert isinstance(build(pbt.scheduler), PopulationBasedTraining)
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
    from rllib_mmsa import MMSAConfig
    from rllib_mmsa.command.experiment import search

    assert set(search.IN_FLIGHT) <= MMSAConfig().to_dict().keys()


def test_samples_count_their_seeds_up():
    from rllib_mmsa.command.experiment.search import with_seeds

    assert with_seeds({"seed": 5, "lr": 1}, 3) == ({"seed": {"grid_search": [5, 6, 7]}, "lr": 1}, 1)
    for config, samples in (({}, 3), ({"seed": 5}, 1), ({"seed": 5}, -1)):
        assert with_seeds(config, samples) == (config, samples)
    grid = {"seed": {"grid_search": [1, 2]}}
    assert with_seeds(grid, 2) == (grid, 2)


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
    from rllib_mmsa.command.experiment.search import with_threads

    assert with_threads(config, samples).get("learner_threads") == threads


def test_a_file_may_build_on_what_it_has_said(tmp_path):
    text = "a: &a {run: QMIX, env: lbf}\nb: {<<: *a, run: VDN}"
    assert [e.run for e in load_file(write(tmp_path, text))] == ["QMIX", "VDN"]


# Checkpoints.


def make_checkpoint(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "class_and_ctor_args.pkl").write_bytes(b"")
    return folder


def test_a_checkpoint_is_found_from_the_folders_above_it(tmp_path):
    make_checkpoint(tmp_path / "trial" / "checkpoint_000009")
    newest = make_checkpoint(tmp_path / "trial" / "checkpoint_000010")
    for path in (newest, newest.parent, tmp_path):
        assert locate(path) == newest


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        locate(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="is empty"):
        locate(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is not a directory"):
        locate(tmp_path / "file")
    with pytest.raises(ConfigError, match="holds no checkpoint"):
        locate(tmp_path)
    for trial in "ab":
        make_checkpoint(tmp_path / trial / "checkpoint_000000")
    with pytest.raises(ConfigError, match="holds 2 trials"):
        locate(tmp_path)


def test_the_interval_is_that_of_the_mean():
    assert interval([0.0, 1.0] * 50) == "0.500  (95 % interval 0.402 to 0.598)"
    assert "no interval" in interval([1.0])


# Progress lines.


def test_a_progress_line_says_what_a_person_asks():
    from rllib_mmsa.command.run.progress import TrialProgress

    progress = TrialProgress({"num_env_steps_sampled_lifetime": 200_000})
    result = {
        "num_env_steps_sampled_lifetime": 120_000,
        "time_total_s": 300.0,
        "env_runners": {
            "num_episodes_lifetime": 2431,
            "episode_return_mean": 0.312,
            "epsilon": 0.05,
        },
        "evaluation": {"env_runners": {"episode_return_mean": 0.42}},
    }
    assert progress.update(result)
    assert progress.format("mmsa_lbf", result) == (
        "mmsa_lbf  120,000/200,000 steps  2,431 episodes  return 0.31  test 0.42  win -  "
        "eps 0.05  400 steps/s  left 3:20"
    )
    later = {**result, "num_env_steps_sampled_lifetime": 130_000, "time_total_s": 320.0}
    del later["evaluation"]
    assert not progress.update(later)
    line = progress.format("mmsa_lbf", later)
    assert "test 0.42" in line, "the last evaluation stays in sight"
    assert "500 steps/s  left 2:20" in line, "the speed is that of the last lines"
    later["env_runners"] = {**later["env_runners"], "num_episodes_dropped_lifetime": 2.0}
    assert "2,431 episodes (2 dropped)  return" in progress.format("mmsa_lbf", later)


def test_durations_and_gaps():
    from rllib_mmsa.command.run.progress import format_duration, format_number

    assert [format_duration(s) for s in (5, 194, 7394, math.nan)] == [
        "0:05",
        "3:14",
        "2:03:14",
        "-",
    ]
    assert format_number(math.nan) == "-"


def test_imports_are_made_absolute_and_loaded_once(tmp_path):
    from rllib_mmsa.command.experiment import imports

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
    assert experiments.DEFAULT_STORAGE == "~/ray_results"
    found = parse_experiment("a", dict(MINIMAL))
    assert found.path == Path("~/ray_results/a").expanduser().resolve()


def test_logs_are_cut_back_to_the_checkpoint(tmp_path):
    import csv
    import json

    from rllib_mmsa.command.run.rewind import rewind

    rows = [{"training_iteration": i, "text": f"a,{i}"} for i in range(1, 6)]
    (tmp_path / "result.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with (tmp_path / "progress.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    rewind(tmp_path, 3)
    lines = (tmp_path / "result.json").read_text().splitlines()
    assert [json.loads(line)["training_iteration"] for line in lines] == [1, 2, 3]
    with (tmp_path / "progress.csv").open(newline="") as file:
        assert [row["text"] for row in csv.DictReader(file)] == ["a,1", "a,2", "a,3"]
