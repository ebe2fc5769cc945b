"""The row of Level-Based Foraging."""

from __future__ import annotations

from env_registry.rows.row import TASKS, TIME_LIMITS, EnvRow, Option

_BY_ID = "None: as the task id says"

LBF = EnvRow(
    name="lbf",
    entry_point="env_registry.lbf:LBFEnv",
    summary="Level-Based Foraging: players collect food that needs their joint level.",
    packages=("lbforaging",),
    extra="lbf",
    default_task="8x8-2p-2f-v2",
    tasks=(
        "8x8-2p-2f-v2",
        "2s-8x8-2p-2f-coop-v2",
        "10x10-3p-5f-v2",
        "10x10-4p-3f-v2",
        "2s-10x10-3p-3f-v2",
    ),
    options={
        "task": Option("8x8-2p-2f-v2", "which game; `rllib docs environments/lbf`: ids", str),
        "scale_observations": Option(True, "bring observations to [0, 1]", bool),
        "mask_invalid_actions": Option(False, "mask moves that cannot succeed", bool),
        "max_episode_steps": Option(50, "time limit in env steps (truncation)", int, least=1),
        "state": Option(
            "observations", "the global state: all observations", str, ("observations",)
        ),
        "exclusive_levels": Option(
            False, "levels stay below their maximum, as lbforaging 1.x drew them", bool
        ),
        "normalize_reward": Option(True, "a team that collects everything earns 1", bool),
        "observe_agent_levels": Option(True, "players see each other's levels", bool),
        "min_player_level": Option(None, f"lowest level of a player; {_BY_ID}", int, least=1),
        "max_player_level": Option(None, f"highest level of a player; {_BY_ID}", int, least=1),
        "min_food_level": Option(None, f"lowest level of a food; {_BY_ID}", int, least=1),
        "max_food_level": Option(None, f"highest level of a food; {_BY_ID}", int, least=1),
        "penalty": Option(None, f"cost of a failed attempt to load; {_BY_ID}", float, least=0),
    },
    said={
        **dict.fromkeys(TASKS, "which game is said in the task, task: 8x8-2p-2f-v2"),
        **dict.fromkeys(TIME_LIMITS, "the time limit is max_episode_steps"),
        "sight": "sight is said in the task, 2s-8x8-2p-2f-v2 for two cells; the whole field if "
        "left out",
        **dict.fromkeys(
            ("players", "n_agents", "num_agents", "n_players"),
            "the number of players is said in the task, 8x8-3p-2f-v2 for three",
        ),
        **dict.fromkeys(
            ("max_food", "max_num_food", "n_food", "foods", "num_food"),
            "the number of foods is said in the task, 8x8-2p-3f-v2 for three",
        ),
        **dict.fromkeys(
            ("field_size", "size", "grid_size"),
            "the field is said in the task, 10x10-3p-3f-v2 for ten by ten",
        ),
        **dict.fromkeys(
            ("force_coop", "coop"), "cooperation is said in the task, 8x8-2p-2f-coop-v2"
        ),
        "grid_observation": "grid observations are said in the task, grid-8x8-2p-2f-v2",
    },
    task_check="env_registry.tasks.lbf:check_task",
    config_check="env_registry.tasks.lbf:check_levels",
)
