"""Settings shared by MMSA, QMIX, VDN and independent Q-learning."""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig, NotProvided
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from env_registry.contract import TEAM
from rllib_mmsa.rllib.learner import QLearner
from rllib_mmsa.rllib.module import QModule
from rllib_mmsa.rllib.runner import EpisodeRunner

MIXERS = ("qmix", "vdn", None)
OPTIMISERS = ("rmsprop", "adam")


def team_policy(agent_id: str, *args: Any, **kwargs: Any) -> str:
    """Maps the one (team) agent to the one module."""
    return TEAM


def _batch_in_episodes(settings: dict[str, Any]) -> dict[str, Any]:
    """Reads RLlib's ``train_batch_size`` as a number of whole episodes.

    RLlib's old QMIX counted time steps there, and trained on 32 of them where the algorithm
    means 32 episodes: its best known trap.
    """
    settings = dict(settings)
    if "train_batch_size" in settings:
        episodes = settings.pop("train_batch_size")
        settings.setdefault("train_batch_episodes", episodes)
    return settings


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
        "normalise_observations",
        "double_q",
        "epsilon",
    )

    def __init__(self, algo_class: type | None = None):
        super().__init__(algo_class=algo_class)
        # RLlib's own settings.
        self.gamma = 0.99
        self.lr = 1e-3
        self.grad_clip = 10.0
        self.grad_clip_by = "global_norm"
        self.num_env_runners = 0
        self.num_envs_per_env_runner = 8
        self.env_runner_cls = EpisodeRunner
        self.batch_mode = "complete_episodes"
        self.max_failures_in_a_row = 10  # of environments, without a finished episode in between
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
        self.bootstrap_truncated = True
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
        self.normalise_observations = False
        # Sampling and replay.
        self.overlap_sampling = False
        self.learner_threads = 2
        self.compiled_kernels = True
        self.epsilon: Any = [[0, 1.0], [50_000, 0.05]]  # env steps
        self.train_batch_episodes = 32
        self.replay_capacity_episodes = 5000
        self.replay_capacity_bytes: int | None = None
        self.learning_starts_episodes = 32
        self.max_seq_len: int | None = None  # whole episodes
        self.replay_burn_in = 0
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
        bootstrap_truncated: bool = NotProvided,
        mixer: str | None = NotProvided,
        target_update_episodes: int | None = NotProvided,
        target_network_update_freq: int | None = NotProvided,
        target_update_tau: float | None = NotProvided,
        mixing_embed_dim: int = NotProvided,
        hypernet_embed_dim: int = NotProvided,
        hidden_dim: int = NotProvided,
        observe_agent_id: bool = NotProvided,
        observe_last_action: bool = NotProvided,
        normalise_observations: bool = NotProvided,
        epsilon: Any = NotProvided,
        train_batch_episodes: int = NotProvided,
        replay_capacity_episodes: int = NotProvided,
        replay_capacity_bytes: int | None = NotProvided,
        max_seq_len: int | None = NotProvided,
        replay_burn_in: int = NotProvided,
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
            bootstrap_truncated: whether targets look past a time limit. False learns the limit as
                an end, which bounds every value by what an episode can still pay.
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
            normalise_observations: standardise observations (per agent) and states by running
                statistics, which are saved with the weights and stand still in evaluation.
            epsilon: exploration, a number or [[env steps, value], ...].
            train_batch_episodes: episodes (or sequences, one each) per gradient update.
            replay_capacity_episodes: whole episodes kept.
            replay_capacity_bytes: bytes of their arrays above which the oldest go as well.
            max_seq_len: learn from sequences of so many steps instead of whole episodes, for
                games whose episodes are long. None: whole episodes, as the paper does.
            replay_burn_in: steps before a sequence that the networks read, to have a hidden
                state, but that no loss is computed on.
            learning_starts_episodes: episodes collected before the first update.
            updates_per_episode: gradient updates per collected episode; with ``max_seq_len``, per
                sequence that the collected episode holds.
            standardise_rewards: divide rewards by the running deviation of all step rewards.
            store_buffer_in_checkpoints: whether checkpoints carry the replay.
            **kwargs: RLlib's own training settings (lr, gamma, grad_clip, ...).
        """
        own = {k: v for k, v in locals().items() if k not in ("self", "kwargs", "__class__")}
        kwargs = _batch_in_episodes(kwargs)
        batch = kwargs.pop("train_batch_episodes", NotProvided)
        if train_batch_episodes is NotProvided:
            own["train_batch_episodes"] = batch
        super().training(**kwargs)
        for name, value in own.items():
            if value is not NotProvided:
                setattr(self, name, value)
        return self

    def update_from_dict(self, config_dict: dict[str, Any]) -> QLearningConfig:
        """RLlib's, which also takes ``train_batch_size`` for ``train_batch_episodes``."""
        return super().update_from_dict(_batch_in_episodes(config_dict))

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
        config.overlap_sampling = False  # nothing is learned beside an evaluation
        config.num_envs_per_env_runner = user.get(
            "num_envs_per_env_runner", self.evaluation_num_envs
        )
        config.metrics_num_episodes_for_smoothing = self.evaluation_duration
        return config

    def env_runners(
        self, *, overlap_sampling: bool = NotProvided, **kwargs: Any
    ) -> QLearningConfig:
        """Sets the sampling settings.

        Args:
            overlap_sampling: remote runners play the next round of episodes while the learner
                learns from the last one, so that the cores of both are busy. Episodes are then
                played with weights that are one round of updates older.
            **kwargs: RLlib's own (num_env_runners, num_envs_per_env_runner, ...).
        """
        super().env_runners(**kwargs)
        if overlap_sampling is not NotProvided:
            self.overlap_sampling = overlap_sampling
        return self

    def learners(
        self,
        *,
        learner_threads: int = NotProvided,
        compiled_kernels: bool = NotProvided,
        **kwargs: Any,
    ) -> QLearningConfig:
        """Sets the learners' settings.

        Args:
            learner_threads: threads that share an update on a CPU: 2, where there are two cores
                besides those of env runners that play meanwhile (``overlap_sampling``), or 1 to
                leave the other one to something else. The numbers are the same.
            compiled_kernels: whether most of what networks and losses compute on a CPU is left
                to compiled functions (``nets/kernels``), where the installation has them and the
                processor AVX2. The numbers are the same but for rounding.
            **kwargs: RLlib's own (num_learners, num_gpus_per_learner, ...).
        """
        super().learners(**kwargs)
        if learner_threads is not NotProvided:
            self.learner_threads = learner_threads
        if compiled_kernels is not NotProvided:
            self.compiled_kernels = compiled_kernels
        return self

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
        self._require(
            "replay_capacity_bytes",
            self.replay_capacity_bytes is None or self.replay_capacity_bytes > 0,
            "None or above 0",
        )
        self._require(
            "max_seq_len", self.max_seq_len is None or self.max_seq_len > 0, "None or above 0"
        )
        self._require("replay_burn_in", self.replay_burn_in >= 0, "0 or more")
        self._require("learner_threads", self.learner_threads in (1, 2), "1 or 2")
        self._require(
            "replay_burn_in",
            self.replay_burn_in == 0 or self.max_seq_len is not None,
            "0 where whole episodes are drawn (max_seq_len is None)",
        )
        self._require(
            "overlap_sampling",
            not self.overlap_sampling or self.num_env_runners > 0,
            "False while num_env_runners is 0: the only runner is in the learner's process "
            "(num_env_runners: 1)",
        )
        targets = ("target_update_episodes", "target_network_update_freq", "target_update_tau")
        values = {name: getattr(self, name) for name in targets if getattr(self, name) is not None}
        if not values:
            raise ValueError(f"none of {targets} is set; the target networks would never move")
        for name, value in values.items():
            self._require(name, value > 0, "greater than 0")
        if self.target_update_tau is not None and self.target_network_update_freq is not None:
            raise ValueError(
                "target_update_tau (soft) and target_network_update_freq (hard copies) are both "
                "set; set one of them"
            )

    def _require(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise ValueError(f"{name} is {getattr(self, name)!r}; it must be {rule}")
