"""Configuration and training step shared by MMSA, QMIX, VDN and independent Q-learning."""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig, NotProvided
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.execution.rollout_ops import synchronous_parallel_sample
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

from env_registry.contract import TEAM
from rllib_mmsa.common import metrics as keys
from rllib_mmsa.common.batch import TeamEpisode, to_train_batch
from rllib_mmsa.common.env_runner import EpisodeRunner
from rllib_mmsa.common.exploration import epsilon_at
from rllib_mmsa.common.q_learner import QLearner
from rllib_mmsa.common.q_modules import QModule
from rllib_mmsa.common.replay import EpisodeReplay

MIXERS = ("qmix", "vdn", None)
OPTIMISERS = ("rmsprop", "adam")


def team_policy(agent_id: str, *args: Any, **kwargs: Any) -> str:
    """Maps the one (team) agent to the one module."""
    return TEAM


class QLearningConfig(AlgorithmConfig):
    """Settings that every algorithm of this project shares, with the paper's values (Table 6)."""

    learner_class = QLearner
    module_class = QModule
    #: Settings of the module, handed to it as its ``model_config``.
    module_settings: tuple[str, ...] = (
        "mixer",
        "mixing_embed_dim",
        "hypernet_embed_dim",
        "hidden_dim",
        "observe_agent_id",
        "observe_last_action",
        "double_q",
        "epsilon",
    )

    def __init__(self, algo_class: type | None = None):
        super().__init__(algo_class=algo_class or QLearning)
        # RLlib's own settings.
        self.gamma = 0.99
        self.lr = 1e-3
        self.grad_clip = 10.0
        self.grad_clip_by = "global_norm"
        self.num_env_runners = 0
        self.num_envs_per_env_runner = 8
        self.env_runner_cls = EpisodeRunner
        self.batch_mode = "complete_episodes"
        self.min_sample_timesteps_per_iteration = 1000  # env steps per reported iteration
        self.policies = {TEAM}
        self.policy_mapping_fn = team_policy
        self.explore = True
        self.evaluation_duration = 100  # episodes, Table 10
        self.evaluation_duration_unit = "episodes"
        self.add_default_connectors_to_env_to_module_pipeline = False
        self.add_default_connectors_to_module_to_env_pipeline = False
        self.add_default_connectors_to_learner_pipeline = False
        # RMSprop and the target networks.
        self.optim = "rmsprop"
        self.optim_alpha = 0.99
        self.optim_eps = 1e-5
        self.double_q = True
        self.target_update_episodes: int | None = 200
        self.target_network_update_freq: int | None = None  # env steps
        self.target_update_tau: float | None = None  # per gradient update
        # Networks.
        self.mixer: str | None = "qmix"
        self.mixing_embed_dim = 32
        self.hypernet_embed_dim = 64
        self.hidden_dim = 64
        self.observe_agent_id = True
        self.observe_last_action = True
        # Sampling and replay.
        self.epsilon: Any = [[0, 1.0], [50_000, 0.05]]  # env steps
        self.train_batch_episodes = 32
        self.replay_capacity_episodes = 5000
        self.learning_starts_episodes = 32
        self.updates_per_episode = 1.0
        self.standardise_rewards = True
        self.store_buffer_in_checkpoints = True
        self.evaluation_interval_env_steps: int | None = 50_000  # Table 10
        self.evaluation_num_envs = 10

    def training(
        self,
        *,
        optim: str = NotProvided,
        optim_alpha: float = NotProvided,
        optim_eps: float = NotProvided,
        double_q: bool = NotProvided,
        mixer: str | None = NotProvided,
        target_update_episodes: int | None = NotProvided,
        target_network_update_freq: int | None = NotProvided,
        target_update_tau: float | None = NotProvided,
        mixing_embed_dim: int = NotProvided,
        hypernet_embed_dim: int = NotProvided,
        hidden_dim: int = NotProvided,
        observe_agent_id: bool = NotProvided,
        observe_last_action: bool = NotProvided,
        epsilon: Any = NotProvided,
        train_batch_episodes: int = NotProvided,
        replay_capacity_episodes: int = NotProvided,
        learning_starts_episodes: int = NotProvided,
        updates_per_episode: float = NotProvided,
        standardise_rewards: bool = NotProvided,
        store_buffer_in_checkpoints: bool = NotProvided,
        **kwargs: Any,
    ) -> QLearningConfig:
        """Sets the training settings.

        Args:
            optim: "rmsprop" (PyTorch's, Table 6) or "adam".
            optim_alpha: RMSprop's smoothing constant.
            optim_eps: the optimiser's epsilon.
            double_q: actions of the target from the online network, values from the target
                network. False is the maximum as printed in section 4.4.
            mixer: "qmix", "vdn" or None (nothing is mixed).
            target_update_episodes: copy the networks to their targets every so many collected
                episodes (PyMARL's reading of Table 6's 200).
            target_network_update_freq: the same in environment steps (RLlib's old QMIX; the
                paper's wording). Set, it takes the place of ``target_update_episodes``.
            target_update_tau: move the targets by this share in every gradient update; takes
                the place of both.
            mixing_embed_dim: width of QMIX's mixing layer.
            hypernet_embed_dim: hidden width of QMIX's hypernetworks.
            hidden_dim: hidden size of the agents' GRU.
            observe_agent_id: give each agent its index as input.
            observe_last_action: give each agent its last action as input.
            epsilon: exploration, a number or [[env steps, value], ...].
            train_batch_episodes: whole episodes per gradient update.
            replay_capacity_episodes: whole episodes kept.
            learning_starts_episodes: episodes collected before the first update.
            updates_per_episode: gradient updates per collected episode.
            standardise_rewards: divide rewards by the running deviation of all step rewards.
            store_buffer_in_checkpoints: whether checkpoints carry the replay.
            **kwargs: RLlib's own training settings (lr, gamma, grad_clip, ...).
        """
        own = {k: v for k, v in locals().items() if k not in ("self", "kwargs", "__class__")}
        super().training(**kwargs)
        for name, value in own.items():
            if value is not NotProvided:
                setattr(self, name, value)
        return self

    def evaluation(
        self,
        *,
        evaluation_interval_env_steps: int | None = NotProvided,
        evaluation_num_envs: int = NotProvided,
        **kwargs: Any,
    ) -> QLearningConfig:
        """Sets the evaluation settings.

        Args:
            evaluation_interval_env_steps: evaluate once per so many environment steps and at
                the start; None never.
            evaluation_num_envs: environments an evaluation runner plays at once.
            **kwargs: RLlib's own (evaluation_duration in episodes, evaluation_config, ...).
        """
        super().evaluation(**kwargs)
        if evaluation_interval_env_steps is not NotProvided:
            self.evaluation_interval_env_steps = evaluation_interval_env_steps
        if evaluation_num_envs is not NotProvided:
            self.evaluation_num_envs = evaluation_num_envs
        return self

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        return RLModuleSpec(module_class=self.module_class, model_config=self.model_config)

    def get_default_learner_class(self) -> type[QLearner]:
        return self.learner_class

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in self.module_settings}
        return super()._model_config_auto_includes | own

    def get_evaluation_config_object(self) -> AlgorithmConfig | None:
        """RLlib's, greedy and averaged over exactly the episodes of one evaluation."""
        config = super().get_evaluation_config_object()
        if config is None:  # this is the evaluation's already
            return None
        config = config.copy(copy_frozen=False)
        user = self.evaluation_config or {}
        config.explore = user.get("explore", False)
        config.num_envs_per_env_runner = user.get(
            "num_envs_per_env_runner", self.evaluation_num_envs
        )
        config.metrics_num_episodes_for_smoothing = self.evaluation_duration
        return config

    def validate(self) -> None:
        """Checks the settings.

        Raises:
            ValueError: with the value, the rule and the remedy.
        """
        super().validate()
        self._require("optim", self.optim in OPTIMISERS, f"one of {OPTIMISERS}")
        self._require("mixer", self.mixer in MIXERS, f"one of {MIXERS}")
        positive = (
            "train_batch_episodes",
            "replay_capacity_episodes",
            "updates_per_episode",
            "hidden_dim",
            "mixing_embed_dim",
            "hypernet_embed_dim",
        )
        for name in positive:
            self._require(name, getattr(self, name) > 0, "greater than 0")
        self._require(
            "replay_capacity_episodes",
            self.replay_capacity_episodes >= self.train_batch_episodes,
            f"at least train_batch_episodes ({self.train_batch_episodes})",
        )
        if self.target_update_tau is not None and self.target_network_update_freq is not None:
            raise ValueError(
                "target_update_tau (soft) and target_network_update_freq (hard copies) are both "
                "set; set one of them"
            )

    def _require(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise ValueError(f"{name} is {getattr(self, name)!r}; it must be {rule}")


class QLearning(Algorithm):
    """Collect whole episodes, store them, learn from some, send the agents' weights back."""

    config: QLearningConfig

    @classmethod
    def get_default_config(cls) -> QLearningConfig:
        return QLearningConfig()

    def setup(self, config: QLearningConfig) -> None:
        super().setup(config)
        self.replay = EpisodeReplay(self.config.replay_capacity_episodes, self.config.seed)
        self._updates_owed = 0.0
        self._evaluations_done = -1  # whole intervals passed at the last evaluation

    def training_step(self) -> None:
        """One round: episodes, then the updates they are worth, then weights to the runners."""
        with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)):
            episodes, results = synchronous_parallel_sample(
                worker_set=self.env_runner_group,
                concat=True,
                sample_timeout_s=self.config.sample_timeout_s,
                _uses_new_env_runners=True,
                _return_metrics=True,
            )
        self.metrics.aggregate(results, key=ENV_RUNNER_RESULTS)
        self.replay.add(episodes)
        self._log_progress()
        if self.replay.num_episodes_added < self.config.learning_starts_episodes:
            return
        self._updates_owed += self.config.updates_per_episode * len(episodes)
        if self._updates_owed < 1 or len(self.replay) < self.config.train_batch_episodes:
            return
        while self._updates_owed >= 1:
            self._updates_owed -= 1
            self._update()
        with self.metrics.log_time((TIMERS, SYNCH_WORKER_WEIGHTS_TIMER)):
            self.env_runner_group.sync_weights(
                from_worker_or_learner_group=self.learner_group, inference_only=True
            )

    def _update(self) -> None:
        """One gradient update on whole episodes drawn from the replay."""
        with self.metrics.log_time((TIMERS, REPLAY_BUFFER_SAMPLE_TIMER)):
            batch = to_train_batch(
                self.replay.sample(self.config.train_batch_episodes), self._reward_scale()
            )
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            results = self.learner_group.update(
                batch=batch,
                timesteps={
                    NUM_ENV_STEPS_SAMPLED_LIFETIME: self.num_env_steps_sampled,
                    NUM_EPISODES_LIFETIME: self.replay.num_episodes_added,
                },
            )
        self.metrics.aggregate(results, key=LEARNER_RESULTS)

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
        stored = {keys.REPLAY_NUM_EPISODES: len(self.replay)}
        self.metrics.log_dict(stored, key=keys.REPLAY, window=1)

    # Evaluation at a fixed interval of environment steps.

    @classmethod
    def _should_create_evaluation_env_runners(cls, eval_config: QLearningConfig) -> bool:
        return bool(
            eval_config.evaluation_interval_env_steps
        ) or super()._should_create_evaluation_env_runners(eval_config)

    def _run_one_training_iteration(self) -> tuple[dict, Any]:
        """RLlib's, followed by an evaluation when enough environment steps have passed."""
        results, context = super()._run_one_training_iteration()
        interval = self.config.evaluation_interval_env_steps
        if interval and self.num_env_steps_sampled // interval > self._evaluations_done:
            self._evaluations_done = self.num_env_steps_sampled // interval
            return {**results, **self._run_one_evaluation()}, context
        # The metrics logger would report the last evaluation again, as if it were new.
        results.pop(EVALUATION_RESULTS, None)
        return results, context

    # State: what RLlib's checkpoint would lose.

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """RLlib's state, the replay (option) and the counters."""
        state = super().get_state(*args, **kwargs)
        state["q_learning"] = {
            "replay": self.replay.get_state(self.config.store_buffer_in_checkpoints),
            "updates_owed": self._updates_owed,
            "evaluations_done": self._evaluations_done,
        }
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what ``get_state`` returned."""
        super().set_state(state)
        if "q_learning" in state:
            own = state["q_learning"]
            self.replay.set_state(own["replay"])
            self._updates_owed = own["updates_owed"]
            self._evaluations_done = own["evaluations_done"]


__all__ = ["QLearning", "QLearningConfig", "TeamEpisode", "team_policy"]
