"""The row of PettingZoo."""

from __future__ import annotations

from env_registry.rows.row import TASKS, TEAM_OPTIONS, TEAM_SAID, EnvRow, Option

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
        **TEAM_OPTIONS,
        "wrappers": Option(None, "SuperSuit's wrappers, the first applied first", list),
    },
    said={
        **dict.fromkeys(TASKS, "which environment is said by task, task: mpe2.simple_spread_v3"),
        **TEAM_SAID,
    },
    other_keys="the environment's own arguments belong under env_kwargs",
    task_check="env_registry.tasks.pettingzoo:check_task",
    config_check="env_registry.tasks.pettingzoo:check_config",
)
