"""RLlib's options that mean nothing here: what is refused, and what is only said to be unused.

An option that would make the run another one than the user believes is refused. One that changes
nothing that anybody could miss is named in a note.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ray.rllib.algorithms.algorithm_config import NotProvided
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.util.debug import log_once

from env_registry.contract import TEAM
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.rllib.learner import QLearner
from rllib_mmsa.rllib.module import QModule

logger = logging.getLogger(__name__)

#: What ``multi_agent()`` sets and one module for all leaves no choice in.
MULTI_AGENT = ("policies", "policy_mapping_fn", "policies_to_train")


class Meaning(NamedTuple):
    """What an option may be here.

    Attributes:
        allowed: the values that mean something; where it is a function, whether a value does.
        instead: what to do instead.
    """

    allowed: tuple[Any, ...] | Callable[[Any], bool]
    instead: str


_STACK = Meaning((True,), "only RLlib's new API stack is supported; leave it out")
_CONNECTOR = Meaning(
    (None,),
    "no connector runs between environment and module; change what agents see in the environment "
    "(`rllib docs environments`) or in the module (`rllib docs extending`)",
)
_COMPILE = Meaning((False,), "write engine: compile")


def _is_team_module(spec: Any) -> bool:
    """Whether a module's specification builds what the learner and the runners work with."""
    if isinstance(spec, RLModuleSpec):
        return spec.module_class is None or issubclass(spec.module_class, QModule)
    return spec is None


#: Option (as an attribute of the configuration) -> what it may be.
REFUSED: dict[str, Meaning] = {
    "enable_rl_module_and_learner": _STACK,
    "enable_env_runner_and_connector_v2": _STACK,
    "framework_str": Meaning(("torch",), "RLlib has only 'torch' left; leave it out"),
    "policies": Meaning(
        lambda value: set(value) == {TEAM},
        "all agents share the networks of one module, which tells them apart by their index "
        "(observe_agent_id); leave it out",
    ),
    "evaluation_duration": Meaning(
        lambda value: value != "auto", "write a number of episodes, such as 100"
    ),
    "evaluation_duration_unit": Meaning(
        ("episodes",), "an evaluation plays whole episodes; leave it out"
    ),
    "evaluation_parallel_to_training": Meaning(
        (False,),
        "an evaluation stands between two iterations, so that its weights are known; leave it "
        "out, and set evaluation_num_env_runners to play it in several processes",
    ),
    "_env_to_module_connector": _CONNECTOR,
    "_module_to_env_connector": _CONNECTOR,
    "_learner_connector": _CONNECTOR,
    "_rl_module_spec": Meaning(
        _is_team_module,
        "the module is a subclass of QModule or MMSAModule, named as module_class in a "
        "configuration class (`rllib docs extending`)",
    ),
    "learner_class": Meaning(
        lambda value: issubclass(value, QLearner), "derive it from QLearner or MMSALearner"
    ),
    "input_": Meaning(("sampler",), "the algorithms learn from what they play; leave it out"),
    "output": Meaning((None,), "episodes are kept in checkpoints alone; leave it out"),
    "off_policy_estimation_methods": Meaning(({},), "there is no offline data; leave it out"),
    "algorithm_config_overrides_per_module": Meaning(
        ({},), "there is one module, the team's; set the options themselves"
    ),
    "observation_fn": Meaning((None,), _CONNECTOR.instead),
    "observation_filter": Meaning(("NoFilter",), "write normalise_observations: true"),
    "clip_rewards": Meaning((None, False), "write standardise_rewards, or clip in the environment"),
    "torch_compile_learner": _COMPILE,
    "torch_compile_worker": _COMPILE,
}  # fmt: skip

#: Options that change nothing.
UNUSED: dict[str, str] = {
    "rollout_fragment_length": "whole episodes are played, one for each environment a round",
    "batch_mode": "whole episodes are played",
    "_train_batch_size_per_learner": "train_batch_episodes is the size of a batch",
    "num_epochs": "an update is one step on one batch (updates_per_episode)",
    "minibatch_size": "an update is one step on one batch (train_batch_episodes)",
    "shuffle_batch_per_epoch": "an update is one step on one batch",
    "compress_observations": "the replay is not compressed (replay_capacity_bytes bounds it)",
    "count_steps_by": "steps are the environment's",
    "gym_env_vectorize_mode": "environments are stepped in their runner's process",
    "episode_lookback_horizon": "whole episodes are kept",
    "num_aggregator_actors_per_learner": "batches are drawn by the algorithm itself",
    "prelearner_class": "there is no offline data",
}


def refuse(config: Any) -> None:
    """Refuses options that would silently mean something else than the user believes.

    Args:
        config: a ``TeamConfig``.

    Raises:
        ConfigError: with the option, its value and what to do instead; all of them at once.
    """
    found = []
    for name, (allowed, instead) in config.refused.items():
        value = getattr(config, name)
        if not (allowed(value) if callable(allowed) else value in allowed):
            found.append(f"{shown(name)} is {value!r}; {instead}.")
    if found:
        raise ConfigError("\n".join(found))
    # RLlib changes some itself for the evaluation.
    for line in [] if config.in_evaluation else unused(config):
        if log_once(line):
            logger.warning(line)


def unused(config: Any) -> list[str]:
    """A line for each option that was set and changes nothing."""
    default = type(config)()
    return [
        f"{shown(name)} is {getattr(config, name)!r} and does nothing here: {why}"
        for name, why in config.unused.items()
        if hasattr(default, name) and getattr(config, name) != getattr(default, name)
    ]


def shown(name: str) -> str:
    """An attribute of the configuration as a user writes it."""
    return {"framework_str": "framework", "input_": "input"}.get(name, name.lstrip("_"))


def team_policy(agent_id: str, *args: Any, **kwargs: Any) -> str:
    """Maps the one (team) agent to the one module."""
    return TEAM


def as_team(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of ``multi_agent()`` without those that name one policy for all agents.

    Whatever it is called, it is the team's module, which a configuration has from the start.

    Args:
        settings: the user's.

    Raises:
        ConfigError: there are several policies, or one with a class or settings of its own.
    """
    given = {name: value for name, value in settings.items() if value is not NotProvided}
    policies = given.pop("policies", None)
    policies = [TEAM] if policies is None else policies
    names = sorted(map(str, policies))
    if len(names) != 1:
        raise ConfigError(
            f"policies are {', '.join(names) or 'none'}; {REFUSED['policies'].instead}."
        )
    if isinstance(policies, Mapping):
        _check_spec(names[0], *policies.values())
    train = given.pop("policies_to_train", None)
    if isinstance(train, list | set | tuple) and not {*names, TEAM} & {*train}:
        raise ConfigError(f"policies_to_train is {train!r}; the one module learns: leave it out.")
    given.pop("policy_mapping_fn", None)  # with one policy it has nothing to decide
    return given


def _check_spec(name: str, spec: Any) -> None:
    """Refuses a policy's specification that says more than spaces, which the environment has."""
    parts = spec if isinstance(spec, list | tuple) else [
        getattr(spec, part, None) for part in ("policy_class", "observation_space", "action_space",
                                               "config")
    ]  # fmt: skip
    policy_class, config = (parts[0] if parts else None), (parts[3] if len(parts) > 3 else None)
    if policy_class is not None or config:
        raise ConfigError(
            f"policy '{name}' has a class or settings of its own; set the algorithm's options "
            "instead, and a module of your own by module_class (`rllib docs extending`)."
        )
