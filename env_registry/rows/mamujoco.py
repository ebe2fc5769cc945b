"""The row of Multi-Agent MuJoCo."""

from __future__ import annotations

from env_registry.rows.row import TASKS, TIME_LIMITS, EnvRow, Option

_TASK = "robot and agents are one task, task: HalfCheetah_6x1"

MAMUJOCO = EnvRow(
    name="mamujoco",
    entry_point="env_registry.mamujoco:MAMuJoCoEnv",
    summary="Multi-Agent MuJoCo: a robot whose joints are moved by several agents.",
    packages=("gymnasium_robotics", "mujoco"),
    extra="mamujoco",
    default_task="Hopper_3x1",
    tasks=(
        "Hopper_3x1",
        "HalfCheetah_6x1",
        "Walker2d_6x1",
        "Ant_8x1",
        "Ant_4x2",
        "ManySegmentSwimmer_10x2",
    ),
    options={
        "task": Option("Hopper_3x1", "which robot, and its agents", str),
        "agent_obsk": Option(2, "how many joints away an agent sees", int, least=0),
        "n_actions": Option(5, "values that each joint's torque can take", int, least=2),
        "max_episode_steps": Option(
            None, "time limit in env steps (truncation); None: the robot's own", int, least=1
        ),
    },
    said={
        **dict.fromkeys((*TASKS, "scenario", "agent_conf", "robot", "partition"), _TASK),
        **dict.fromkeys(TIME_LIMITS, "the time limit is max_episode_steps"),
    },
    task_check="env_registry.tasks.mamujoco:check_task",
    config_check="env_registry.tasks.mamujoco:check_config",
)
