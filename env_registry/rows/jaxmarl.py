"""The row of JaxMARL's particle worlds (MPE) and kitchens (Overcooked)."""

from __future__ import annotations

from env_registry.rows.row import TASKS, TIME_LIMITS, EnvRow, Option

DEFAULT = "MPE_simple_spread_v3"

JAXMARL = EnvRow(
    name="jaxmarl",
    entry_point="env_registry.jaxmarl_env:JaxmarlEnv",
    vector_entry_point="env_registry.jaxmarl_env:JaxmarlVectorEnv",
    summary="JaxMARL's MPE (spread, reference, speaker and listener) and Overcooked, on JAX.",
    packages=("jaxmarl",),
    extra="jaxmarl",
    task_check="env_registry.tasks.jaxmarl:check_task",
    config_check="env_registry.tasks.jaxmarl:check_config",
    default_task=DEFAULT,
    tasks=(
        *(DEFAULT, "MPE_simple_reference_v3", "MPE_simple_speaker_listener_v4"),
        *("overcooked:cramped_room", "overcooked:asymm_advantages", "overcooked:coord_ring"),
        *("overcooked:forced_coord", "overcooked:counter_circuit", "overcooked_v2:two_rooms"),
    ),
    options={
        "task": Option(DEFAULT, "jaxmarl's name; overcooked:LAYOUT, overcooked_v2:LAYOUT", str),
        "max_episode_steps": Option(
            None,
            "time limit in env steps (truncation); None: 25 in MPE, 400 in Overcooked",
            int,
            least=1,
        ),
        "shaped_reward": Option(
            0.0, "Overcooked: weight of the reward for steps on the way to a soup", float, least=0
        ),
        "env_kwargs": Option(None, "arguments of jaxmarl's environment itself", dict),
    },
    said={
        **dict.fromkeys(TASKS, f"which game is said by task, task: {DEFAULT}"),
        **dict.fromkeys(TIME_LIMITS, "the time limit is max_episode_steps"),
        "layout": "the layout is part of the task, task: overcooked:cramped_room",
        "layout_name": "the layout is part of the task, task: overcooked:cramped_room",
        "reward_shaping": "the weight of shaped rewards is shaped_reward",
    },
    other_keys="the environment's own arguments belong under env_kwargs",
)
