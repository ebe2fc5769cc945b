"""Any PettingZoo environment whose agents act at the same time, as a team.

`PettingZooEnv` is the registered one: it builds what `env_config` names. `ParallelTeamEnv` takes an
environment that is already there.

SuperSuit's wrappers can be named in `wrappers`. What the contract needs is done here and not by
them: its `pad_action_space_v0` lets an agent play the actions that it lacks, where a mask forbids
them, and its `black_death_v3` (3.11.0) reports every end as both terminated and truncated, one
step late.

Source: https://pettingzoo.farama.org/api/parallel/ (pettingzoo 1.27.0).
"""

from __future__ import annotations

from typing import Any

from pettingzoo import ParallelEnv

from env_registry.pettingzoo_env.build import as_parallel, build
from env_registry.tasks.pettingzoo import check_config
from env_registry.team import TeamEnv


class ParallelTeamEnv(TeamEnv):
    """A PettingZoo ParallelEnv under the contract; an AECEnv that converts is converted."""

    def __init__(self, game: ParallelEnv, **options: Any):
        """Wraps an environment.

        Args:
            game: With `possible_agents`.
            **options: As `TeamEnv`.

        Raises:
            ContractError: If the environment cannot be brought under the contract.
        """
        super().__init__(as_parallel(game), **options)


class PettingZooEnv(ParallelTeamEnv):
    """A PettingZoo environment by its import path."""

    def __init__(
        self,
        task: str = "mpe2.simple_spread_v3",
        env_kwargs: dict[str, Any] | None = None,
        n_actions: int = 5,
        state: str = "auto",
        team_reward: str = "sum",
        max_episode_steps: int | None = None,
        wrappers: list[Any] | None = None,
    ):
        """Imports, builds and wraps an environment.

        Args:
            task: "package.module" with parallel_env (or env, which must convert), or
                "package.module:name".
            env_kwargs: Arguments of the environment itself.
            n_actions: As `TeamEnv`, like the rest.
            state: "auto", "state" or "observations".
            team_reward: "sum", "mean" or "shared".
            max_episode_steps: Time limit, env steps, beside the environment's own.
            wrappers: SuperSuit's, the first applied first: names, or {name: {argument: value}}.

        Raises:
            TaskError: If there is no such environment or wrapper.
            ContractError: If it cannot be brought under the contract.
        """
        check_config({"wrappers": wrappers})
        super().__init__(
            build(task, env_kwargs or {}, wrappers or ()),
            n_actions=n_actions,
            state=state,
            team_reward=team_reward,
            max_episode_steps=max_episode_steps,
        )
