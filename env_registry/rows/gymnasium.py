"""The row of gymnasium's environments of several agents."""

from __future__ import annotations

from env_registry.rows.row import TASKS, TEAM_OPTIONS, TEAM_SAID, EnvRow, Option

GYMNASIUM = EnvRow(
    name="gymnasium",
    entry_point="env_registry.gymnasium_env:GymnasiumEnv",
    summary="RWARE, and any gymnasium environment of several agents (Tuple spaces) by its id.",
    task_problem="env_registry.tasks.gymnasium:task_problem",
    default_task="rware:rware-tiny-2ag-v2",
    tasks=("rware:rware-tiny-2ag-v2", "lbforaging:Foraging-8x8-2p-2f-v3"),
    options={
        "task": Option("rware:rware-tiny-2ag-v2", "module:id, or a registered id", str),
        **TEAM_OPTIONS,
    },
    said={
        **dict.fromkeys(TASKS, "which environment is said by task, task: rware:rware-tiny-2ag-v2"),
        **TEAM_SAID,
    },
    other_keys="the environment's own arguments belong under env_kwargs",
    task_check="env_registry.tasks.gymnasium:check_task",
)
