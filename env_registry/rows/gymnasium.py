"""The row of gymnasium's environments of several agents."""

from __future__ import annotations

from env_registry.rows.row import TASKS, EnvRow, Option

GYMNASIUM = EnvRow(
    name="gymnasium",
    entry_point="env_registry.gymnasium_env:GymnasiumEnv",
    summary="RWARE, and any gymnasium environment of several agents (Tuple spaces) by its id.",
    task_problem="env_registry.tasks.gymnasium:task_problem",
    default_task="rware:rware-tiny-2ag-v2",
    tasks=("rware:rware-tiny-2ag-v2", "lbforaging:Foraging-8x8-2p-2f-v3"),
    options={
        "task": Option("rware:rware-tiny-2ag-v2", "module:id, or a registered id", str),
        "env_kwargs": Option(None, "arguments of the environment itself", dict),
        "n_actions": Option(5, "values for each number of a continuous action", int, least=2),
        "state": Option("auto", "the global state", str, ("auto", "state", "observations")),
        "team_reward": Option(
            "sum", "the team's reward, of its agents'", str, ("sum", "mean", "shared")
        ),
        "max_episode_steps": Option(
            None, "time limit in env steps (truncation); None: the environment's own", int, least=1
        ),
    },
    said={
        **dict.fromkeys(TASKS, "which environment is said by task, task: rware:rware-tiny-2ag-v2"),
        **dict.fromkeys(("time_limit", "horizon"), "the time limit is max_episode_steps"),
    },
    other_keys="the environment's own arguments belong under env_kwargs",
    task_check="env_registry.tasks.gymnasium:check_task",
)
