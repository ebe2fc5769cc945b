"""Settings shared by MMSA, QMIX, VDN and independent Q-learning."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from rllib_mmsa.method.settings import Settings, names
from rllib_mmsa.older.options import from_older
from rllib_mmsa.rllib.learner import QLearner
from rllib_mmsa.rllib.module import QModule
from rllib_mmsa.rllib.presets import EPYMARL_QMIX, TARGET_UPDATES, PresetConfig
from rllib_mmsa.rllib.refused import team_policy  # noqa: F401 - older pickles name it here
from rllib_mmsa.rllib.team_config import TeamConfig
from rllib_mmsa.rllib.training_options import TrainingOptions, shown

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack


class QLearningConfig(TeamConfig, PresetConfig):
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
        **TeamConfig.own_setters,
        "overlap_sampling": "env_runners",
        "engine": "learners",
        "learner_threads": "learners",
    }

    def __init__(self, algo_class: type | None = None):
        super().__init__(algo_class=algo_class)
        for field in dataclasses.fields(self.settings_class):
            setattr(self, field.name, field.default)
        self.add_default_connectors_to_learner_pipeline = False
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
        # How updates are computed.
        self.engine = "auto"
        self.learner_threads = 2

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
        return super().training(**options)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Any:
        """RLlib's, which also reads what older versions wrote."""
        return super().from_state(from_older(state))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Unpickles a configuration, also of an older version."""
        fresh = type(self)()
        self.__dict__.update({**vars(fresh), **from_older(state)})

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

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        return RLModuleSpec(module_class=self.module_class, model_config=self.model_config)

    def get_default_learner_class(self) -> type[QLearner]:
        return self.learner_class

    @property
    def reads_things(self) -> bool:
        """See ``TeamConfig.reads_things``."""
        return bool(self.agent == "hpn")

    @property
    def settings_names(self) -> tuple[str, ...]:
        """See ``TeamConfig``: the fields of ``settings_class``."""
        return tuple(names(self.settings_class))

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in (*self.settings_names, "epsilon")}
        return super()._model_config_auto_includes | own

    def get_evaluation_config_object(self) -> AlgorithmConfig | None:
        """See ``TeamConfig``; nothing is learned beside an evaluation."""
        config = super().get_evaluation_config_object()
        if config is not None:
            config.overlap_sampling = False
        return config

    def validate(self) -> None:
        """Checks the settings.

        Raises:
            ValueError: with the value, the rule and the remedy.
        """
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
        self._require(
            "normalise_observations",
            not (self.normalise_observations and self.reads_things),
            "False with agent: hpn, which reads all things of a kind by the same weights: "
            "statistics of each number would make them differ",
        )
        self._validate_targets()

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


QLearningConfig.training.__signature__ = shown(TrainingOptions, QLearningConfig())
