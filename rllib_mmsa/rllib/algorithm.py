"""The training step shared by MMSA, QMIX, VDN and independent Q-learning."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import psutil
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    ENV_RUNNER_SAMPLING_TIMER,
    EVALUATION_RESULTS,
    LEARNER_RESULTS,
    LEARNER_UPDATE_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_EPISODES_LIFETIME,
    REPLAY_BUFFER_SAMPLE_TIMER,
    SYNCH_WORKER_WEIGHTS_TIMER,
    TIMERS,
)
from ray.tune.result import TIMESTEPS_TOTAL

from rllib_mmsa.rllib import metrics as keys
from rllib_mmsa.rllib import stop
from rllib_mmsa.rllib.batch import TeamEpisode, to_train_batch
from rllib_mmsa.rllib.collect import EpisodeCollector, evaluate
from rllib_mmsa.rllib.config import QLearningConfig
from rllib_mmsa.rllib.exploration import epsilon_at
from rllib_mmsa.rllib.instead import instead
from rllib_mmsa.rllib.latest_test import Ending, LatestTest
from rllib_mmsa.rllib.learners import deaths_told
from rllib_mmsa.rllib.replay import EpisodeReplay
from rllib_mmsa.rllib.runner_group import RunnerGroup
from rllib_mmsa.rllib.saved import Saved
from rllib_mmsa.rllib.team import TeamAccess
from rllib_mmsa.rllib.version import version

logger = logging.getLogger(__name__)


class QLearning(TeamAccess, Saved):
    """Collect whole episodes, store them, learn from some, send the agents' weights back."""

    config: QLearningConfig

    @classmethod
    def get_default_config(cls) -> QLearningConfig:
        return QLearningConfig()

    def setup(self, config: QLearningConfig) -> None:
        with instead("EnvRunnerGroup", RunnerGroup):
            super().setup(config)
        self._set_up_own()  # Ray's class in an older checkpoint knows only RLlib's _set_up_metrics

    def _set_up_metrics(self) -> None:
        """RLlib's last step before the callback on_algorithm_init, which may restore a state."""
        super()._set_up_metrics()
        self._set_up_own()

    def _set_up_own(self) -> None:
        """What a state is restored into, once."""
        if "replay" in vars(self):
            return
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
        self._evaluations_done = -1  # whole intervals passed at the last evaluation
        self.latest_test = LatestTest()
        self.ending = Ending()
        self._env_backend = self._find_env_backend()
        self._engine = self._find_engine()
        self._meaning = self._find_meaning()
        self._version = version()

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

    def _send_weights(self) -> None:
        with self.metrics.log_time((TIMERS, SYNCH_WORKER_WEIGHTS_TIMER)):
            self.env_runner_group.sync_weights(
                from_worker_or_learner_group=self.learner_group, inference_only=True
            )

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

    @property
    def num_env_steps_sampled(self) -> int:
        """Environment steps sampled for training by all runners together."""
        return int(
            self.metrics.peek((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME), default=0)
        )

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

    # Evaluation at a fixed interval of environment steps.

    @classmethod
    def _should_create_evaluation_env_runners(cls, eval_config: QLearningConfig) -> bool:
        return bool(
            eval_config.evaluation_interval_env_steps
        ) or super()._should_create_evaluation_env_runners(eval_config)

    def _run_one_training_iteration(self) -> tuple[dict, Any]:
        """RLlib's, followed by an evaluation when enough environment steps have passed."""
        stoppable = instead("TrainIterCtx", stop.StoppableIteration)
        with self.ending.cut_short(self), stoppable:
            results, context = super()._run_one_training_iteration()
        # Results of different versions or games must not be mixed.
        results[keys.VERSION] = self._version
        results[keys.ENGINE] = self._engine
        if self._env_backend:
            results[keys.ENV_BACKEND] = self._env_backend
        groups = (group for group in (self.env_runner_group, self.eval_env_runner_group) if group)
        results[keys.NUM_ENV_RUNNER_RESTARTS] = sum(group.num_restarts for group in groups)
        evaluated = self._evaluations_done
        if not stop.listener.is_due() and self._evaluation_is_due(results):
            try:
                return {**results, **self._run_one_evaluation()}, context
            except stop.StopRequested:
                self._evaluations_done = evaluated  # evaluated after the run has resumed
        # The metrics logger would report the last evaluation again, as if it were new.
        results.pop(EVALUATION_RESULTS, None)
        return results, context

    def _evaluation_is_due(self, results: dict[str, Any]) -> bool:
        """At the first iteration, after each interval, and at the last one (``ending``)."""
        interval, rllibs = (
            self.config.evaluation_interval_env_steps,
            self.config.evaluation_interval,
        )
        if interval and self.num_env_steps_sampled // interval > self._evaluations_done:
            self._evaluations_done = self.num_env_steps_sampled // interval
            return True
        if not (interval or rllibs) or (rllibs and (self.iteration + 1) % rllibs == 0):
            return False  # never, or RLlib itself evaluates after this iteration
        return not self.latest_test.evaluated or self.ending.reached(self, results)

    def step(self) -> dict[str, Any]:
        """RLlib's iteration; every result has the latest evaluation."""
        with deaths_told(self.learner_group):
            results = super().step()
        self.latest_test.add_to(results, self.num_env_steps_sampled)
        results[TIMESTEPS_TOTAL] = self.num_env_steps_sampled  # TensorBoard's axis
        return results

    def announce_stop(self, criteria: Mapping[str, float]) -> None:
        """Says where training will be stopped: the last iteration ends there, with an evaluation.

        Args:
            criteria: result key, nested ones with "/" -> value, as Tune's ``stop``. Training does
                not stop by itself.
        """
        self.ending.stop = dict(criteria)

    def _maybe_wait_for_eval_env_runner_recovery(self) -> None:
        """Waits for a runner to evaluate on, or ends the run; an evaluation is not left out."""
        group = self.eval_env_runner_group
        while group and group.num_remote_env_runners() and not group.healthy_env_runner_ids():
            self.restore_env_runners(group)

    def _evaluate_with_fixed_duration(self) -> tuple[None, int, int, list]:
        """RLlib's, whose failed runners are restarted or end the run."""
        group = self.eval_env_runner_group
        metrics, env_steps, agent_steps = evaluate(
            group,
            self.config.evaluation_duration,
            self.config.evaluation_duration_unit == "episodes",
            self.config.evaluation_sample_timeout_s,
            lambda: self.restore_env_runners(group),
        )
        self.metrics.aggregate(metrics, key=(EVALUATION_RESULTS, ENV_RUNNER_RESULTS))
        return None, env_steps, agent_steps, []

    def restore_env_runners(self, env_runner_group: RunnerGroup) -> list[int]:
        """RLlib's; a restarted runner plays other episodes than the one in which it failed."""
        restored = super().restore_env_runners(env_runner_group)
        if restored:
            played = {"episodes_started": env_runner_group.num_restarts * 10**6}
            env_runner_group.foreach_env_runner(
                lambda runner: runner.set_state(played),
                remote_worker_ids=restored,
                local_env_runner=False,
            )
        return restored
