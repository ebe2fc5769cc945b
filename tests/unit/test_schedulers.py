"""Schedulers under Ctrl-C and kills, without a Ray that runs."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import pytest

from rllib_mmsa.command.experiment.search import ENV_STEPS, TEST_RETURN, check_scheduler
from rllib_mmsa.command.run import interrupt, schedulers

ASHA = check_scheduler(
    {"type": "asha", "max_t": 100, "grace_period": 10, "reduction_factor": 2}, "x", {}
)


def trial(number: int) -> SimpleNamespace:
    return SimpleNamespace(trial_id=f"t{number}", status="RUNNING")


def result(value: float, steps: int = 10) -> dict:
    return {ENV_STEPS: steps, TEST_RETURN: value}


class Controller:
    """What the schedulers ask of Tune's."""

    def __init__(self) -> None:
        self.saved: list[dict] = []
        events = SimpleNamespace(get_futures=set)
        self._actor_manager = SimpleNamespace(
            _actor_task_events=events, _tracked_actors_to_task_futures={}
        )

    def checkpoint(self, **how: bool) -> None:
        self.saved.append(how)

    def get_trials(self) -> list:
        return []

    @property
    def trial_executor(self):
        return SimpleNamespace(has_resources_for_trial=lambda _: True)


def test_what_successive_halving_has_seen_outlives_a_kill():
    before = schedulers.build(ASHA)
    for number, value in enumerate((0.2, 0.8)):
        before.on_trial_add(None, trial(number))
        before.on_trial_result(Controller(), trial(number), result(value))
    # Tune pickles the state with the experiment's, and the scheduler anew.
    state = pickle.loads(pickle.dumps(schedulers.KeepRungs(before).get_state()))
    after = pickle.loads(pickle.dumps(schedulers.build(ASHA)))
    after.on_trial_add(None, trial(2))
    assert after.on_trial_result(Controller(), trial(2), result(0.3)) == "CONTINUE", (
        "nothing to compare"
    )
    after = pickle.loads(pickle.dumps(schedulers.build(ASHA)))
    schedulers.KeepRungs(after).set_state(state)
    after.on_trial_add(None, trial(2))
    assert after.on_trial_result(Controller(), trial(2), result(0.3)) == "STOP"
    assert schedulers.KeepRungs(schedulers.build({})).get_state() is None


def test_a_scheduler_of_an_older_version_compares_the_latest_test():
    older = schedulers.build(ASHA)
    older._metric = "evaluation/env_runners/episode_return_mean"
    assert pickle.loads(pickle.dumps(older)).metric == TEST_RETURN


def test_results_without_an_evaluation_decide_nothing():
    scheduler = schedulers.build(ASHA)
    scheduler.on_trial_add(None, trial(0))
    assert scheduler.on_trial_result(Controller(), trial(0), {ENV_STEPS: 50}) == "CONTINUE"


@pytest.mark.parametrize("settings", [{}, ASHA], ids=["fifo", "asha"])
def test_each_end_is_saved_once(settings):
    scheduler, controller = schedulers.build(settings), Controller()
    scheduler.on_trial_add(controller, trial(0))
    scheduler.choose_trial_to_run(controller)
    assert not controller.saved
    scheduler.on_trial_complete(controller, trial(0), result(0.5))
    scheduler.choose_trial_to_run(controller)
    scheduler.choose_trial_to_run(controller)
    assert controller.saved == [{"force": True, "wait": True}]


@pytest.mark.parametrize("settings", [{}, ASHA], ids=["fifo", "asha"])
def test_the_flag_pauses_what_runs(settings):
    scheduler = schedulers.build(settings)
    scheduler.on_trial_add(None, trial(0))
    interrupt.requested.set()
    try:
        assert scheduler.on_trial_result(Controller(), trial(0), result(0.5)) == "PAUSE"
        assert scheduler.choose_trial_to_run(Controller()) is None
    finally:
        interrupt.requested.clear()
