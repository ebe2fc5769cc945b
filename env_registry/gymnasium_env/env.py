"""Any gymnasium environment of several agents by its id: RWARE, Level-Based Foraging, your own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec

from env_registry.errors import broken
from env_registry.gymnasium_env.game import TupleGame
from env_registry.tasks.gymnasium import find_spec
from env_registry.team import TeamEnv


class GymnasiumEnv(TeamEnv):
    """A gymnasium environment with Tuple spaces, by its id."""

    def __init__(
        self,
        task: str = "rware:rware-tiny-2ag-v2",
        env_kwargs: dict[str, Any] | None = None,
        n_actions: int = 5,
        state: str = "auto",
        team_reward: str = "sum",
        max_episode_steps: int | None = None,
    ):
        """Builds an environment.

        Args:
            task: "module:id", or the id of an environment that is registered already.
            env_kwargs: Arguments of the environment itself.
            n_actions: As `TeamEnv`, like the rest.
            state: "auto", "state" or "observations".
            team_reward: "sum", "mean" or "shared".
            max_episode_steps: Time limit, env steps, beside the environment's own. RWARE's own,
                which it calls an end, is taken for a truncation.

        Raises:
            TaskError: If there is no such environment.
            ContractError: If it does not take its arguments or cannot be brought under the
                contract.
        """
        spec = find_spec(task)
        if str(spec.entry_point).startswith("rware."):
            env_kwargs, max_episode_steps = _limit(spec, env_kwargs or {}, max_episode_steps)
        try:
            # Gymnasium's checker knows one agent: it warns of lists of rewards.
            env = gymnasium.make(spec, disable_env_checker=True, **(env_kwargs or {}))
        except TypeError as error:
            raise broken(
                f"{task} was not built with the arguments {env_kwargs or {}}: {error}",
                "they are those that it takes",
                "correct env_kwargs",
            ) from error
        super().__init__(
            TupleGame(env),
            n_actions=n_actions,
            state=state,
            team_reward=team_reward,
            max_episode_steps=max_episode_steps,
        )


def _limit(
    spec: EnvSpec, env_kwargs: Mapping[str, Any], wanted: int | None
) -> tuple[dict[str, Any], int | None]:
    """RWARE without its time limit, which it reports as termination, and the limit to keep."""
    own = env_kwargs.get("max_steps", spec.kwargs.get("max_steps"))
    limits = [limit for limit in (own, wanted) if limit]
    return {**env_kwargs, "max_steps": None}, min(limits, default=None)
