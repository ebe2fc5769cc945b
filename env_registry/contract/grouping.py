"""From any environment of several agents to one that follows the contract."""

from __future__ import annotations

from typing import Any

from gymnasium import spaces
from ray.rllib.env.multi_agent_env import MultiAgentEnv

from env_registry.contract.base import TEAM
from env_registry.contract.legacy_groups import LegacyGroupedEnv
from env_registry.contract.old_gym import refuse_gym
from env_registry.contract.space_checks import check_spaces
from env_registry.contract.ungrouped import UngroupedEnv
from env_registry.errors import broken


def as_grouped_env(env: Any, *, state: str = "auto") -> MultiAgentEnv:
    """Makes an environment follow the contract, or says why it cannot.

    An environment whose `observation_spaces` has a Dict under "team" is returned as it is. One
    made for RLlib's old QMIX (`with_agent_groups`: Tuple spaces), a PettingZoo environment, and a
    gymnasium environment with Tuple spaces are wrapped.

    Args:
        env: The environment.
        state: For environments made for RLlib's old QMIX whose agents each observe a "state":
            "shared" uses it once, "concatenate" joins them, "auto" plays a short probe to find out
            (`LegacyGroupedEnv`).

    Returns:
        An environment that follows the contract.

    Raises:
        ContractError: If the environment cannot be grouped, with the line that would group it.
    """
    if isinstance(env, UngroupedEnv):
        raise broken(
            "the environment was made with grouped: false",
            "the algorithms of this package play a team; each agent by itself is for RLlib's own",
            "leave grouped out of env_config",
        )
    kinds = {kind.__module__.partition(".")[0] for kind in type(env).__mro__}
    if "pettingzoo" in kinds:
        from env_registry.pettingzoo_env import ParallelTeamEnv  # here: it needs PettingZoo

        return ParallelTeamEnv(env)
    if isinstance((getattr(env, "observation_spaces", None) or {}).get(TEAM), spaces.Dict):
        check_spaces(env)
        return env
    if not isinstance(env, MultiAgentEnv):
        from env_registry.gymnasium_env import TupleGame, is_team  # here: it imports this package

        if is_team(env):
            from env_registry.team import TeamEnv

            return TeamEnv(TupleGame(env))
        _refuse_spaces_by_agent(env)
    refuse_gym(env)
    return LegacyGroupedEnv(env, state=state)


def _refuse_spaces_by_agent(env: Any) -> None:
    """Refuses a `MultiAgentEnv` that does not say that it is one.

    Raises:
        ContractError: With the class to inherit from.
    """
    if getattr(env, "observation_spaces", None):
        name = type(env).__name__
        raise broken(
            f"{name} has spaces by agent, but is no MultiAgentEnv",
            "an environment whose reset and step return dictionaries by agent is a MultiAgentEnv",
            f"class {name}(MultiAgentEnv), from ray.rllib.env.multi_agent_env, and "
            "env.with_agent_groups(...)",
        )
