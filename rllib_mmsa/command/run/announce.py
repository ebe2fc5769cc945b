"""A trial is told where it will be stopped, so that it ends there, with a test."""

from __future__ import annotations

from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial


class AnnounceStop(Callback):
    """Tells each trial's algorithm its stop criteria (`QLearning.announce_stop`).

    Tune keeps them to itself. At each start, since those of a resumed run may be new.
    """

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Call the actor before it is told to train; RLlib's own algorithms know no such call."""
        actor = trial.temporary_state.ray_actor
        stop = trial.stopping_criterion
        if stop and hasattr(actor, "announce_stop"):
            actor.announce_stop.remote(stop)
