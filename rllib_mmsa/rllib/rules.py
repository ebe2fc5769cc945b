"""What each setting may be: one row a setting, checked before anything is built.

RLlib and PyTorch meet a wrong value late and in their own words, or never: ``gamma: 2`` trains.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Protocol

from rllib_mmsa.method.settings import (
    AGENTS,
    KL_BALANCES,
    MIXER_READS,
    MIXERS,
    NORMALISERS,
    OBSERVATION_HEADS,
    WORLD_MODEL_FORMS,
)
from rllib_mmsa.rllib import presets

OPTIMISERS = ("rmsprop", "adam")
ENGINES = ("auto", "plain", "native", "compile")
#: What PPO's critic sees: the global state, or the agent's own observation.
CRITICS = ("central", "own")
CLIPS = ("global_norm", "norm", "value")


class Rule(Protocol):
    """What a setting may be, and how that is said after "it must be"."""

    @property
    def words(self) -> str:
        """The rule in words."""

    def holds(self, value: Any) -> bool:
        """Whether a value keeps it."""


@dataclass(frozen=True)
class Number:
    """A finite number between two bounds.

    Attributes:
        low: least.
        high: largest.
        above: ``low`` itself is not allowed.
        whole: an integer; a float that is whole counts where ``whole`` is "count".
        none: None is allowed as well.
        word: so is this.
    """

    low: float
    high: float = math.inf
    above: bool = False
    whole: bool | str = False
    none: bool = False
    word: str | None = None

    def holds(self, value: Any) -> bool:
        """See ``Rule``."""
        if (value is None and self.none) or (self.word is not None and value == self.word):
            return True
        if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
            return False
        integer = isinstance(value, Integral) or (self.whole == "count" and value == int(value))
        enough = value > self.low if self.above else value >= self.low
        return enough and value <= self.high and (integer or not self.whole)

    @property
    def words(self) -> str:
        """See ``Rule``."""
        others = [*(["None"] if self.none else []), *([repr(self.word)] if self.word else [])]
        kind = "a whole number" if self.whole else "a number"
        if self.above:
            span = f"above {self.low:g}" + (
                "" if self.high == math.inf else f", {self.high:g} at most"
            )
        elif self.high == math.inf:
            span = f"of at least {self.low:g}"
        else:
            span = f"from {self.low:g} to {self.high:.12g}"
        return " or ".join([*others, f"{kind} {span}"])


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]

    def holds(self, value: Any) -> bool:
        """See ``Rule``."""
        return any(type(value) is type(each) and value == each for each in self.values)

    @property
    def words(self) -> str:
        """See ``Rule``."""
        return f"one of {self.values}"


@dataclass(frozen=True)
class Schedule:
    """A number, or pairs of env steps and a number, linear in between.

    Attributes:
        alone: what the number may be where it is no schedule.
        value: what it may be in a schedule.
        from_0: the first pair is at 0 env steps, and there are two at least (RLlib's own).
    """

    alone: Number
    value: Number
    from_0: bool = False

    def holds(self, value: Any) -> bool:
        """See ``Rule``."""
        if not isinstance(value, Sequence) or isinstance(value, str):
            return self.alone.holds(value)
        if not all(
            isinstance(p, Sequence) and not isinstance(p, str) and len(p) == 2 for p in value
        ):
            return False
        steps = [pair[0] for pair in value]
        if not steps or not all(COUNT_OR_0.holds(step) for step in steps):
            return False
        begins = not self.from_0 or (steps[0] == 0 and len(steps) > 1)
        return begins and steps == sorted(steps) and all(self.value.holds(p[1]) for p in value)

    @property
    def words(self) -> str:
        """See ``Rule``."""
        first = (
            "[[0, value], [env steps, value], ...]" if self.from_0 else "[[env steps, value], ...]"
        )
        return f"{self.alone.words}, or {first} with rising env steps and such values"


FLAG = Choice((True, False))
SIZE = Number(1, 65536, whole=True)
AT_LEAST_1 = Number(1, whole=True)
AT_LEAST_0 = Number(0, whole=True)
COUNT_OR_0 = Number(0, whole="count")
COUNT_OR_NONE = Number(1, whole="count", none=True)
NOT_NEGATIVE = Number(0)
SHARE = Number(0, 1)
SECONDS_OR_NONE = Number(0, none=True)
TIMEOUT_OR_NONE = Number(0, above=True, none=True)

#: Setting -> what it may be. What an algorithm lacks is not looked at.
RULES: dict[str, Rule] = {
    # The method's.
    "gamma": SHARE,
    "td_lambda": SHARE,
    "agent": Choice(AGENTS),
    "mixer": Choice(MIXERS),
    "normaliser": Choice(NORMALISERS),
    "kl_balance": Choice(KL_BALANCES),
    "mixer_reads": Choice(MIXER_READS),
    "dynamics_layers": Number(1, 8, whole=True),
    "world_model_average": Number(0, 0.99999, none=True),
    "world_model_form": Choice(WORLD_MODEL_FORMS),
    "observation_head": Choice(OBSERVATION_HEADS),
    "preset": Choice((None, *presets.NAMES)),
    "rollout_horizon": Number(1, 1000, whole=True),
    "num_models": Number(1, 100, whole=True),
    "model_updates": Number(1, 1000, whole=True),
    "value_expansion": AT_LEAST_0,
    "model_batch_share": Number(0, 1, above=True),
    "kl_balance_alpha": SHARE,
    "model_quality_interval": AT_LEAST_1,
    "imagine_interval_env_steps": COUNT_OR_NONE,
    # The optimiser's, and the target networks'.
    "lr": Schedule(Number(0, 1, above=True), SHARE, from_0=True),
    "grad_clip": Number(0, above=True, none=True),
    "grad_clip_by": Choice(CLIPS),
    "optim": Choice(OPTIMISERS),
    "optim_alpha": SHARE,
    "optim_eps": Number(0, 1, above=True),
    "target_update_episodes": COUNT_OR_NONE,
    "target_network_update_freq": COUNT_OR_NONE,
    "target_update_tau": Number(0, 1, above=True, none=True),
    # PPO's.
    "critic": Choice(CRITICS),
    "num_epochs": AT_LEAST_1,
    "minibatch_size": COUNT_OR_NONE,
    "lambda_": SHARE,
    "clip_param": Number(0, above=True),
    "vf_clip_param": Number(0, above=True),
    "vf_loss_coeff": NOT_NEGATIVE,
    "entropy_coeff": Schedule(NOT_NEGATIVE, NOT_NEGATIVE, from_0=True),
    "kl_coeff": NOT_NEGATIVE,
    # Sampling, replay, learning.
    "epsilon": Schedule(SHARE, SHARE),
    "train_batch_episodes": AT_LEAST_1,
    "replay_capacity_episodes": AT_LEAST_1,
    "replay_capacity_bytes": COUNT_OR_NONE,
    "max_seq_len": Number(1, whole=True, none=True),
    "replay_burn_in": AT_LEAST_0,
    "learning_starts_episodes": AT_LEAST_0,
    "updates_per_episode": Number(0, 10_000, above=True),
    "engine": Choice(ENGINES),
    "learner_threads": Number(1, 8, whole=True),
    "num_learners": AT_LEAST_0,
    "num_envs_per_env_runner": AT_LEAST_1,
    "num_env_runners": AT_LEAST_0,
    "seed": Number(0, 2**31 - 1, whole=True, none=True),
    "sample_timeout_s": TIMEOUT_OR_NONE,
    "max_failures_in_a_row": AT_LEAST_0,
    "min_sample_timesteps_per_iteration": Number(0, whole="count", none=True),
    "min_train_timesteps_per_iteration": Number(0, whole="count", none=True),
    "min_time_s_per_iteration": SECONDS_OR_NONE,
    "metrics_num_episodes_for_smoothing": AT_LEAST_1,
    "num_cpus_per_env_runner": NOT_NEGATIVE,
    "num_gpus_per_env_runner": NOT_NEGATIVE,
    "num_cpus_for_main_process": NOT_NEGATIVE,
    "num_cpus_per_learner": Number(0, word="auto"),
    "num_gpus_per_learner": NOT_NEGATIVE,
    # Evaluation. An interval of 0 is RLlib's way to say never.
    "evaluation_interval_env_steps": Number(0, whole="count", none=True),
    "evaluation_interval": Number(0, whole=True, none=True),
    "evaluation_duration": Number(1, whole=True, word="auto"),
    "evaluation_num_envs": AT_LEAST_1,
    "evaluation_epsilon": SHARE,
    "evaluation_num_env_runners": AT_LEAST_0,
    "evaluation_sample_timeout_s": TIMEOUT_OR_NONE,
    **dict.fromkeys(
        ("mixing_embed_dim", "hypernet_embed_dim", "hpn_hyper_dim", "hidden_dim", "sale_dim",
         "sale_hidden_dim", "latent_dim", "action_embed_dim", "dynamics_dim",
         "world_model_dim"), SIZE,
    ),
    **dict.fromkeys(
        ("kl_weight", "reconstruction_weight", "observation_weight", "sale_weight",
         "policy_weight", "open_loop_weight", "reward_weight", "end_weight",
         "self_prediction_weight"), NOT_NEGATIVE,
    ),
    **dict.fromkeys(
        ("double_q", "bootstrap_truncated", "observe_agent_id", "observe_last_action",
         "normalise_observations", "use_world_model", "use_sale", "use_global_state",
         "gate_rollout", "standardise_rewards", "store_buffer_in_checkpoints",
         "overlap_sampling", "explore"), FLAG,
    ),
}  # fmt: skip


def check(config: Any) -> None:
    """Checks every setting that has a rule, those under ``evaluation_config`` too.

    Args:
        config: a configuration of this project.

    Raises:
        ValueError: with the setting's name, its value and the rule.
    """
    for name, value in vars(config).items():
        require(name, value)
    evaluation = getattr(config, "evaluation_config", None)
    if isinstance(evaluation, Mapping):
        for name, value in evaluation.items():
            require(name, value, "evaluation_config: ")


def require(name: str, value: Any, where: str = "") -> None:
    """Checks one setting.

    Raises:
        ValueError: with its name, its value and the rule.
    """
    rule = RULES.get(name)
    if rule is None:
        # Nothing else is known of it, but that this is no number that anybody meant.
        if isinstance(value, float) and math.isnan(value):
            raise ValueError(f"{where}{name} is nan; it must be a number")
    elif not rule.holds(value):
        raise ValueError(f"{where}{name} is {value!r}; it must be {rule.words}")
