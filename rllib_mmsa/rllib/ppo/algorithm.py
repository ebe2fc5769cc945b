"""MAPPO and IPPO: RLlib's PPO on whole episodes of a team."""

from __future__ import annotations

import math
from typing import Any

from ray.rllib.algorithms.ppo.ppo import PPO
from ray.rllib.core.learner.learner import Learner
from ray.rllib.utils.metrics import (
    ALL_MODULES,
    ENV_RUNNER_RESULTS,
    ENV_RUNNER_SAMPLING_TIMER,
    LEARNER_RESULTS,
    LEARNER_UPDATE_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_MODULE_STEPS_TRAINED_LIFETIME,
    TIMERS,
)

from env_registry.contract import TEAM
from rllib_mmsa.rllib import stop
from rllib_mmsa.rllib.collect import EpisodeCollector
from rllib_mmsa.rllib.ppo.config import IPPOConfig, MAPPOConfig, PolicyConfig
from rllib_mmsa.rllib.ppo.episodes import ActedEpisode, to_rllib
from rllib_mmsa.rllib.team_algorithm import TeamAlgorithm


class TeamPPO(TeamAlgorithm, PPO):
    """Collect a batch of whole episodes, learn from it by RLlib's PPO, send the policy back."""

    config: PolicyConfig

    def _set_up_own(self) -> None:
        """What asks the runners for episodes."""
        self.collector = EpisodeCollector(
            self.env_runner_group, overlap=False, timeout_s=self.config.sample_timeout_s
        )

    def training_step(self) -> None:
        """RLlib's PPO; the episodes are the team's, and of runners that are supervised."""
        try:
            with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)):
                episodes, results = self.collector.collect()
        except stop.StopRequested:
            return  # the round is played after the run has resumed
        self.metrics.aggregate(results, key=ENV_RUNNER_RESULTS)
        if not episodes:
            return
        trained = (LEARNER_RESULTS, ALL_MODULES, NUM_MODULE_STEPS_TRAINED_LIFETIME)
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            learned = self.learner_group.update(
                episodes=[to_rllib(each, self.config.bootstrap_truncated) for each in episodes],
                timesteps={
                    NUM_ENV_STEPS_SAMPLED_LIFETIME: self.num_env_steps_sampled,
                    NUM_MODULE_STEPS_TRAINED_LIFETIME: self.metrics.peek(trained, default=0),
                },
                num_epochs=self.config.num_epochs,
                **self._minibatches(episodes),
            )
            self.metrics.aggregate(learned, key=LEARNER_RESULTS)
        self._end_if_diverged()
        self._send_weights()

    def _minibatches(self, episodes: list[ActedEpisode]) -> dict[str, Any]:
        """How RLlib cuts a batch: not at all where no ``minibatch_size`` is set.

        RLlib itself would then take as many rows as there are env steps. A batch has a row for each
        agent's step, and one for the value after each agent's last.
        """
        size = self.config.minibatch_size
        if size is not None:
            shuffle = self.config.shuffle_batch_per_epoch
            return {"minibatch_size": size, "shuffle_batch_per_epoch": shuffle}
        rows = sum((len(each) + 1) * each.actions.shape[1] for each in episodes)
        shared = -(-rows // max(1, self.config.num_learners))
        return {"minibatch_size": shared, "shuffle_batch_per_epoch": False}

    def _end_if_diverged(self) -> None:
        """Ends the run while its last checkpoint is still good.

        Raises:
            RuntimeError: the loss is not finite.
        """
        loss = self.metrics.peek((LEARNER_RESULTS, TEAM, Learner.TOTAL_LOSS_KEY), default=0.0)
        if not math.isfinite(loss):
            raise RuntimeError(
                f"training has diverged: the loss is {loss:g}. Lower lr ({self.config.lr}) or "
                f"set grad_clip ({self.config.grad_clip}; the default is 10)"
            )


class MAPPO(TeamPPO):
    """Multi-agent PPO: one policy for all agents, and a critic that sees the global state."""

    @classmethod
    def get_default_config(cls) -> MAPPOConfig:
        return MAPPOConfig()


class IPPO(TeamPPO):
    """Independent PPO: one policy for all agents, and a critic that sees what the agent sees."""

    @classmethod
    def get_default_config(cls) -> IPPOConfig:
        return IPPOConfig()
