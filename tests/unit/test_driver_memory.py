"""The driver of a long run keeps no finished result."""

from __future__ import annotations

from ray import tune

from rllib_mmsa.command.run.interrupt import PausingScheduler

TRACKED: list[int] = []


class Watched(PausingScheduler):
    """Notes how many calls Tune's actor manager remembers."""

    def on_trial_result(self, tune_controller, trial, result):
        decision = super().on_trial_result(tune_controller, trial, result)
        futures = tune_controller._actor_manager._tracked_actors_to_task_futures.values()
        TRACKED.append(sum(len(each) for each in futures))
        return decision


def test_finished_calls_are_forgotten(ray_session, results_dir):
    TRACKED.clear()

    class Counting(tune.Trainable):
        """Ends after 40 results; defined here, so that a worker need not import this file."""

        def step(self):
            return {"done": self.iteration >= 39}

        def save_checkpoint(self, checkpoint_dir):
            return None

        def load_checkpoint(self, checkpoint):
            return None

    tune.Tuner(
        Counting,
        tune_config=tune.TuneConfig(scheduler=Watched()),
        run_config=tune.RunConfig(storage_path=str(results_dir), verbose=0),
    ).fit()
    assert len(TRACKED) >= 39
    assert max(TRACKED) <= 2
