"""Which game plays `env: smacv2`: StarCraft II, or SMAX where StarCraft II is not installed.

The two are different games of one structure. Results of the two must not be mixed, so the choice is
said at the start of a run and written into its results (`env_backend`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from env_registry.errors import TaskError
from env_registry.rows.smax import SMAX as SMAX_ROW
from env_registry.starcraft2 import install
from env_registry.tasks.starcraft2 import capability_config, check_smac, parse_smacv2

logger = logging.getLogger(__name__)

AUTO, STARCRAFT2, SMAX = "auto", "starcraft2", "smax"
DEFAULT_TASK = "terran_5_units"
# Battles that SMAX plays in one call where it stands in for StarCraft II. (A file for StarCraft II
# asks for few, since each of those is a process of 1 GB.) More than eight gain little.
SMAX_ENVS = 8
SMAX_TASKS = {(n, n): f"smacv2_{n}_units" for n in (5, 10, 20)}
_said: set[str] = set()


def choose(env_config: Mapping[str, Any]) -> str:
    """The game that an env_config of `smacv2` is played on.

    Args:
        env_config: "task" and "backend" are read.

    Returns:
        "starcraft2" or "smax".

    Raises:
        TaskError: If the task does not exist or cannot be played here; the message says what to
            install.
    """
    wanted = env_config.get("backend", AUTO)
    task = env_config.get("task", DEFAULT_TASK)
    scenario = parse_smacv2(task)
    missing = "" if wanted == SMAX else install.problem()
    if wanted in (AUTO, STARCRAFT2) and not missing:
        return STARCRAFT2
    if wanted == STARCRAFT2:
        raise TaskError(f"backend starcraft2 cannot be played here: {missing}")
    instead = smax_problem()
    sizes = (scenario.n_units, scenario.n_enemies)
    if not instead and sizes not in SMAX_TASKS:
        of = ", ".join(f"{n} against {m}" for n, m in SMAX_TASKS)
        instead = f"it has no {sizes[0]} against {sizes[1]}, only {of}"
    if not instead:
        return SMAX
    if wanted == SMAX:
        raise TaskError(f"backend smax cannot play {task!r}: {instead}")
    raise TaskError(
        f"{task!r} cannot be played here.\n  StarCraft II: {missing}\n  SMAX instead: {instead}"
    )


def notice(env_config: Mapping[str, Any]) -> str:
    """One line on a choice that the user did not make; "" where there is nothing to say."""
    by_user = env_config.get("backend", AUTO) != AUTO
    instead = not by_user and choose(env_config) == SMAX
    return smax_notice(env_config, SMAX_ENVS) if instead else ""


def smax_notice(env_config: Mapping[str, Any], num_envs: int) -> str:
    """What `notice` says of an env_config that SMAX has been chosen for; "" if by the user.

    Args:
        env_config: Of `smacv2`.
        num_envs: How many battles are played at once.
    """
    if env_config.get("backend", AUTO) != AUTO:
        return ""
    task = env_config.get("task", DEFAULT_TASK)
    ignored = ", ".join(sorted(set(env_config) - {"task", "backend"}))
    why = install.problem().split(":")[0]
    line = (
        f"NOT STARCRAFT II: smacv2 {task} is played as {smax_task(env_config)} on SMAX (units of "
        f"all races), a different game whose results do not compare; {why}"
    )
    if num_envs >= SMAX_ENVS:
        line += f"; {SMAX_ENVS} battles at once or more, whatever was set for StarCraft II"
    return f"{line}; without effect: {ignored}" if ignored else line


def stand_in(env_config: Mapping[str, Any]) -> str:
    """The game that plays in StarCraft II's place, chosen or not: "smax" or ""."""
    try:
        return SMAX if choose(env_config) == SMAX else ""
    except TaskError:  # said where the environment is made
        return ""


def least_envs(env_config: Mapping[str, Any]) -> int:
    """How many battles a runner plays at once, at least: 1, or `SMAX_ENVS`.

    A number that was set for StarCraft II is not one for SMAX. Where the user has chosen the game
    himself (`backend: smax`), his number stands.
    """
    by_user = env_config.get("backend", AUTO) != AUTO
    return 1 if by_user or not stand_in(env_config) else SMAX_ENVS


def say_once(line: str) -> None:
    """Logs a line as a warning, the first time that this process has it to say."""
    if line and line not in _said:
        _said.add(line)
        logger.warning(line)


def smax_problem() -> str:
    """What keeps SMAX from being played here; "" if nothing does."""
    return SMAX_ROW.packages_problem()


def smax_task(env_config: Mapping[str, Any]) -> str:
    """The SMAX scenario that stands in for a SMACv2 task."""
    scenario = parse_smacv2(env_config.get("task", DEFAULT_TASK))
    return SMAX_TASKS[scenario.n_units, scenario.n_enemies]


# What the registry asks of the rows.


def smacv2_installed() -> tuple[bool, str]:
    """Whether `smacv2` can be played at all, and if not, why not; or what stands in for it."""
    missing = install.problem()
    if not missing:
        return True, ""
    if not smax_problem():
        return True, f"SMAX instead: {missing}"
    return False, f"{missing}; nor is SMAX there instead: {smax_problem()}"


def smac_installed() -> tuple[bool, str]:
    """Whether `smac` can be played, and if not, why not."""
    missing = install.problem()
    return not missing, missing


def check_smacv2_config(env_config: Mapping[str, Any]) -> None:
    """Raises TaskError unless an env_config of `smacv2` can be played here."""
    scenario = parse_smacv2(env_config.get("task", DEFAULT_TASK))
    capability_config(scenario, env_config.get("capability_config"))
    if choose(env_config) == STARCRAFT2:
        _check_maps(scenario.map_name)
    elif env_config.get("backend") == SMAX and set(env_config) - {"task", "backend"}:
        names = ", ".join(sorted(set(env_config) - {"task", "backend"}))
        raise TaskError(f"backend smax does not take {names}; `env: smax` has SMAX's own options")


def check_smac_config(env_config: Mapping[str, Any]) -> None:
    """Raises TaskError unless an env_config of `smac` can be played here."""
    task = env_config.get("task", "3m")
    check_smac(task)
    if not install.problem():  # else `installed` says so
        _check_maps(task)


def _check_maps(map_name: str) -> None:
    missing = install.maps_problem((map_file(map_name),))
    if missing:
        raise TaskError(missing)


def map_file(map_name: str) -> str:
    """The file of a map: SMACv2's scenarios share one."""
    return "32x32_flat" if map_name.startswith("10gen_") else map_name
