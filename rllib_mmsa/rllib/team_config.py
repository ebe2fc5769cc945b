"""Settings that all algorithms of this project share, whatever they learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig, NotProvided

from env_registry.contract import TEAM
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.rllib import rules
from rllib_mmsa.rllib.refused import (
    MULTI_AGENT,
    REFUSED,
    UNUSED,
    Meaning,
    as_team,
    refuse,
    team_policy,
)
from rllib_mmsa.rllib.runner import EpisodeRunner
from rllib_mmsa.rllib.strict import ARGUMENTS, StrictConfig
from rllib_mmsa.rllib.vector_env import check_env, least_envs

if TYPE_CHECKING:
    from typing_extensions import Self


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


class TeamConfig(StrictConfig):
    """How teams are played and tested: whole episodes, one module for all agents.

    Attributes:
        max_failures_in_a_row: a run ends after more failures than this without an episode.
        evaluation_interval_env_steps: evaluate once per so many environment steps and at
            the start; None never.
        evaluation_num_envs: environments an evaluation runner plays at once.
        evaluation_epsilon: share of random actions in evaluations; 0: greedy.
    """

    own_setters = {
        "evaluation_interval_env_steps": "evaluation",
        "evaluation_num_envs": "evaluation",
        "evaluation_epsilon": "evaluation",
    }
    #: RLlib's options that are refused, and those that do nothing (refused.py).
    refused: ClassVar[Mapping[str, Meaning]] = REFUSED
    unused: ClassVar[Mapping[str, str]] = UNUSED

    @property
    def reads_things(self) -> bool:
        """Whether the agents read observations thing by thing, and so need their layout."""
        return False

    @property
    def settings_names(self) -> tuple[str, ...]:
        """The settings of the method, which the networks are built by; a resumed run keeps them."""
        raise NotImplementedError

    def __init__(self, algo_class: type | None = None):
        super().__init__(algo_class=algo_class)
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
        self.evaluation_interval_env_steps: int | None = 50_000  # Table 10
        self.evaluation_num_envs = 10
        self.evaluation_epsilon = 0.0

    def training(self, **options: Any) -> Self:
        """Sets the training settings.

        Args:
            **options: the algorithm's, and RLlib's (lr, gamma, ...). ``train_batch_size``
                is read as ``train_batch_episodes``.

        Raises:
            ConfigError: there is no such option; the nearest is named.
        """
        given = _batch_in_episodes(options)
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

    def multi_agent(self, **kwargs: Any) -> Self:
        """RLlib's; one policy for all agents, of whatever name, is the team's module.

        Raises:
            ConfigError: there are several policies.
        """
        return super().multi_agent(**as_team(kwargs))

    def get_evaluation_config_object(self) -> AlgorithmConfig | None:
        """RLlib's, averaged over exactly the episodes of one evaluation."""
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

    def build_algo(self, env: Any = None, use_copy: bool = True) -> Any:
        """RLlib's; a wrong environment is told before Ray starts.

        Raises:
            ConfigError: there is no environment, or none of that name.
            ValueError: what the environment says of its options.
        """
        check_env(self.env if env is None else env, self.env_config or {})
        return super().build_algo(env, use_copy)

    def validate(self) -> None:
        """Checks the settings.

        Raises:
            ValueError: with the value, the rule and the remedy.
        """
        refuse(self)
        rules.check(self)  # RLlib's own checks would meet some of these in their words
        super().validate()
        for name in ("grouped", "limit_is_end"):
            if name in (self.env_config or {}):
                raise ConfigError(
                    f"env_config: {name} is for RLlib's own algorithms; "
                    f"{self.algo_class.__name__} plays the team: leave it out."
                )
        if self.env is not None:
            least = least_envs(self.env, self.env_config or {})
            self.num_envs_per_env_runner = max(self.num_envs_per_env_runner, least)
            self.evaluation_num_envs = max(self.evaluation_num_envs, least)

    def _require(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise ValueError(f"{name} is {getattr(self, name)!r}; it must be {rule}")
