"""The row of SMAX: battles without StarCraft II."""

from __future__ import annotations

from env_registry.rows.row import EnvRow, Option

#: The scenarios of jaxmarl 0.2.0.
SMAX_TASKS = (
    "3m",
    "8m",
    "25m",
    "5m_vs_6m",
    "10m_vs_11m",
    "27m_vs_30m",
    "2s3z",
    "3s5z",
    "3s5z_vs_3s6z",
    "3s_vs_5z",
    "6h_vs_8z",
    "smacv2_5_units",
    "smacv2_10_units",
    "smacv2_20_units",
)

SMAX = EnvRow(
    name="smax",
    entry_point="env_registry.smax:SmaxEnv",
    vector_entry_point="env_registry.smax:SmaxVectorEnv",
    summary="SMAX: battles of SMAC and SMACv2 on JAX, without StarCraft II.",
    packages=("jaxmarl",),
    extra="smax",
    default_task="3m",
    tasks=SMAX_TASKS,
    options={
        "task": Option("3m", "the scenario", str, SMAX_TASKS),
        "max_episode_steps": Option(100, "time limit in env steps (truncation)", int, least=1),
        "scale_state": Option(True, "bring the world state to [0, 1]", bool),
        "observation_type": Option(
            "unit_list", "how other units are shown", str, ("unit_list", "conic")
        ),
        "see_enemy_actions": Option(True, "show the enemies' last actions", bool),
        "walls_cause_death": Option(True, "a unit that touches the border dies", bool),
        "won_battle_bonus": Option(1.0, "reward for a win", float),
        "attack_mode": Option("closest", "whom an enemy shoots at", str, ("closest", "random")),
        "enemy_shoots": Option(True, "off: enemies only walk", bool),
        "map_width": Option(32, "width of the map", int, least=1),
        "map_height": Option(32, "height of the map", int, least=1),
        "world_steps_per_env_step": Option(8, "steps of 1/16 s per action", int, least=1),
    },
)
