"""Asks the env runners for episodes: at once, or for the next round while the learner works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.rllib.utils.metrics import NUM_EPISODES

from rllib_mmsa.rllib import stop
from rllib_mmsa.rllib.batch import TeamEpisode
from rllib_mmsa.rllib.runner_group import RunnerGroup

#: Finished episodes, and the metrics of the runners that played them.
Collected = tuple[list[TeamEpisode], list[Any]]


def _play_round(runner: Any) -> tuple[list[TeamEpisode], Any]:
    return runner.sample(), runner.get_metrics()


class EpisodeCollector:
    """One round of episodes from every runner.

    Args:
        group: the training's runners.
        overlap: whether ``request`` has them play ahead.
        timeout_s: seconds without a step after which a runner counts as hanging; None: never.
    """

    def __init__(self, group: RunnerGroup, overlap: bool, timeout_s: float | None):
        self._group, self._overlap, self._timeout_s = group, overlap, timeout_s
        self._waiting: Collected | None = None  # fetched for a checkpoint, not handed out yet

    def collect(self) -> Collected:
        """The round that was requested last, or one that is played now; without failed runners.

        Raises:
            Exception: as ``RunnerGroup.fetch``.
        """
        if not self._group.num_remote_env_runners():
            episodes, metrics = _play_round(self._group.local_env_runner)
            return episodes, [metrics]
        if self._waiting is None and not self._group.is_playing:
            self._group.request(_play_round)
        collected, self._waiting = self._fetch(), None
        return collected

    def request(self) -> None:
        """Has the runners play the next round, with the weights they have, and does not wait."""
        if self._overlap:
            self._group.request(_play_round)

    def _fetch(self) -> Collected:
        if self._waiting is not None:
            return self._waiting
        # By runner, not by who was first: a seed then repeats a run.
        rounds = [result for _, result in self._group.fetch(self._timeout_s)]
        return [each for episodes, _ in rounds for each in episodes], [m for _, m in rounds]

    def wait(self) -> None:
        """Waits for the round in flight, if there is one; ``collect`` will hand it out."""
        if self._overlap and (self._waiting or self._group.is_playing):
            try:
                self._waiting = self._fetch()
            except stop.StopRequested:
                self._waiting = None  # it takes too long for a run that was asked to stop

    def get_state(self) -> Collected | None:
        """The round in flight, which the runners' own states already count as played."""
        self.wait()
        return self._waiting

    def set_state(self, state: Collected | None) -> None:
        """Restores what ``get_state`` returned, in place of whatever is in flight."""
        if self._overlap and self._group.is_playing:
            self._fetch()
        self._waiting = state


def evaluate(
    group: RunnerGroup,
    amount: int,
    in_episodes: bool,
    timeout_s: float | None,
    restore: Callable[[], Any],
) -> tuple[list[Any], int, int]:
    """Plays an evaluation on remote runners; what a failed one owes is played by the others.

    Args:
        group: the evaluation's runners, which have the weights already.
        amount: episodes, or env steps.
        in_episodes: which of the two.
        timeout_s: seconds without a step after which a runner counts as hanging; None: never.
        restore: brings failed runners back, as far as they are.

    Returns:
        The runners' metrics, env steps, agent steps.

    Raises:
        Exception: as ``RunnerGroup.fetch``.
    """
    metrics, env_steps, agent_steps, done = [], 0, 0, 0
    while done < amount:
        restore()
        healthy = group.healthy_env_runner_ids()
        share, rest = divmod(amount - done, max(1, len(healthy)))
        shares = {runner: share + (place < rest) for place, runner in enumerate(healthy)}
        asked = [runner for runner in healthy if shares[runner]]
        group.request(_PlayShare(shares, in_episodes), asked)
        for _, (found, steps, of_agents) in group.fetch(timeout_s):
            metrics.append(found)
            env_steps, agent_steps = env_steps + steps, agent_steps + of_agents
            done += int(found[NUM_EPISODES].peek()) if in_episodes else steps
    return metrics, env_steps, agent_steps


class _PlayShare:
    """Plays a runner's share of an evaluation: its metrics, env steps and agent steps."""

    def __init__(self, shares: dict[int, int], in_episodes: bool):
        self._shares, self._unit = shares, "num_episodes" if in_episodes else "num_timesteps"

    def __call__(self, runner: Any) -> tuple[Any, int, int]:
        episodes = runner.sample(**{self._unit: self._shares[runner.worker_index]})
        steps = sum(episode.env_steps() for episode in episodes)
        return runner.get_metrics(), steps, sum(each.agent_steps() for each in episodes)
