"""What Tune would keep in the memory of a run's driver for as long as the run lasts."""

from __future__ import annotations

from typing import Any


def forget_finished(tune_controller: Any) -> None:
    """Drop each running trial's finished calls, with the results that they hold.

    Tune's actor manager notes every call and forgets none before the trial ends: the driver grew
    by every result.

    Args:
        tune_controller: Tune's, as a scheduler is given it.
    """
    manager = tune_controller._actor_manager
    waiting = manager._actor_task_events.get_futures()
    for futures in manager._tracked_actors_to_task_futures.values():
        futures.intersection_update(waiting)
