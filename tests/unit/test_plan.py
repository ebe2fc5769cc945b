"""`--dry-run` says what would run, what is done of it, and how long the rest takes."""

from __future__ import annotations

import math

import pytest
import yaml

from rllib_mmsa.command.experiment import structure
from rllib_mmsa.command.experiment.experiment import RECORD
from rllib_mmsa.command.run import going_on, plan
from rllib_mmsa.command.run.going_on import EarlierTrial

STEPS = "num_env_steps_sampled_lifetime"


def experiment(place, name="study", run="QMIX", **changes):
    entry = {
        "run": run, "env": "two_step", "storage_path": str(place), "num_samples": 3,
        "stop": {STEPS: 1000}, "config": {"lr": {"grid_search": [1e-3, 1e-4]}}, **changes,
    }  # fmt: skip
    return structure.parse_experiment(name, entry)


def earlier(steps: int, *, finished: bool = False, seconds: float = 10.0) -> EarlierTrial:
    status = "TERMINATED" if finished else "PAUSED"
    return EarlierTrial(status, {STEPS: 1000}, {STEPS: steps, "time_total_s": seconds}, True)


@pytest.fixture
def done(monkeypatch):
    """Folder name -> its earlier trials."""
    trials: dict[str, list[EarlierTrial]] = {}
    monkeypatch.setattr(going_on, "earlier_trials", lambda folder: trials.get(folder.name, []))
    return trials


def test_nothing_has_run(tmp_path, done):
    first, last = plan.lines([experiment(tmp_path)], 2)
    assert first == (
        f"study: QMIX on two_step, 6 trials to 1,000 env steps -> {tmp_path}/study; not begun, "
        "6,000 env steps left"
    )
    assert last == (
        "6 trials, 6,000 env steps left; how long that takes is known once trials of each kind "
        "have run"
    )


def test_what_is_done_counts_and_tells_the_speed(tmp_path, done):
    done["study"] = [earlier(1010, finished=True), earlier(490, seconds=5.0)]
    first, last = plan.lines([experiment(tmp_path)], 2)
    # 1,500 steps in 15 seconds; 1,000 + 490 of 6,000 are done.
    assert first.endswith("; 1 finished, 1 begun, 4,510 env steps left, 0:45 on one core")
    assert last == "6 trials, 4,510 env steps left, about 0:23 with 2 at a time"


def test_the_speed_of_its_like(tmp_path, done):
    like = experiment(tmp_path, "before")
    other = experiment(tmp_path, "other", run="VDN")
    for each in (like, other):
        each.path.mkdir()
        (each.path / RECORD).write_text(yaml.safe_dump(each.to_mapping()))
    done["before"] = [earlier(1000, finished=True, seconds=100.0)]
    done["other"] = [earlier(1000, finished=True, seconds=1.0)]
    (planned,) = [plan._plan(experiment(tmp_path))]
    assert planned.speed == 10.0 and planned.seconds_left == 600.0


def test_all_is_done_or_another_criterion_ends_it(tmp_path, done):
    done["study"] = [earlier(500, finished=True)] * 6
    assert plan._plan(experiment(tmp_path)).seconds_left == 0.0
    by_iterations = experiment(
        tmp_path, "other", stop={"training_iteration": 5, "test_return": 7.5}
    )
    assert math.isnan(plan._plan(by_iterations).steps_left)
    assert "to training_iteration 5 or test_return 7.5 ->" in plan._plan(by_iterations).line()
