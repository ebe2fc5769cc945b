"""What all algorithms of this project do alike, whatever they learn: tests, ends, checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    EVALUATION_RESULTS,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    SYNCH_WORKER_WEIGHTS_TIMER,
    TIMERS,
)
from ray.tune.result import TIMESTEPS_TOTAL

from rllib_mmsa.rllib import metrics as keys
from rllib_mmsa.rllib import stop
from rllib_mmsa.rllib.collect import evaluate
from rllib_mmsa.rllib.instead import instead
from rllib_mmsa.rllib.latest_test import Ending, LatestTest
from rllib_mmsa.rllib.learners import deaths_told
from rllib_mmsa.rllib.runner_group import RunnerGroup
from rllib_mmsa.rllib.saved import Saved
from rllib_mmsa.rllib.team import TeamAccess
from rllib_mmsa.rllib.team_config import TeamConfig
from rllib_mmsa.rllib.version import version


class TeamAlgorithm(TeamAccess, Saved):
    """RLlib's iteration with tests at fixed env steps, for one module of all agents.

    A subclass sets up what it needs in ``_set_up_own`` and has a ``training_step``.
    """

    config: TeamConfig
    #: How the updates are computed; "" where there is no choice.
    _engine = ""

    def setup(self, config: TeamConfig) -> None:
        with instead("EnvRunnerGroup", RunnerGroup):
            super().setup(config)
        self._set_up_once()  # Ray's class in an older checkpoint knows only RLlib's _set_up_metrics

    def _set_up_metrics(self) -> None:
        """RLlib's last step before the callback on_algorithm_init, which may restore a state."""
        super()._set_up_metrics()
        self._set_up_once()

    def _set_up_once(self) -> None:
        """What a state is restored into."""
        if "latest_test" in vars(self):
            return
        self._evaluations_done = -1  # whole intervals passed at the last evaluation
        self.latest_test = LatestTest()
        self.ending = Ending()
        self._env_backend = self._find_env_backend()
        self._meaning = self._find_meaning()
        self._version = version()
        self._set_up_own()

    def _set_up_own(self) -> None:
        """What a subclass needs besides."""

    def _send_weights(self) -> None:
        with self.metrics.log_time((TIMERS, SYNCH_WORKER_WEIGHTS_TIMER)):
            self.env_runner_group.sync_weights(
                from_worker_or_learner_group=self.learner_group, inference_only=True
            )

    @property
    def num_env_steps_sampled(self) -> int:
        """Environment steps sampled for training by all runners together."""
        return int(
            self.metrics.peek((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME), default=0)
        )

    # Evaluation at a fixed interval of environment steps.

    @classmethod
    def _should_create_evaluation_env_runners(cls, eval_config: TeamConfig) -> bool:
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
        if self._engine:
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
