"""Asks the env runners for episodes: at once, or for the next round while the learner works."""

from __future__ import annotations

from typing import Any

import tree
from ray.rllib.env.env_runner_group import EnvRunnerGroup
from ray.rllib.execution.rollout_ops import synchronous_parallel_sample

from rllib_mmsa.rllib.batch import TeamEpisode

#: Finished episodes, and the metrics of the runners that played them.
Collected = tuple[list[TeamEpisode], list[Any]]

_TAG = "overlapped_sampling"


class EpisodeCollector:
    """One round of episodes from every runner.

    Args:
        group: the training's runners.
        overlap: whether ``request`` has them play ahead.
        timeout_s: seconds after which a runner counts as lost.
    """

    def __init__(self, group: EnvRunnerGroup, overlap: bool, timeout_s: float | None):
        self._group, self._overlap, self._timeout_s = group, overlap, timeout_s
        self._waiting: Collected | None = None  # fetched for a checkpoint, not handed out yet

    def collect(self) -> Collected:
        """The round that was requested last, or one that is played now."""
        if not self._overlap:
            return synchronous_parallel_sample(
                worker_set=self._group,
                concat=True,
                sample_timeout_s=self._timeout_s,
                _uses_new_env_runners=True,
                _return_metrics=True,
            )
        if self._waiting is None and not self._group.num_in_flight_async_reqs(_TAG):
            self.request()
        collected, self._waiting = self._fetch(), None
        return collected

    def request(self) -> None:
        """Has the runners play the next round, with the weights they have, and does not wait."""
        if self._overlap:
            self._group.foreach_env_runner_async(
                lambda runner: (runner.sample(), runner.get_metrics()), tag=_TAG
            )

    def _fetch(self) -> Collected:
        if self._waiting is not None:
            return self._waiting
        results = self._group.fetch_ready_async_reqs(tags=_TAG, timeout_seconds=self._timeout_s)
        # By runner, not by who was first: a seed then repeats a run.
        rounds = [result for _, result in sorted(results, key=lambda result: result[0])]
        return tree.flatten([episodes for episodes, _ in rounds]), [m for _, m in rounds]

    def wait(self) -> None:
        """Waits for the round in flight, if there is one; ``collect`` will hand it out."""
        if self._overlap and (self._waiting or self._group.num_in_flight_async_reqs(_TAG)):
            self._waiting = self._fetch()

    def get_state(self) -> Collected | None:
        """The round in flight, which the runners' own states already count as played."""
        self.wait()
        return self._waiting

    def set_state(self, state: Collected | None) -> None:
        """Restores what ``get_state`` returned, in place of whatever is in flight."""
        if self._overlap and self._group.num_in_flight_async_reqs(_TAG):
            self._fetch()
        self._waiting = state
