"""The row of PettingZoo."""

from __future__ import annotations

from env_registry.rows.row import TASKS, EnvRow, Option

PETTINGZOO = EnvRow(
    name="pettingzoo",
    entry_point="env_registry.pettingzoo_env:PettingZooEnv",
    summary="Any PettingZoo environment by its import path, as a team.",
    packages=("pettingzoo", "mpe2"),
    extra="pettingzoo",
    default_task="mpe2.simple_spread_v3",
    tasks=("mpe2.simple_spread_v3", "mpe2.simple_speaker_listener_v4"),
    options={
        "task": Option("mpe2.simple_spread_v3", "package.module or package.module:name", str),
        "env_kwargs": Option(None, "arguments of the environment itself", dict),
        "n_actions": Option(5, "values for each number of a continuous action", int, least=2),
        "state": Option("auto", "the global state", str, ("auto", "state", "observations")),
        "team_reward": Option(
            "sum", "the team's reward, of its agents'", str, ("sum", "mean", "shared")
        ),
        "max_episode_steps": Option(
            None, "time limit in env steps (truncation); None: the environment's own", int, least=1
        ),
        "wrappers": Option(None, "SuperSuit's wrappers, the first applied first", list),
    },
    said={
        **dict.fromkeys(TASKS, "which environment is said by task, task: mpe2.simple_spread_v3"),
        **dict.fromkeys(("time_limit", "horizon"), "the time limit is max_episode_steps"),
    },
    other_keys="the environment's own arguments belong under env_kwargs",
    task_check="env_registry.tasks.pettingzoo:check_task",
    config_check="env_registry.tasks.pettingzoo:check_config",
)
