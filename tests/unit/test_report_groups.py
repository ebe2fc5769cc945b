"""Which runs are replicates of one another, what groups are called, and what is said of them."""

from dataclasses import replace

import numpy as np
import pytest

from rllib_mmsa.report import groups, runs
from tests.unit.report_data import make_run


def label_of(found, **identity):
    return [g.label for g in groups.group(found) if identity.items() <= g.identity.items()]


def test_seeds_are_replicates_and_settings_are_not():
    found = [make_run(seed, settings={"lr": lr}) for lr in ("0.1", "0.01") for seed in (2, 10, 1)]
    first, second = groups.group(found)
    assert (first.label, second.label) == ("MMSA lr=0.01", "MMSA lr=0.1")
    assert [run.seed for run in first.runs] == ["1", "2", "10"]


@pytest.mark.parametrize("key", [runs.BACKEND, runs.VERSION])
def test_unlike_backends_and_versions_are_never_averaged(key):
    found = [make_run(1, **{key: "a"}), make_run(2, **{key: "b"})]
    made = groups.group(found)
    assert len(made) == 2
    assert groups.differences(made)[key] == {
        g.identity[key]: [f"{g.label} on {g.task}"] for g in made
    }
    assert len(groups.group(found, pool=(key,))) == 1  # unless asked for


def test_a_game_that_stood_in_for_another_is_a_task_of_its_own():
    usual = make_run(1, task="smacv2 terran_5_units", env_backend="starcraft2")
    instead = make_run(1, task="smacv2 terran_5_units", env_backend="smax")
    both = make_run(1, task="smacv2 terran_5_units", env_backend="starcraft2 then smax")
    made = groups.group([usual, instead, both])
    assert [(g.task, g.label) for g in made] == [
        ("smacv2 terran_5_units", "MMSA"),
        ("smacv2 terran_5_units (SMAX)", "MMSA"),
        ("smacv2 terran_5_units (StarCraft II then SMAX)", "MMSA"),
    ]
    (pooled,) = groups.group([usual, instead], pool=(runs.BACKEND,))
    assert pooled.task == "smacv2 terran_5_units (SMAX and StarCraft II)"
    # Which game a run that has no result yet would play is not known; it joins its siblings.
    waiting = make_run(2, task="smacv2 terran_5_units", status=runs.PENDING)
    waiting = replace(waiting, env_steps=np.zeros(0))
    (joined,) = groups.group([waiting, instead])
    assert joined.task == "smacv2 terran_5_units (SMAX)" and len(joined.runs) == 2


def test_the_usual_value_is_left_out_of_names():
    default = {"lr": "0.001", "rollout_horizon": "3"}
    found = [make_run(settings=default)]
    found += [make_run(settings={**default, "rollout_horizon": h}) for h in ("1", "2", "10")]
    found += [make_run(settings={**default, "lr": "0.1"})]
    assert [g.label for g in groups.group(found)] == [
        "MMSA",
        "MMSA lr=0.1",
        "MMSA rollout_horizon=1",
        "MMSA rollout_horizon=2",
        "MMSA rollout_horizon=10",
    ]


def test_settings_that_differ_only_between_tasks_do_not_change_names():
    found = [
        make_run(task="a", settings={"gamma": "1"}),
        make_run(task="b", settings={"gamma": "0"}),
    ]
    made = groups.group(found)
    assert [g.label for g in made] == ["MMSA", "MMSA"]
    assert groups.differences(made)["gamma"] == {"0": ["MMSA on b"], "1": ["MMSA on a"]}


def test_settings_that_were_not_recorded_keep_groups_apart():
    found = [make_run(1, settings={"lr": "0.1"}), make_run(2, settings={})]
    made = groups.group(found)
    assert [g.label for g in made] == ["MMSA", "MMSA (2)"]
    assert groups.unrecorded(made) == ["lr"]


def test_options_of_one_algorithm_alone_are_no_difference():
    found = [make_run(settings={"lr": "1", "use_sale": "true"})]
    found.append(make_run(algorithm="QMIX", settings={"lr": "2"}))
    assert set(groups.differences(groups.group(found))) == {"lr"}


def test_remarks_name_what_is_missing_broken_off_or_double():
    found = [make_run(seed) for seed in (1, 2, 3)]
    found += [make_run(1, algorithm="QMIX"), make_run(1, algorithm="QMIX", trial="again")]
    found += [make_run(2, algorithm="QMIX", last=400, status=runs.CRASHED, trial="t")]
    text = "\n".join(groups.remarks(groups.group(found)))
    assert "QMIX on lbf 8x8-2p-2f-v2, seed 2: crashed after 400 of 1,000 env steps (t)." in text
    assert "QMIX on lbf 8x8-2p-2f-v2: no run with seed 3." in text
    assert "seed 1 was run 2 times" in text
    # Of MMSA, and of small groups, nothing but that they are small.
    assert text.count("MMSA") == 1 and "Fewer than 3 runs" not in text
    assert "Fewer than 5 runs, so no interval of the IQM and of P(X > Y): MMSA" in text


def test_seeds_that_a_group_has_on_another_task_alone_are_missed():
    found = [make_run(1, task="a"), make_run(2, task="a"), make_run(1, task="b")]
    found += [make_run(5, task="c", algorithm="QMIX")]
    first, *few = groups.remarks(groups.group(found))
    assert first == "MMSA on b: no run with seed 2."
    assert few == [
        "Fewer than 3 runs, so no interval of the mean: MMSA on a, MMSA on b, QMIX on c.",
        "Fewer than 5 runs, so no interval of the IQM and of P(X > Y): MMSA on a, MMSA on b, QMIX "
        "on c.",
    ]
    assert not groups.remarks(groups.group([make_run(seed) for seed in range(5)]))


def test_what_small_and_young_groups_lack_is_said_once_for_all():
    found = [replace(make_run(task=f"t{i}"), env_steps=np.array([1008.0])) for i in range(9)]
    few, _, single = groups.remarks(groups.group(found))
    named = ", ".join(f"MMSA on t{i}" for i in range(6))
    assert few == f"Fewer than 3 runs, so no interval of the mean: {named} and 3 more."
    assert single.startswith("One evaluation a run, so no curve and no mean over training: MMSA")


def test_a_trial_that_has_not_started_needs_no_other_word():
    run = replace(make_run(1, status=runs.PENDING, trial="t"), env_steps=np.zeros(0))
    (text,) = groups.remarks(groups.group([run]))
    assert text == "MMSA on lbf 8x8-2p-2f-v2, seed 1: not started (t)."
