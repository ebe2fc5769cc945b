"""The training step shared by MMSA, QMIX, VDN and independent Q-learning."""

from __future__ import annotations

import logging

import psutil
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    ENV_RUNNER_SAMPLING_TIMER,
    LEARNER_RESULTS,
    LEARNER_UPDATE_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_EPISODES_LIFETIME,
    REPLAY_BUFFER_SAMPLE_TIMER,
    TIMERS,
)

from rllib_mmsa.rllib import metrics as keys
from rllib_mmsa.rllib import stop
from rllib_mmsa.rllib.batch import TeamEpisode, to_train_batch
from rllib_mmsa.rllib.collect import EpisodeCollector
from rllib_mmsa.rllib.config import QLearningConfig
from rllib_mmsa.rllib.exploration import epsilon_at
from rllib_mmsa.rllib.replay import EpisodeReplay
from rllib_mmsa.rllib.saved import SavedReplay
from rllib_mmsa.rllib.team_algorithm import TeamAlgorithm

logger = logging.getLogger(__name__)


class QLearning(SavedReplay, TeamAlgorithm):
    """Collect whole episodes, store them, learn from some, send the agents' weights back."""

    config: QLearningConfig

    @classmethod
    def get_default_config(cls) -> QLearningConfig:
        return QLearningConfig()

    def _set_up_own(self) -> None:
        """The replay and what fills it."""
        self.replay = EpisodeReplay(
            self.config.replay_capacity_episodes,
            self.config.seed,
            self.config.max_seq_len,
            self.config.replay_burn_in,
            self.config.replay_capacity_bytes,
        )
        self._memory_checked = False
        self._episodes_not_restored = 0  # collected before a checkpoint without the replay
        self.collector = EpisodeCollector(
            self.env_runner_group, self.config.overlap_sampling, self.config.sample_timeout_s
        )
        self._updates_owed = 0.0
        self._unreported_updates = False
        self._reported_at = 0  # env steps sampled when the learners last handed over their log
        self._engine = self._find_engine()

    def training_step(self) -> None:
        """One round: episodes, then the updates they are worth.

        The runners get the new weights at the end, or, with ``overlap_sampling``, at the
        beginning of the next round, whose episodes were then played with weights that miss this
        round's updates.
        """
        try:
            with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)):
                episodes, results = self.collector.collect()
        except stop.StopRequested:
            return  # the round is played after the run has resumed
        if self.config.overlap_sampling:
            self._send_weights()
            self.collector.request()
        self.metrics.aggregate(results, key=ENV_RUNNER_RESULTS)
        self.replay.add(episodes)
        self._check_memory()
        self._log_progress()
        if self._learn_from(episodes) and not self.config.overlap_sampling:
            self._send_weights()
        self._report_updates()

    def _check_memory(self) -> None:
        """Warns, once, where a full replay will not fit beside everything else."""
        if self._memory_checked or len(self.replay) < self.config.learning_starts_episodes:
            return
        self._memory_checked = True
        to_come = self.replay.nbytes_when_full - self.replay.nbytes
        free = psutil.virtual_memory().available
        if to_come > 0.8 * free:
            logger.warning(
                "the replay will grow by %.1f GB until it is full (replay_capacity_episodes=%d), "
                "and this machine has %.1f GB free; lower replay_capacity_episodes or set "
                "replay_capacity_bytes",
                to_come / 1e9,
                self.config.replay_capacity_episodes,
                free / 1e9,
            )

    def _learn_from(self, episodes: list[TeamEpisode]) -> int:
        """The updates that newly collected episodes are worth; how many were made."""
        if self.replay.num_episodes_added < self.config.learning_starts_episodes:
            return 0
        worth = sum(self.replay.worth(episode) for episode in episodes)
        self._updates_owed += self.config.updates_per_episode * worth
        if not self.replay.can_draw(self.config.train_batch_episodes):
            if len(self.replay) < self.replay.num_episodes_added - self._episodes_not_restored:
                raise ValueError(
                    f"replay_capacity_bytes is {self.config.replay_capacity_bytes}, which holds "
                    f"{len(self.replay)} episodes; an update draws train_batch_episodes = "
                    f"{self.config.train_batch_episodes}: raise the one or lower the other"
                )
            return 0
        updates = int(self._updates_owed)
        for _ in range(updates):
            self._updates_owed -= 1
            self._update()
        return updates

    def _report_updates(self) -> None:
        """Takes over what the learners logged, in rounds that may be an iteration's last.

        It takes some milliseconds, as much as sampling an episode may.
        """
        due = self._reported_at + (self.config.min_sample_timesteps_per_iteration or 0)
        if not self._unreported_updates or self.num_env_steps_sampled < due:
            return
        self._unreported_updates = False
        self._reported_at = self.num_env_steps_sampled
        logged = self.learner_group.foreach_learner(lambda learner: learner.metrics.reduce())
        self.metrics.aggregate([each.get() for each in logged], key=LEARNER_RESULTS)

    def _update(self) -> None:
        """One gradient update on episodes, or sequences of them, drawn from the replay.

        What it logs stays with the learners (``_report_updates``).
        """
        with self.metrics.log_time((TIMERS, REPLAY_BUFFER_SAMPLE_TIMER)):
            batch = to_train_batch(
                self.replay.sample(self.config.train_batch_episodes), self._reward_scale()
            )
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            self.learner_group.update(
                batch=batch,
                timesteps={
                    NUM_ENV_STEPS_SAMPLED_LIFETIME: self.num_env_steps_sampled,
                    NUM_EPISODES_LIFETIME: self.replay.num_episodes_added,
                },
                _no_metrics_reduce=True,
            )
        self._unreported_updates = True

    def _reward_scale(self) -> float:
        return 1.0 / self.replay.reward_deviation if self.config.standardise_rewards else 1.0

    def _log_progress(self) -> None:
        epsilon = epsilon_at(self.config.epsilon, self.num_env_steps_sampled)
        self.metrics.log_value((ENV_RUNNER_RESULTS, keys.EPSILON), epsilon, window=1)
        stored = {
            keys.REPLAY_NUM_EPISODES: len(self.replay),
            keys.REPLAY_NUM_ENV_STEPS: self.replay.num_env_steps,
            keys.REPLAY_NBYTES: self.replay.nbytes,
        }
        self.metrics.log_dict(stored, key=keys.REPLAY, window=1)
