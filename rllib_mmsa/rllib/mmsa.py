"""MMSA: model-based multi-agent RL with joint state-action learned embeddings.

Wang and Meger, "Multi-Agent Model-Based Reinforcement Learning with Joint State-Action Learned
Embeddings", AAMAS 2026. Equations, tables and figures named here are the paper's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ray.rllib.core import COMPONENT_LEARNER, COMPONENT_RL_MODULE

from rllib_mmsa.method.foresight import foresee
from rllib_mmsa.method.settings import MMSASettings
from rllib_mmsa.rllib.algorithm import QLearning
from rllib_mmsa.rllib.batch import TeamEpisode, Window, to_train_batch
from rllib_mmsa.rllib.config import QLearningConfig
from rllib_mmsa.rllib.learner import MMSALearner
from rllib_mmsa.rllib.metrics import IMAGINED_PNG
from rllib_mmsa.rllib.module import MMSAModule
from rllib_mmsa.rllib.pictures import painter, sheet, spread_steps, to_png
from rllib_mmsa.rllib.presets import PAPER
from rllib_mmsa.rllib.runner import EpisodeRunner
from rllib_mmsa.rllib.training_options import MMSATrainingOptions, shown

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack


UNTRAINED = "there is no world model that learns (use_world_model, mixer_reads)"


class MMSAConfig(QLearningConfig):
    """The shared settings and MMSA's (``MMSASettings``).

    ``preset: paper`` sets the equations and weights as section 4 prints them.
    """

    learner_class = MMSALearner
    module_class = MMSAModule
    settings_class = MMSASettings
    presets = {**QLearningConfig.presets, "paper": PAPER}

    def __init__(self, algo_class: type | None = None):
        super().__init__(algo_class=algo_class or MMSA)

    @property
    def has_world_model(self) -> bool:
        """Whether there is a world model: the ablation No-WM and one control have none."""
        given = {"use_world_model": self.use_world_model, "mixer_reads": self.mixer_reads}
        return MMSASettings(**given).has_model

    def training(self, **options: Unpack[MMSATrainingOptions]) -> Self:  # type: ignore[override]
        """Sets the training settings.

        Args:
            **options: attributes of ``MMSASettings``, and all that ``QLearningConfig.training``
                takes.
        """
        return super().training(**options)

    def validate(self) -> None:
        """Checks the settings.

        Raises:
            ValueError: with the value, the rule and the remedy.
        """
        super().validate()
        self._require(
            "imagine_interval_env_steps",
            self.imagine_interval_env_steps is None or self.has_world_model,
            "None without a world model (use_world_model, mixer_reads)",
        )
        self._require(
            "mixer_reads",
            self.mixer_reads == "rollout" or self.use_world_model,
            "'rollout' with use_world_model: false, where the mixer reads the state alone",
        )
        self._require_uses()
        share = self.model_batch_share
        self._require(
            "model_batch_share",
            abs(1 / share - round(1 / share)) < 1e-6,
            "1, or one half, a third, a quarter ... (1.0, 0.5, 0.25)",
        )
        every = self.num_learners * round(1 / share)
        self._require(
            "train_batch_episodes",
            self.num_learners < 2 or self.train_batch_episodes % every == 0,
            f"a multiple of {every} with num_learners: {self.num_learners} and model_batch_share: "
            f"{share}, so that all learners draw what one would",
        )
        self._require(
            "mixer",
            self.mixer in ("qmix", "qplex") or not self.use_world_model or self.value_expansion,
            "'qmix' or 'qplex' with a world model, whose roll-out no other mixer reads; without "
            "one, use_world_model: false",
        )
        if not self.use_world_model and not self.use_global_state:
            raise ValueError(
                "use_world_model and use_global_state are both False: the mixer would see "
                "nothing; keep one of them"
            )

    def _require_uses(self) -> None:
        """Checks what more of the world model is asked for (method/uses.py)."""
        reads = self.has_world_model and self.mixer_reads == "rollout"
        for name, off in (("num_models", 1), ("gate_rollout", False), ("model_updates", 1)):
            self._require(name, reads or getattr(self, name) == off, f"{off}: {UNTRAINED}")
        depth, horizon = self.value_expansion, self.rollout_horizon
        self._require("value_expansion", reads or depth == 0, f"0: {UNTRAINED}")
        self._require("value_expansion", depth <= horizon, f"rollout_horizon ({horizon}) at most")
        heads = self.mixer is not None and self.reward_weight and self.end_weight
        rule = "0 without a mixer, or where reward_weight or end_weight is 0"
        self._require("value_expansion", bool(heads) or depth == 0, rule)
        least = round(1 / self.model_batch_share)
        self._require(
            "model_updates",
            self.model_updates <= least and (self.model_updates == 1 or self.num_learners < 2),
            f"at most {least}, the parts of a batch that model_batch_share makes, and 1 with "
            "several learners",
        )


MMSAConfig.training.__signature__ = shown(MMSATrainingOptions, MMSAConfig(QLearning))


class MMSA(QLearning):
    """Q-learning with SALE agents and a world model whose roll-outs the mixer sees."""

    config: MMSAConfig

    @classmethod
    def get_default_config(cls) -> MMSAConfig:
        return MMSAConfig()

    def setup(self, config: MMSAConfig) -> None:
        super().setup(config)
        found = self.env_runner_group.foreach_env_runner(lambda runner: runner.observation_layout)
        layout = next((each for each in found if each), None)
        self.learner_group.foreach_learner(lambda learner: learner.know_layout(layout))

    def world_model_errors(self, num_episodes: int = 100) -> dict[str, float]:
        """Errors of the world model's predictions on episodes it has never seen.

        Plays greedy episodes that go into no replay, and predicts them open loop.

        Args:
            num_episodes: episodes to play.

        Returns:
            See ``quality.judge``; each error of k steps stands beside the error of "nothing
            changes", or is a share of it.

        Raises:
            ValueError: there is no world model.
        """
        if not self.config.has_world_model:
            raise ValueError("there is no world model to ask (use_world_model, mixer_reads)")
        episodes, _ = self._play_greedily(num_episodes)
        batch = to_train_batch([Window.whole(episode) for episode in episodes])
        [errors, *_] = self.learner_group.foreach_learner(
            lambda learner: learner.prediction_errors(batch)
        )
        return errors.get()

    def _play_greedily(self, num_episodes: int) -> tuple[list[TeamEpisode], Any]:
        """Episodes that go into no replay, and an environment, which knows how it is drawn."""
        # A runner of its own: neither training nor evaluation sees these episodes.
        config = self.config.get_evaluation_config_object().copy(copy_frozen=False)
        config.num_env_runners = 0
        config.evaluation_epsilon = 0.0
        config.num_envs_per_env_runner = min(config.num_envs_per_env_runner, num_episodes)
        runner = EpisodeRunner(config=config, worker_index=0)
        weights = self.learner_group.get_state(
            components=f"{COMPONENT_LEARNER}/{COMPONENT_RL_MODULE}", inference_only=True
        )[COMPONENT_LEARNER]
        runner.module.set_state(weights[COMPONENT_RL_MODULE])
        episodes = runner.sample(num_episodes=num_episodes, explore=False)
        env = runner.env.envs[0]
        runner.stop()
        return episodes, env

    def imagined_picture(self) -> np.ndarray:
        """What the world model foresees in a new greedy episode, under what happens.

        Returns:
            (height, width, 3) uint8: three steps of the episode, two rows each, the present and
            ``rollout_horizon`` steps ahead to the right.
        """
        [episode], env = self._play_greedily(1)
        horizon = self.config.rollout_horizon
        [foresight, *_] = self.learner_group.foreach_learner(
            lambda learner: foresee(learner.team_module, episode, horizon)
        )
        paint, _ = painter(env, episode.obs)
        return sheet(foresight.get(), spread_steps(len(episode)), paint)

    def _run_one_training_iteration(self) -> tuple[dict, Any]:
        """The shared one; at intervals a picture of what was imagined goes with its result."""
        before = self.num_env_steps_sampled
        results, context = super()._run_one_training_iteration()
        interval = self.config.imagine_interval_env_steps
        if interval and self.num_env_steps_sampled // interval > before // interval:
            results[IMAGINED_PNG] = to_png(self.imagined_picture())
        return results, context
