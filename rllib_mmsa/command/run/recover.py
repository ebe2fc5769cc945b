"""A run goes on from what a kill, a full disk or a power cut left of it."""

from __future__ import annotations

from ray import tune
from ray.tune import Callback

from rllib_mmsa.command.run.announce import AnnounceStop
from rllib_mmsa.command.run.logs import CsvLog, JsonLog


def callbacks() -> list[Callback]:
    """What a run has, whichever version began it; after `RewindLogs`, before Tune's own."""
    return [AnnounceStop(), JsonLog(), CsvLog()]


def renew(tuner: tune.Tuner) -> None:
    """Give a restored run the callbacks that an earlier version did not start it with."""
    config = tuner._local_tuner.get_run_config()
    there = {type(callback) for callback in config.callbacks}
    config.callbacks += [each for each in callbacks() if type(each) not in there]
