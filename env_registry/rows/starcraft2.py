"""The rows of SMACv2 and SMAC: battles of StarCraft II."""

from __future__ import annotations

from env_registry.rows.row import TASKS, TIME_LIMITS, EnvRow, Option
from env_registry.tasks.starcraft2 import SMAC_MAPS, smacv2_tasks

# StarCraft II: the arguments of smacv2's StarCraft2Env, and three of ours at the end.
_STARCRAFT2 = {
    "difficulty": Option("7", "of the game's own AI", str, (*"123456789", "A")),
    "game_version": Option(None, "such as 4.10; None: the newest installed", str),
    "step_mul": Option(8, "game loops per env step", int, least=1),
    "move_amount": Option(2.0, "how far a move goes", float, least=0),
    "episode_limit": Option(
        None, "time limit in env steps (truncation); None: the map's", int, least=1
    ),
    "obs_all_health": Option(True, "agents see the health of others in sight", bool),
    "obs_own_health": Option(True, "agents see their own health", bool),
    "obs_last_action": Option(False, "agents see the last actions of allies in sight", bool),
    "obs_pathing_grid": Option(False, "agents see where one can walk around them", bool),
    "obs_terrain_height": Option(False, "agents see the height around them", bool),
    "obs_timestep_number": Option(False, "agents see the time", bool),
    "obs_own_pos": Option(False, "agents see where they are", bool),
    "obs_instead_of_state": Option(False, "the state is all observations", bool),
    "prob_obs_enemy": Option(
        1.0,
        "chance to see an enemy that another agent saw first (SMACv2's EPO task: 0)",
        float,
        least=0,
    ),
    "fully_observable": Option(False, "agents see everything", bool),
    "conic_fov": Option(False, "agents see a cone, and turn it by further actions", bool),
    "num_fov_actions": Option(12, "directions of the cone", int, least=1),
    "use_unit_ranges": Option(False, "each unit type has its own range", bool),
    "min_attack_range": Option(2, "range of units that fight hand to hand", int, least=0),
    "action_mask": Option(True, "off: targets out of range are not masked", bool),
    "state_last_action": Option(True, "the state holds the last actions", bool),
    "state_timestep_number": Option(False, "the state holds the time", bool),
    "reward_sparse": Option(False, "only 1 for a win and -1 for a loss", bool),
    "reward_only_positive": Option(True, "nothing is lost with allies", bool),
    "reward_death_value": Option(10.0, "for a defeated enemy", float),
    "reward_win": Option(200.0, "for a win", float),
    "reward_defeat": Option(0.0, "for a loss", float),
    "reward_negative_scale": Option(0.5, "weight of losses, if they count", float),
    "reward_scale": Option(True, "scale rewards down to reward_scale_rate", bool),
    "reward_scale_rate": Option(20.0, "what winning without a loss pays, scaled", float),
    "heuristic_ai": Option(False, "a fixed policy acts instead (for tests)", bool),
    "heuristic_rest": Option(False, "that policy lets the last unit rest", bool),
    "debug": Option(False, "log observations, states, actions and rewards", bool),
    "reward_scale_by": Option(
        "episode",
        "scale by this episode's enemies, or by the first's as smacv2",
        str,
        ("episode", "first_episode"),
    ),
    "exact_seeds": Option(
        False, "a new game for each seeded reset, so that battles repeat to the last number", bool
    ),
    "reset_timeout_s": Option(180.0, "seconds after which a reset has failed", float, least=1),
}

_LIMIT = {
    key: "the time limit is episode_limit"
    for key in (*TIME_LIMITS, "max_episode_steps")
    if key != "episode_limit"
}
_TEAMS = "race and units are said in the task, task: terran_5_vs_6"

SMACV2 = EnvRow(
    name="smacv2",
    entry_point="env_registry.starcraft2.make:make_smacv2",
    vector_entry_point="env_registry.starcraft2.make:make_smacv2_slots",
    summary="SMACv2: StarCraft II battles with drawn teams and places.",
    packages=("smacv2", "pysc2"),
    default_task="terran_5_units",
    tasks=smacv2_tasks(),
    options={
        "task": Option("terran_5_units", "which battle; `rllib docs environments/starcraft2`", str),
        "backend": Option(
            "auto",
            "which game: StarCraft II, SMAX, or the first of them that is installed",
            str,
            ("auto", "starcraft2", "smax"),
        ),
        "capability_config": Option(None, "changes to what is drawn", dict),
        **_STARCRAFT2,
        "obs_own_pos": Option(True, "agents see where they are", bool),
        "use_unit_ranges": Option(True, "each unit type has its own range", bool),
    },
    said={
        **dict.fromkeys(TASKS, "which battle is said by task, task: terran_5_units"),
        **dict.fromkeys(("race", "n_units", "n_enemies", "n_allies", "n_agents"), _TEAMS),
        "distribution_config": "what is drawn is changed by capability_config",
        **_LIMIT,
    },
    task_check="env_registry.tasks.starcraft2:parse_smacv2",
    config_check="env_registry.starcraft2.backend:check_smacv2_config",
    installed_check="env_registry.starcraft2.backend:smacv2_installed",
    notice="env_registry.starcraft2.backend:notice",
    stand_in="env_registry.starcraft2.backend:stand_in",
    least_envs="env_registry.starcraft2.backend:least_envs",
)

SMAC = EnvRow(
    name="smac",
    entry_point="env_registry.starcraft2.make:make_smac",
    summary="SMAC: StarCraft II battles on fixed maps, played by smacv2.",
    packages=("smacv2", "pysc2"),
    default_task="3m",
    tasks=SMAC_MAPS,
    options={"task": Option("3m", "the map", str), **_STARCRAFT2},
    said={**dict.fromkeys(TASKS, "the map is said by task, task: 3m"), **_LIMIT},
    task_check="env_registry.tasks.starcraft2:check_smac",
    config_check="env_registry.starcraft2.backend:check_smac_config",
    installed_check="env_registry.starcraft2.backend:smac_installed",
)
