"""Settings shared by MMSA, QMIX, VDN and independent Q-learning."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig, NotProvided
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from env_registry.contract import TEAM
from rllib_mmsa.method.settings import Settings, names
from rllib_mmsa.older.options import from_older
from rllib_mmsa.rllib import rules
from rllib_mmsa.rllib.learner import QLearner
from rllib_mmsa.rllib.module import QModule
from rllib_mmsa.rllib.presets import EPYMARL_QMIX, TARGET_UPDATES, PresetConfig
from rllib_mmsa.rllib.refused import MULTI_AGENT, as_team, refuse, team_policy
from rllib_mmsa.rllib.runner import EpisodeRunner
from rllib_mmsa.rllib.strict import ARGUMENTS
from rllib_mmsa.rllib.training_options import TrainingOptions, shown
from rllib_mmsa.rllib.vector_env import least_envs

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack


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


class QLearningConfig(PresetConfig):
    """What every algorithm of this project shares: the method's ``Settings``, and those below.

    Attributes:
        preset: a name of ``presets``, which sets what the user has not set (presets.py).
        optim: "rmsprop" (PyTorch's, Table 6) or "adam".
        optim_alpha: RMSprop's smoothing constant.
        optim_eps: the optimiser's epsilon.
        target_update_episodes: copy the networks to their targets every so many collected
            episodes (PyMARL's reading of Table 6's 200).
        target_network_update_freq: the same in environment steps (RLlib's old QMIX; the
            paper's wording). Set, it takes the place of ``target_update_episodes``.
        target_update_tau: move the targets by this share in every gradient update; takes
            the place of both.
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
        overlap_sampling: remote runners play the next round of episodes while the learner
            learns from the last one, so that the cores of both are busy. Episodes are then
            played with weights that are one round of updates older.
        max_failures_in_a_row: a run ends after more failures than this without an episode.
        evaluation_interval_env_steps: evaluate once per so many environment steps and at
            the start; None never.
        evaluation_num_envs: environments an evaluation runner plays at once.
        evaluation_epsilon: share of random actions in evaluations; 0: greedy.
        engine: how updates are computed: "plain" (PyTorch), "native" (compiled C on a CPU),
            "compile" (torch.compile, for GPUs), or "auto": native where it knows the settings.
        learner_threads: threads that share an update on a CPU. The native engine's numbers
            do not depend on it.
    """

    learner_class = QLearner
    module_class = QModule
    settings_class: type[Settings] = Settings
    presets = {"epymarl": EPYMARL_QMIX}
    own_setters = {
        "evaluation_interval_env_steps": "evaluation",
        "evaluation_num_envs": "evaluation",
        "evaluation_epsilon": "evaluation",
        "overlap_sampling": "env_runners",
        "engine": "learners",
        "learner_threads": "learners",
    }

    def __init__(self, algo_class: type | None = None):
        super().__init__(algo_class=algo_class)
        for field in dataclasses.fields(self.settings_class):
            setattr(self, field.name, field.default)
        self._set_rllib_defaults()
        # Optimiser and target networks.
        self.lr = 1e-3
        self.grad_clip = 10.0
        self.grad_clip_by = "global_norm"
        self.optim = "rmsprop"
        self.optim_alpha = 0.99
        self.optim_eps = 1e-5
        self.target_update_episodes: int | None = 200
        self.target_network_update_freq: int | None = None  # env steps
        self.target_update_tau: float | None = None  # per gradient update
        # Sampling and replay.
        self.overlap_sampling = False
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
        self.evaluation_epsilon = 0.0
        # How updates are computed.
        self.engine = "auto"
        self.learner_threads = 2

    def _set_rllib_defaults(self) -> None:
        self.num_env_runners = 0
        self.num_envs_per_env_runner = 8
        self.env_runner_cls = EpisodeRunner
        self.batch_mode = "complete_episodes"
        self.max_failures_in_a_row = 10  # of environments, without a finished episode in between
        # Seconds without a step, in a round that may take longer; StarCraft II's reset takes 180.
        self.sample_timeout_s = self.evaluation_sample_timeout_s = 240.0
        self.min_sample_timesteps_per_iteration = 1000  # env steps per reported iteration
        self.policies = {TEAM}
        self.policy_mapping_fn = team_policy
        self.explore = True
        self.evaluation_duration = 100  # episodes, Table 10
        self.evaluation_duration_unit = "episodes"
        self.add_default_connectors_to_env_to_module_pipeline = False
        self.add_default_connectors_to_module_to_env_pipeline = False
        self.add_default_connectors_to_learner_pipeline = False

    def __setattr__(self, key: str, value: Any) -> None:
        # RLlib's property ``learner_class`` is the class attribute above.
        super().__setattr__("learner_class" if key == "_learner_class" and value else key, value)

    def training(self, **options: Unpack[TrainingOptions]) -> Self:
        """Sets the training settings.

        Args:
            **options: attributes of ``Settings`` and of this class, and RLlib's training settings
                (lr, gamma, grad_clip, ...). ``train_batch_size`` is read as
                ``train_batch_episodes``.

        Raises:
            ConfigError: there is no such option; the nearest is named.
        """
        given = _batch_in_episodes(dict(options))
        own = [name for name in given if self._is_own(name)]
        self.check_arguments("training", given, own)
        super().training(**{name: value for name, value in given.items() if name not in own})
        return self.set_own(given, own)

    def _is_own(self, name: str) -> bool:
        """Whether ``training`` sets an option and RLlib does not know it."""
        return self._setter_of(name) == "training" and name not in ARGUMENTS["training"]

    def update_from_dict(self, config_dict: dict[str, Any]) -> Self:
        """RLlib's, which also takes ``train_batch_size`` for ``train_batch_episodes``."""
        given = _batch_in_episodes(config_dict)
        policies = {name: given.pop(name) for name in MULTI_AGENT if name in given}
        return super().update_from_dict(given).multi_agent(**policies)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Any:
        """RLlib's, which also reads what older versions wrote."""
        return super().from_state(from_older(state))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Unpickles a configuration, also of an older version."""
        fresh = type(self)()
        self.__dict__.update({**vars(fresh), **from_older(state)})

    def evaluation(self, **kwargs: Any) -> Self:
        """Sets the evaluation settings.

        Args:
            **kwargs: ``evaluation_interval_env_steps``, ``evaluation_num_envs``,
                ``evaluation_epsilon``, and RLlib's (evaluation_duration in episodes, ...). With
                ``evaluation_interval``, RLlib's in iterations, the one in env steps is off
                unless it is given beside it.
        """
        if kwargs.get("evaluation_interval", NotProvided) not in (NotProvided, None, 0):
            kwargs.setdefault("evaluation_interval_env_steps", None)
        return self.set_with_own("evaluation", kwargs)

    def env_runners(self, **kwargs: Any) -> Self:
        """Sets the sampling settings.

        Args:
            **kwargs: ``overlap_sampling``, and RLlib's (num_env_runners,
                num_envs_per_env_runner, ...).
        """
        return self.set_with_own("env_runners", kwargs)

    def learners(self, **kwargs: Any) -> Self:
        """Sets the learners' settings.

        Args:
            **kwargs: ``engine``, ``learner_threads``, and RLlib's (num_learners,
                num_gpus_per_learner, ...).
        """
        return self.set_with_own("learners", kwargs)

    def multi_agent(self, **kwargs: Any) -> Self:
        """RLlib's; one policy for all agents, of whatever name, is the team's module.

        Raises:
            ConfigError: there are several policies.
        """
        return super().multi_agent(**as_team(kwargs))

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        return RLModuleSpec(module_class=self.module_class, model_config=self.model_config)

    def get_default_learner_class(self) -> type[QLearner]:
        return self.learner_class

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in (*names(self.settings_class), "epsilon")}
        return super()._model_config_auto_includes | own

    def get_evaluation_config_object(self) -> AlgorithmConfig | None:
        """RLlib's, averaged over exactly the episodes of one evaluation."""
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

    def validate(self) -> None:
        """Checks the settings.

        Raises:
            ValueError: with the value, the rule and the remedy.
        """
        refuse(self)
        rules.check(self)  # RLlib's own checks would meet some of these in their words
        super().validate()
        self._require(
            "replay_capacity_episodes",
            self.replay_capacity_episodes >= self.train_batch_episodes,
            f"at least train_batch_episodes ({self.train_batch_episodes})",
        )
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
        self._validate_targets()
        if self.env is not None:
            least = least_envs(self.env, self.env_config or {})
            self.num_envs_per_env_runner = max(self.num_envs_per_env_runner, least)
            self.evaluation_num_envs = max(self.evaluation_num_envs, least)

    def _validate_targets(self) -> None:
        if all(getattr(self, name) is None for name in TARGET_UPDATES):
            raise ValueError(
                f"none of {TARGET_UPDATES} is set; the target networks would never move"
            )
        if self.target_update_tau is not None and self.target_network_update_freq is not None:
            raise ValueError(
                "target_update_tau (soft) and target_network_update_freq (hard copies) are both "
                "set; set one of them"
            )

    def _require(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise ValueError(f"{name} is {getattr(self, name)!r}; it must be {rule}")


QLearningConfig.training.__signature__ = shown(TrainingOptions, QLearningConfig())
