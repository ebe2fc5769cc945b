"""Every file in tuned_examples is valid, and asks the question that its name says."""

from __future__ import annotations

from pathlib import Path

import pytest

import env_registry
from rllib_mmsa.command.experiment import preflight
from rllib_mmsa.command.experiment.files import load_file, read_file

ROOT = Path(__file__).resolve().parents[2]
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
STUDIES = (
    *("mmsa_search_horizon_lr", "mmsa_search_asha"),
    *("mmsa_ablations", "mmsa_world_model", "compare_lbf", "compare_smacv2", "compare_smax"),
    *("qmix_lbf_epymarl", "campaign_lbf", "campaign_coop"),
    *("hpn_qmix_smax", "mmsa_hpn_smax"),
)
#: Settings that PPO does not have.
Q_LEARNERS_ALONE = {"updates_per_episode", "learner_threads"}
#: PPO needs more env steps, so its files are a family of their own.
PPO = ("mappo", "ippo")
PLAIN = [p for p in EXAMPLES if p.stem not in STUDIES and not p.stem.startswith(PPO)]


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


@pytest.mark.parametrize("group", ["lbf", "smax"])
def test_ppo_s_examples_play_and_test_as_mmsa_s(group):
    (mmsa,) = load_file(ROOT / f"tuned_examples/mmsa_{group}.yaml")
    (mappo,), (ippo,) = (load_file(ROOT / f"tuned_examples/{name}_{group}.yaml") for name in PPO)
    assert (mappo.run, ippo.run) == ("MAPPO", "IPPO")
    assert (mappo.env, mappo.config, mappo.stop) == (ippo.env, ippo.config, ippo.stop)
    assert mappo.env == mmsa.env
    assert mappo.config.items() >= mmsa.config.items()
    assert mappo.config.keys() - mmsa.config.keys() <= {
        "num_envs_per_env_runner",
        "train_batch_episodes",
        "evaluation_config",
    }


def test_ppo_s_grid_is_qmix_s_paper_tasks_and_tests():
    (paper,) = load_file(ROOT / "tuned_examples/qmix_lbf_paper.yaml")
    (mappo,) = load_file(ROOT / "tuned_examples/mappo_lbf_paper.yaml")
    assert (mappo.env, mappo.stop) == (paper.env, paper.stop)
    left_out = {"standardise_rewards", "num_envs_per_env_runner"}
    same = {k: v for k, v in paper.config.items() if k not in left_out}
    assert mappo.config == {**same, "evaluation_config": {"explore": True}}


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


def test_the_tuned_qmix_plays_the_paper_s_tasks_and_differs_from_its_qmix_in_the_preset():
    (paper,) = load_file(ROOT / "tuned_examples/qmix_lbf_paper.yaml")
    (tuned,) = load_file(ROOT / "tuned_examples/qmix_lbf_epymarl.yaml")
    assert (tuned.run, tuned.env, tuned.stop) == (paper.run, paper.env, paper.stop)
    expected = {**paper.config, "preset": "epymarl"}
    assert expected.pop("standardise_rewards")  # the preset has it
    assert tuned.config == expected


def arms(name: str) -> tuple[dict, list]:
    """What a study's experiments of MMSA change of its first one, and the others."""
    full, *others = load_file(ROOT / f"tuned_examples/{name}.yaml")
    changed = {}
    for other in (each for each in others if each.run == full.run):
        assert (other.env, other.stop, other.num_samples) == (full.env, full.stop, full.num_samples)
        ((key, value),) = [i for i in other.config.items() if i not in full.config.items()]
        changed[other.name.removeprefix(f"{name}_")] = (key, value)
    return changed, [each for each in others if each.run != full.run]


@pytest.mark.parametrize(
    ("name", "of"), [("hpn_qmix_smax", "qmix_smax"), ("mmsa_hpn_smax", "mmsa_smax")]
)
def test_hpn_s_examples_differ_in_the_agents_alone(name, of):
    (hpn,), (ordinary,) = (load_file(ROOT / f"tuned_examples/{each}.yaml") for each in (name, of))
    assert (hpn.run, hpn.env, hpn.stop) == (ordinary.run, ordinary.env, ordinary.stop)
    assert hpn.config == {**ordinary.config, "agent": "hpn"}


def test_the_rivals_on_smax_differ_where_their_names_say():
    qmix, *others = load_file(ROOT / "tuned_examples/compare_smax.yaml")
    expected = {
        "hpn_qmix": ("QMIX", {"agent": "hpn"}),
        "mmsa": ("MMSA", {}),
        "hpn_mmsa": ("MMSA", {"agent": "hpn"}),
    }
    mappo = others.pop()
    assert [each.name.removeprefix("compare_smax_") for each in others] == [*expected]
    for other, (run, changed) in zip(others, expected.values(), strict=True):
        assert (other.env, other.stop, other.num_samples) == (qmix.env, qmix.stop, qmix.num_samples)
        assert (other.run, other.config) == (run, {**qmix.config, **changed})
    (alone,) = load_file(ROOT / "tuned_examples/mappo_smax.yaml")
    same = {k: v for k, v in qmix.config.items() if k not in Q_LEARNERS_ALONE}
    assert mappo.run == "MAPPO" and mappo.stop == qmix.stop
    assert mappo.config == {**alone.config, **same}


def test_each_arm_of_the_world_model_differs_in_one_setting():
    changed, (qmix,) = arms("mmsa_world_model")
    assert changed == {
        "none": ("use_world_model", False),
        "untrained": ("mixer_reads", "untrained"),
        "hidden": ("mixer_reads", "hidden"),
        "no_self": ("self_prediction_weight", 0),
    }
    (full, *_) = load_file(ROOT / "tuned_examples/mmsa_world_model.yaml")
    assert qmix.run == "QMIX" and qmix.config == full.config


def test_the_campaign_s_arms_differ_where_their_names_say():
    full, *others = load_file(ROOT / "tuned_examples/campaign_lbf.yaml")
    tuned = {"preset": "epymarl", "num_envs_per_env_runner": 1}
    expected = {
        "no_model": ("MMSA", 5, {"use_world_model": False}),
        "qmix": ("QMIX", 5, {}),
        "vdn": ("VDN", 3, {}),
        "independentq": ("IndependentQ", 3, {}),
        "qmix_tuned": ("QMIX", 3, tuned),
    }
    for other in others:
        run, seeds, changed = expected.pop(other.name.removeprefix("campaign_lbf_"))
        assert (other.run, other.num_samples, other.stop) == (run, seeds, full.stop)
        assert other.config == {**full.config, **changed}
    assert not expected
    (paper,) = load_file(ROOT / "tuned_examples/mmsa_lbf_paper.yaml")
    tasks = full.config["env_config"]["task"]["grid_search"]
    assert sorted(tasks) == sorted(paper.config["env_config"]["task"]["grid_search"])


def test_the_short_campaign_is_a_part_of_the_long_one_and_two_controls():
    long = load_file(ROOT / "tuned_examples/campaign_lbf.yaml")
    short = load_file(ROOT / "tuned_examples/campaign_coop.yaml")
    task = {"task": "2s-8x8-2p-2f-coop-v2", "exclusive_levels": True}
    for ours, theirs in zip(short[:3], long, strict=False):
        assert ours.name == theirs.name.replace("_lbf_", "_coop_") and ours.run == theirs.run
        assert ours.config == {**theirs.config, "env_config": task, "learner_threads": 1}
    assert {each.num_samples for each in short} == {5}
    for control, reads in zip(short[3:], ("untrained", "hidden"), strict=True):
        assert control.name == f"campaign_coop_{reads}" and control.run == "MMSA"
        assert control.config == {**short[0].config, "mixer_reads": reads}


def test_the_ablations_are_those_of_the_figure_and_differ_from_mmsa_in_one_setting():
    changed, others = arms("mmsa_ablations")
    assert not others
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
