"""The sub-environments of one runner, behind one interface: stepped one by one, or all in one call.

To the runner, a sub-environment is a slot with an index, which it resets and steps when it likes:

    reset_slot(index, seed)         (observations, infos), as ``env.reset(seed=seed)`` returns them
    step_slots(indices, actions)    for each index what ``env.step`` returns, or the exception that
                                    this sub-environment raised
    restart_slot(index)             makes a sub-environment that raised anew

beside what RLlib's ``VectorMultiAgentEnv`` has: ``num_envs``, the spaces, and ``envs``, one object
for each slot with its spaces and ``render()``. No slot is reset before the runner says so: the last
observation of an episode is always the true one.

An environment that can step all slots in one call registers a creator with a function ``make_vec``;
``env_registry.smax.SmaxVectorEnv`` is one.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from ray.rllib.env.env_context import EnvContext
from ray.rllib.env.utils import _gym_env_creator
from ray.rllib.env.vector.sync_vector_multi_agent_env import SyncVectorMultiAgentEnv
from ray.rllib.env.vector.vector_multi_agent_env import VectorMultiAgentEnv
from ray.tune.registry import ENV_CREATOR, _global_registry

from env_registry.contract import TEAM, StepResult, as_grouped_env
from rllib_mmsa.errors import ConfigError, unknown

logger = logging.getLogger(__name__)


def make_vector_env(env: Any, context: EnvContext, num_envs: int) -> VectorMultiAgentEnv:
    """Makes a runner's sub-environments, each under the contract.

    Args:
        env: what the configuration names: a name registered with Tune, a class, a Gymnasium id.
        context: the environment's configuration. Environments that are made one by one get copies
            with their ``vector_index``.
        num_envs: how many.

    Returns:
        What the creator's ``make_vec(num_envs, context)`` makes, where it has one and that does not
        return None; otherwise a ``SyncVectorEnv``.
    """
    create = find_creator(env)
    vector_env = make_at_once(create, num_envs, context)
    if vector_env is not None:
        return vector_env
    contexts = [context.copy_with_overrides(vector_index=index) for index in range(num_envs)]
    return SyncVectorEnv([partial(_make_sub_env, create, each) for each in contexts])


def make_at_once(
    create: Callable[[EnvContext], Any], num_envs: int, context: EnvContext
) -> VectorMultiAgentEnv | None:
    """What a creator's ``make_vec`` makes; None where it makes environments one by one."""
    make_vec = getattr(create, "make_vec", None)
    return None if make_vec is None else make_vec(num_envs, context)


def find_creator(env: Any) -> Callable[[EnvContext], Any]:
    """What makes the environments that a configuration names (``make_vector_env``)."""
    if isinstance(env, str) and _global_registry.contains(ENV_CREATOR, env):
        return _global_registry.get(ENV_CREATOR, env)
    return lambda context: _gym_env_creator(env_descriptor=env, env_context=context)


def check_env(env: Any, env_config: Mapping[str, Any]) -> None:
    """Refuses an environment that cannot be made, as far as that is known without making it.

    Args:
        env: what the configuration names (``make_vector_env``).
        env_config: its options, which the creator's ``validate`` checks, where it has one.

    Raises:
        ConfigError: there is none, or no such name.
        ValueError: the creator's own, about the options.
    """
    if env is None:
        raise ConfigError('there is no environment; name one: config.environment("lbf")')
    # With one of these it is a Gymnasium id or a class's path, which RLlib looks up itself.
    if isinstance(env, str) and not re.search(r"[.:/]|-v\d+$", env):
        if not _global_registry.contains(ENV_CREATOR, env):
            # Once Ray runs, its registry tells no names.
            names = [name for kind, name in _global_registry._to_flush if kind == ENV_CREATOR]
            said = unknown("environment", env, names) if names else f"unknown environment {env!r}."
            raise ConfigError(
                f"{said} `rllib envs` lists this package's; register one of your own with "
                "ray.tune.register_env(name, creator)."
            )
    validate = getattr(find_creator(env), "validate", None)
    if validate is not None:
        validate(env_config)


def least_envs(env: Any, env_config: Mapping[str, Any]) -> int:
    """How many sub-environments pay at least: what the creator's ``least_envs`` says, or 1.

    An environment that another game stands in for says how many of that one pay: a number that was
    set for the one is not one for the other.
    """
    ask = getattr(find_creator(env), "least_envs", None)
    return 1 if ask is None else int(ask(env_config))


def make_one_env(env: Any, env_config: Mapping[str, Any]) -> Any:
    """Makes one environment under the contract, as the first of a runner is made."""
    return _make_sub_env(find_creator(env), EnvContext(dict(env_config), worker_index=0))


def _make_sub_env(create: Callable[[EnvContext], Any], context: EnvContext) -> Any:
    return as_grouped_env(create(context))


class SyncVectorEnv(SyncVectorMultiAgentEnv):
    """Sub-environments that are stepped one after another in this process."""

    def close_extras(self, **kwargs: Any) -> None:
        """RLlib's; there is nothing to close where a constructor raised."""
        if self.envs is not None:
            super().close_extras(**kwargs)

    def reset_slot(self, index: int, seed: int) -> tuple[dict, dict]:
        """Starts an episode in one sub-environment.

        Raises:
            Exception: the environment's own.
        """
        return self.envs[index].reset(seed=seed)

    def step_slots(
        self, indices: Sequence[int], actions: np.ndarray
    ) -> list[StepResult | Exception]:
        """Steps some sub-environments.

        Args:
            indices: K of them.
            actions: (K, N), the team's actions in each.

        Returns:
            K results, or the exceptions that were raised in their place.
        """
        return [self._step_slot(index, row) for index, row in zip(indices, actions, strict=True)]

    def _step_slot(self, index: int, actions: np.ndarray) -> StepResult | Exception:
        try:
            return self.envs[index].step({TEAM: actions})
        except Exception as error:  # the runner decides what becomes of it
            return error

    def restart_slot(self, index: int) -> None:
        """Closes a sub-environment and makes another in its place.

        Raises:
            Exception: what the environment's creator raised; the old one, closed, stays.
        """
        try:
            self.envs[index].close()
        except Exception as error:  # it has failed: what matters is that there is a new one
            logger.warning("closing an environment that had failed: %s", error)
        self.envs[index] = self.env_fns[index]()
