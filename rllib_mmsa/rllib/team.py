"""The team's module, by the names by which users of RLlib ask an algorithm for it."""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.rl_module.rl_module import RLModule

from env_registry.contract import TEAM
from rllib_mmsa.errors import ConfigError


class TeamAccess(Algorithm):
    """An algorithm with one module for all agents."""

    def get_module(self, module_id: str = DEFAULT_MODULE_ID) -> RLModule | None:
        """The module that acts: the team's, also without a name.

        Args:
            module_id: RLlib's default, or "team".

        Returns:
            The module in the local env runner; None for any other name.
        """
        return super().get_module(TEAM if module_id == DEFAULT_MODULE_ID else module_id)

    def get_policy(self, *args: Any, **kwargs: Any) -> Any:
        """RLlib's old API stack had policies.

        Raises:
            ConfigError: always, with what to call.
        """
        raise _old("get_policy")

    def compute_single_action(self, *args: Any, **kwargs: Any) -> Any:
        """See ``get_policy``."""
        raise _old("compute_single_action")

    def compute_actions(self, *args: Any, **kwargs: Any) -> Any:
        """See ``get_policy``."""
        raise _old("compute_actions")

    def add_module(self, *args: Any, **kwargs: Any) -> Any:
        """RLlib's multi-agent algorithms have a module for each policy.

        Raises:
            ConfigError: always, with what to do.
        """
        raise _one_module("add_module")

    def remove_module(self, *args: Any, **kwargs: Any) -> Any:
        """See ``add_module``."""
        raise _one_module("remove_module")


def _one_module(method: str) -> ConfigError:
    return ConfigError(
        f"{method}() is for algorithms with several modules; all agents share the team's here. "
        "Another network is named as module_class in a configuration class "
        "(`rllib docs extending`)."
    )


def _old(method: str) -> ConfigError:
    return ConfigError(
        f"{method}() is of RLlib's old API stack; rllib_mmsa.load_team(CHECKPOINT).act(obs) acts "
        "for all agents (`rllib docs teams`), and get_module() returns the team's "
        "module."
    )
