"""What a row of the registry holds, and what an option of env_config does."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Option(NamedTuple):
    """One key of env_config: its default, what it means, and which values it takes.

    `kind`: bool, int, float or str (an int passes for a float); None beside it is allowed where
    the default is None. `choices`: the values allowed, if they are few. `least`: the smallest
    number allowed, itself included; None = any.
    """

    default: Any
    meaning: str
    kind: type
    choices: tuple[Any, ...] = ()
    least: float | None = None


DISTRIBUTION = "rllib-mmsa"


#: How people coming from elsewhere say a time limit.
TIME_LIMITS = ("time_limit", "episode_limit", "max_steps", "max_cycles", "horizon")
#: How they say which game.
TASKS = ("key", "map_name", "map", "env_id", "id", "scenario_name", "env_name")
#: What every environment takes that is brought under the contract by `env_registry.team`.
TEAM_OPTIONS = {
    "env_kwargs": Option(None, "arguments of the environment itself", dict),
    "n_actions": Option(5, "values for each number of a continuous action", int, least=2),
    "state": Option("auto", "the global state", str, ("auto", "state", "observations")),
    "team_reward": Option(
        "sum", "the team's reward, of its agents'", str, ("sum", "mean", "shared")
    ),
    "max_episode_steps": Option(
        None, "time limit in env steps (truncation); None: the environment's own", int, least=1
    ),
}
#: How other packages call the last of them.
TEAM_SAID = dict.fromkeys(("time_limit", "horizon"), "the time limit is max_episode_steps")

#: What every environment takes: how RLlib is shown it (`env_registry.contract.ungrouped`).
SHARED_OPTIONS = {
    "grouped": Option(
        True, "one team agent; false: each agent is its own, for RLlib's algorithms", bool
    ),
    "limit_is_end": Option(
        False, "with grouped: false, the time limit terminates and does not truncate", bool
    ),
}


@dataclass(frozen=True)
class EnvRow:
    """What is known of an environment without importing it.

    Attributes:
        name: Under which it is registered with Ray Tune.
        entry_point: "module:callable", called with env_config's entries as keywords.
        summary: One line.
        packages: Modules it imports beyond this project's own requirements.
        extra: The extra of the distribution that installs them; "" if there are none.
        default_task: Value of "task" if env_config has none; None if there are no tasks.
        tasks: Some tasks, for lists and for near misses.
        options: The keys of env_config.
        task_check: "module:callable" that raises ValueError for a bad task; cheap to import.
        config_check: The same for the whole env_config, where keys depend on each other or are
            out of range; called once no value of it is a search space.
        installed_check: "module:callable" that returns (bool, reason), where looking for `packages`
            does not tell; cheap to import. (True, reason) where something else stands in.
        task_problem: "module:callable" that is given a task and returns which package it needs that
            is not installed, with the line that installs it, or ""; where they depend on the task.
        said: How things are said here that other programs say by another key of theirs.
        other_keys: Where keys belong that are none of `options`, in words; "" if nowhere.
        notice: "module:callable" that returns what a user should be told of an env_config at the
            start of a run, one line, or "".
        stand_in: "module:callable" that returns the game that plays in the place of the one which
            the environment is named after, for an env_config, or ""; None: there is no other.
        least_envs: "module:callable" that returns how many a runner should play at once, at least,
            for an env_config; None: as many as the configuration says.
        vector_entry_point: "module:callable", called with `num_envs` and env_config's entries, that
            makes an environment of several slots which are stepped by one call
            (rllib_mmsa/rllib/vector_env.py). Where it is None, or returns None, they are made and
            stepped one by one.
    """

    name: str
    entry_point: str
    summary: str
    packages: tuple[str, ...] = ()
    extra: str = ""
    default_task: str | None = None
    tasks: tuple[str, ...] = ()
    options: Mapping[str, Option] = field(default_factory=dict)
    task_check: str | None = None
    config_check: str | None = None
    installed_check: str | None = None
    task_problem: str | None = None
    said: Mapping[str, str] = field(default_factory=dict)
    other_keys: str = ""
    notice: str | None = None
    vector_entry_point: str | None = None
    least_envs: str | None = None
    stand_in: str | None = None

    def packages_problem(self) -> str:
        """Which `packages` are missing, and the line that installs them; "" if none is."""
        missing = [module for module in self.packages if importlib.util.find_spec(module) is None]
        if not missing:
            return ""
        return (
            f"environment {self.name!r} needs {', '.join(missing)}, not installed here; install "
            f'with: pip install "{DISTRIBUTION}[{self.extra}]"'
        )
