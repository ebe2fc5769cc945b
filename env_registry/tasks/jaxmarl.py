"""The tasks of jaxmarl that are played here, by the package's own names; the package is not needed.

    MPE_simple_spread_v3       as `jaxmarl.make` calls it
    overcooked:cramped_room    its Overcooked, and one of its layouts
    overcooked_v2:two_rooms    its OvercookedV2, and one of its layouts

Source: jaxmarl 0.2.0, `registration.py`, `environments/overcooked/layouts.py` and
`environments/overcooked_v2/layouts.py`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, NamedTuple

from env_registry.errors import TaskError


class Argument(NamedTuple):
    """What one of env_kwargs may be: its type, and its smallest and greatest value."""

    kind: type
    least: float | None = None
    most: float | None = None


MPE: dict[str, dict[str, Argument]] = {  # with what the constructors take
    "MPE_simple_spread_v3": {
        "num_agents": Argument(int, 2),
        "num_landmarks": Argument(int, 1),
        "local_ratio": Argument(float, 0, 1),
    },
    "MPE_simple_reference_v3": {"local_ratio": Argument(float, 0, 1)},
    "MPE_simple_speaker_listener_v4": {},
}
_FLAGS_V2 = (
    *("random_reset", "random_agent_positions", "start_cooking_interaction", "negative_rewards"),
    *("sample_recipe_on_delivery", "indicate_successful_delivery"),
)
OVERCOOKED: dict[str, dict[str, Argument]] = {
    "overcooked": {"random_reset": Argument(bool)},
    "overcooked_v2": {
        "agent_view_size": Argument(int, 1),
        **dict.fromkeys(_FLAGS_V2, Argument(bool)),
    },
}
_FIRST = ("cramped_room", "asymm_advantages", "coord_ring", "forced_coord", "counter_circuit")
LAYOUTS = {
    "overcooked": _FIRST,
    "overcooked_v2": (
        *_FIRST,
        *("cramped_room_v2", "asymm_advantages_recipes_center", "asymm_advantages_recipes_right"),
        *("asymm_advantages_recipes_left", "two_rooms", "two_rooms_both"),
        *("fun_coordination", "more_fun_coordination", "fun_symmetries", "fun_symmetries_plates"),
        *("fun_symmetries1", "grounded_coord_simple", "grounded_coord_ring", "test_time_simple"),
        *("test_time_wide", "demo_cook_simple", "demo_cook_wide"),
    ),
}
JAXMARL_TASKS = (*MPE, *(f"{game}:{layout}" for game in LAYOUTS for layout in LAYOUTS[game]))

_NO_TEAM = "is not cooperative: its agents are not one team"
_CONTINUOUS = "has continuous actions"
REFUSED = {  # others that `jaxmarl.make` knows
    **dict.fromkeys(("MPE_simple_v3", "overcooked_v2:long_room"), "has a single agent"),
    **dict.fromkeys(
        (
            *("MPE_simple_tag_v3", "MPE_simple_world_comm_v3", "MPE_simple_crypto_v3"),
            *("MPE_simple_push_v3", "MPE_simple_adversary_v3"),
            *("storm", "storm_2p", "storm_np", "coin_game"),
        ),
        _NO_TEAM,
    ),
    **dict.fromkeys(
        (f"MPE_simple_facmac{size}_v1" for size in ("", "_3a", "_6a", "_9a")), _CONTINUOUS
    ),
}
ELSEWHERE = {  # those that another environment plays
    **dict.fromkeys(("SMAX", "HeuristicEnemySMAX"), "env: smax, task: 3m"),
    **dict.fromkeys(("ant_4x2", "halfcheetah_6x1", "hopper_3x1"), "env: mamujoco"),
    **dict.fromkeys(("humanoid_9|8", "walker2d_2x3"), "env: mamujoco"),
}


def check_task(task: str) -> None:
    """Raises TaskError if `task` is none that is played here; what the registry calls first."""
    if task in JAXMARL_TASKS:
        return
    if task in ELSEWHERE:
        raise TaskError(f'task "{task}" is played by another: {ELSEWHERE[task]}')
    what = REFUSED.get(task, "is not one of jaxmarl's that are played here")
    raise TaskError(
        f'task "{task}" {what}\n  rule:    a team and discrete actions: {", ".join(MPE)}, '
        f"overcooked:LAYOUT, overcooked_v2:LAYOUT{_nearest(task)}"
    )


def check_config(env_config: Mapping[str, Any]) -> None:
    """Raises TaskError for env_kwargs that the task's game does not take, or a reward it lacks."""
    task = env_config.get("task", JAXMARL_TASKS[0])
    game = task.partition(":")[0]
    if env_config.get("shaped_reward") and game in MPE:
        raise TaskError(
            f"shaped_reward is {env_config['shaped_reward']}, and {task} has no such reward; "
            "leave it out, or take one of overcooked's tasks"
        )
    takes = {**MPE, **OVERCOOKED}[game]
    for name, value in (env_config.get("env_kwargs") or {}).items():
        if name not in takes:
            raise TaskError(_unknown_argument(task, name, tuple(takes)))
        _check_argument(task, name, value, takes[name])


def _unknown_argument(task: str, name: str, takes: tuple[str, ...]) -> str:
    if name == "max_steps":
        return "env_kwargs has 'max_steps'; the time limit is max_episode_steps, beside env_kwargs"
    if name == "action_type":
        return "env_kwargs has 'action_type'; actions are discrete here: leave it out"
    return f"env_kwargs has {name!r}, and {task} takes {', '.join(takes) or 'none'}"


def _check_argument(task: str, name: str, value: Any, rule: Argument) -> None:
    kinds = (int, float) if rule.kind is float else (rule.kind,)
    fits = isinstance(value, kinds) and (rule.kind is bool or not isinstance(value, bool))
    limits = ""
    if rule.least is not None:
        fits = fits and rule.least <= value <= (rule.most or float("inf"))
        limits = f", {rule.least} " + (f"to {rule.most}" if rule.most else "or more")
    if not fits:
        raise TaskError(
            f"{name} in the env_kwargs of {task} is {value!r}, and must be of type "
            f"{rule.kind.__name__}{limits}"
        )


def _nearest(task: object) -> str:
    """A line with the task that a name comes nearest to, in whatever spelling; "" if to none."""
    spelt = {name.lower().replace("mpe_", ""): name for name in JAXMARL_TASKS}
    spelt |= {layout: f"overcooked:{layout}" for layout in LAYOUTS["overcooked"]}
    spelt |= {game: f"{game}:{_FIRST[0]}" for game in LAYOUTS}
    word = str(task).lower().replace("mpe_", "").removeprefix("mpe2.").replace("-", "_")
    near = difflib.get_close_matches(word, spelt, n=1, cutoff=0.5)
    return f"\n  nearest: {spelt[near[0]]}" if near else ""
