"""What is known of every environment without importing it: one row each.

Importing this module imports no environment and no package that an environment needs; a row names
both. A new environment is one adapter file and one row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from env_registry.smac_tasks import SMAC_MAPS, smacv2_tasks


class Option(NamedTuple):
    """One key of env_config: its default, what it means, and which values it takes.

    `kind`: bool, int, float or str (an int passes for a float); None beside it is allowed where
    the default is None. `choices`: the values allowed, if they are few.
    """

    default: Any
    meaning: str
    kind: type
    choices: tuple[Any, ...] = ()


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
            does not tell; cheap to import.
        notice: "module:callable" that returns what a user should be told of an env_config at the
            start of a run, one line, or "".
        vector_entry_point: "module:callable", called with `num_envs` and env_config's entries, that
            makes an environment of several slots which are stepped by one call
            (rllib_mmsa/common/vector_env.py). Where it is None, or returns None, they are made and
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
    notice: str | None = None
    vector_entry_point: str | None = None


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

_BY_ID = "None: as the task id says"

# StarCraft II: the arguments of smacv2's StarCraft2Env, and three of ours at the end.
_STARCRAFT2 = {
    "difficulty": Option("7", "of the game's own AI", str, (*"123456789", "A")),
    "game_version": Option(None, "such as 4.10; None: the newest installed", str),
    "step_mul": Option(8, "game loops per env step", int),
    "move_amount": Option(2.0, "how far a move goes", float),
    "episode_limit": Option(None, "time limit in env steps (truncation); None: the map's", int),
    "obs_all_health": Option(True, "agents see the health of others in sight", bool),
    "obs_own_health": Option(True, "agents see their own health", bool),
    "obs_last_action": Option(False, "agents see the last actions of allies in sight", bool),
    "obs_pathing_grid": Option(False, "agents see where one can walk around them", bool),
    "obs_terrain_height": Option(False, "agents see the height around them", bool),
    "obs_timestep_number": Option(False, "agents see the time", bool),
    "obs_own_pos": Option(False, "agents see where they are", bool),
    "obs_instead_of_state": Option(False, "the state is all observations", bool),
    "prob_obs_enemy": Option(
        1.0, "chance to see an enemy that another agent saw first (SMACv2's EPO task: 0)", float
    ),
    "fully_observable": Option(False, "agents see everything", bool),
    "conic_fov": Option(False, "agents see a cone, and turn it by further actions", bool),
    "num_fov_actions": Option(12, "directions of the cone", int),
    "use_unit_ranges": Option(False, "each unit type has its own range", bool),
    "min_attack_range": Option(2, "range of units that fight hand to hand", int),
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
    "reset_timeout_s": Option(180.0, "seconds after which a reset has failed", float),
}

ENVIRONMENTS: dict[str, EnvRow] = {
    row.name: row
    for row in (
        EnvRow(
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
                "task": Option("8x8-2p-2f-v2", "which game; docs/environments.md: ids", str),
                "scale_observations": Option(True, "bring observations to [0, 1]", bool),
                "mask_invalid_actions": Option(False, "mask moves that cannot succeed", bool),
                "max_episode_steps": Option(50, "time limit in env steps (truncation)", int),
                "state": Option(
                    "observations", "the global state: all observations", str, ("observations",)
                ),
                "exclusive_levels": Option(
                    False, "levels stay below their maximum, as lbforaging 1.x drew them", bool
                ),
                "normalize_reward": Option(True, "a team that collects everything earns 1", bool),
                "observe_agent_levels": Option(True, "players see each other's levels", bool),
                "min_player_level": Option(None, f"lowest level of a player; {_BY_ID}", int),
                "max_player_level": Option(None, f"highest level of a player; {_BY_ID}", int),
                "min_food_level": Option(None, f"lowest level of a food; {_BY_ID}", int),
                "max_food_level": Option(None, f"highest level of a food; {_BY_ID}", int),
                "penalty": Option(None, f"cost of a failed attempt to load; {_BY_ID}", float),
            },
            task_check="env_registry.lbf_ids:check_task",
        ),
        EnvRow(
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
                "agent_obsk": Option(2, "how many joints away an agent sees", int),
                "n_actions": Option(5, "values that each joint's torque can take", int),
                "max_episode_steps": Option(
                    None, "time limit in env steps (truncation); None: the robot's own", int
                ),
            },
            task_check="env_registry.mamujoco_tasks:check_task",
            config_check="env_registry.mamujoco_tasks:check_config",
        ),
        EnvRow(
            name="pettingzoo",
            entry_point="env_registry.pettingzoo_env:PettingZooEnv",
            summary="Any PettingZoo environment by its import path, as a team.",
            packages=("pettingzoo", "mpe2"),
            extra="pettingzoo",
            default_task="mpe2.simple_spread_v3",
            tasks=("mpe2.simple_spread_v3", "mpe2.simple_speaker_listener_v4"),
            options={
                "task": Option(
                    "mpe2.simple_spread_v3", "package.module or package.module:name", str
                ),
                "env_kwargs": Option(None, "arguments of the environment itself", dict),
                "n_actions": Option(5, "values for each number of a continuous action", int),
                "state": Option("auto", "the global state", str, ("auto", "state", "observations")),
                "team_reward": Option(
                    "sum", "the team's reward, of its agents'", str, ("sum", "mean", "shared")
                ),
                "max_episode_steps": Option(
                    None, "time limit in env steps (truncation); None: the environment's own", int
                ),
                "wrappers": Option(None, "SuperSuit's wrappers, the first applied first", list),
            },
            task_check="env_registry.pettingzoo_tasks:check_task",
            config_check="env_registry.pettingzoo_tasks:check_config",
        ),
        EnvRow(
            name="smacv2",
            entry_point="env_registry.smac_make:make_smacv2",
            vector_entry_point="env_registry.smac_make:make_smacv2_slots",
            summary="SMACv2: StarCraft II battles with drawn teams and places.",
            packages=("smacv2", "pysc2"),
            default_task="terran_5_units",
            tasks=smacv2_tasks(),
            options={
                "task": Option("terran_5_units", "which battle; docs/environments.md", str),
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
            task_check="env_registry.smac_tasks:parse_smacv2",
            config_check="env_registry.smac_backend:check_smacv2_config",
            installed_check="env_registry.smac_backend:smacv2_installed",
            notice="env_registry.smac_backend:notice",
        ),
        EnvRow(
            name="smac",
            entry_point="env_registry.smac_make:make_smac",
            summary="SMAC: StarCraft II battles on fixed maps, played by smacv2.",
            packages=("smacv2", "pysc2"),
            default_task="3m",
            tasks=SMAC_MAPS,
            options={"task": Option("3m", "the map", str), **_STARCRAFT2},
            task_check="env_registry.smac_tasks:check_smac",
            config_check="env_registry.smac_backend:check_smac_config",
            installed_check="env_registry.smac_backend:smac_installed",
        ),
        EnvRow(
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
                "max_episode_steps": Option(100, "time limit in env steps (truncation)", int),
                "scale_state": Option(True, "bring the world state to [0, 1]", bool),
                "observation_type": Option(
                    "unit_list", "how other units are shown", str, ("unit_list", "conic")
                ),
                "see_enemy_actions": Option(True, "show the enemies' last actions", bool),
                "walls_cause_death": Option(True, "a unit that touches the border dies", bool),
                "won_battle_bonus": Option(1.0, "reward for a win", float),
                "attack_mode": Option(
                    "closest", "whom an enemy shoots at", str, ("closest", "random")
                ),
                "enemy_shoots": Option(True, "off: enemies only walk", bool),
                "map_width": Option(32, "width of the map", int),
                "map_height": Option(32, "height of the map", int),
                "world_steps_per_env_step": Option(8, "steps of 1/16 s per action", int),
            },
        ),
        EnvRow(
            name="counter",
            entry_point="env_registry.toy:CounterEnv",
            summary="A test environment whose every number says where it belongs.",
            options={
                "n_agents": Option(3, "number of agents", int),
                "n_actions": Option(4, "number of actions", int),
                "min_length": Option(4, "fewest env steps of an episode", int),
                "max_length": Option(9, "most env steps of an episode", int),
                "ends_by": Option(
                    "termination",
                    "how episodes end",
                    str,
                    ("termination", "truncation", "mixed"),
                ),
            },
        ),
        EnvRow(
            name="two_step",
            entry_point="env_registry.toy:TwoStepEnv",
            summary="The QMIX paper's two-step game; the best return is 8, the safe one 7.",
        ),
        EnvRow(
            name="climbing",
            entry_point="env_registry.toy:ClimbingEnv",
            summary="One-step matrix games that punish miscoordination; best 11 (penalty: 10).",
            options={
                "game": Option("climbing", "which matrix", str, ("climbing", "penalty")),
                "penalty": Option(-10.0, "what the penalty game's wrong corners pay", float),
            },
        ),
    )
}
