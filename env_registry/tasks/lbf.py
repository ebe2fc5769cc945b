"""Level-Based Foraging's task ids, and the game that each of them names.

    [[lbforaging:]Foraging-][grid-][{k}s-]{size}x{size}-{p}p-{f}f[-coop][-ind][-pen]-v{2|3}

p players, f foods, k cells of sight (all of the field if left out), coop: every food needs the
whole team, ind: every food needs one player, pen: a failed attempt to load costs 0.1. "v2" has
the arguments that lbforaging 1.x registered, "v3" those of 2.x. No import of the package: an id
can be checked where it is not installed.

Source: `lbforaging/__init__.py` of lbforaging 1.1.1 (v2) and 2.0.0 (v3).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from env_registry.errors import TaskError

GRAMMAR = (
    "[{k}s-]{size}x{size}-{players}p-{foods}f[-coop][-ind][-pen]-v{2 or 3}, "
    'for example "8x8-2p-2f-v2" or "2s-10x10-3p-3f-coop-v3"; "-ind" and "-pen" with v3 only; '
    '"Foraging-", "grid-" or both may stand in front'
)
EXAMPLES = (
    "8x8-2p-2f-v2",
    "2s-8x8-2p-2f-coop-v2",
    "10x10-3p-5f-v2",
    "10x10-4p-3f-v2",
    "2s-10x10-3p-3f-v2",
    "8x8-2p-2f-v3",
    "8x8-2p-2f-coop-v3",
    "10x10-3p-3f-v3",
    "15x15-4p-3f-v3",
)
_PATTERN = re.compile(
    r"(?:lbforaging:)?(?:Foraging-)?(?P<grid>grid-)?(?:(?P<sight>\d+)s-)?(?P<rows>\d+)x(?P<cols>\d+)"
    r"-(?P<players>\d+)p-(?P<foods>\d+)f(?P<coop>-coop)?(?P<ind>-ind)?(?P<pen>-pen)?"
    r"-v(?P<version>\d+)"
)


def parse_task(task: str) -> dict[str, Any]:
    """Reads a task id.

    Args:
        task: In the notation of the module's docstring.

    Returns:
        The game's arguments and its rule for levels.

    Raises:
        TaskError: If the id does not follow the grammar or names a game that cannot be played.
    """
    match = _PATTERN.fullmatch(task) if isinstance(task, str) else None
    if match is None:
        raise _error(task, "is not a Level-Based Foraging id")
    size, players, foods, version = (
        int(match[key]) for key in ("rows", "players", "foods", "version")
    )
    if version not in (2, 3):
        raise _error(task, f"has version v{version}, and there are v2 and v3")
    if int(match["cols"]) != size:
        raise _error(task, "has a field that is not square")
    if version == 2 and (match["ind"] or match["pen"]):
        raise _error(task, 'has "-ind" or "-pen", which v2 had not')
    sight = int(match["sight"] or size)
    _check_playable(task, size, players, foods, sight)
    return {
        "players": players,
        "field_size": (size, size),
        "max_num_food": foods,
        "sight": sight,
        "force_coop": bool(match["coop"]),
        "grid_observation": bool(match["grid"]),
        "min_player_level": 1,
        "max_player_level": 3 if version == 2 else 2,
        "min_food_level": 1,
        "max_food_level": 1 if match["ind"] else None,
        "penalty": 0.1 if match["pen"] else 0.0,
    }


def check_task(task: str) -> None:
    """Raises TaskError if `task` names no game; what the registry calls before anything starts."""
    parse_task(task)


def check_levels(env_config: Mapping[str, Any]) -> None:
    """Raises TaskError for levels of players and foods that contradict each other."""
    game = parse_task(env_config.get("task", EXAMPLES[0]))
    game |= {key: value for key, value in env_config.items() if key in game and value is not None}
    for kind in ("player", "food"):
        low, high = game[f"min_{kind}_level"], game[f"max_{kind}_level"]
        if high is not None and low > high:
            raise TaskError(
                f"min_{kind}_level is {low}, and max_{kind}_level is {high}; the lowest is at most "
                "the highest"
            )
    # Without a highest level foods are drawn up to that of the three weakest players together.
    least = min(3, game["players"]) * game["min_player_level"]
    low = game["min_food_level"]
    if game["max_food_level"] is None and not game["force_coop"] and low > least:
        raise TaskError(
            f"min_food_level is {low}, and the weakest team has level {least}; take {least} or "
            "less, a higher min_player_level, or set max_food_level"
        )


def _check_playable(task: str, size: int, players: int, foods: int, sight: int) -> None:
    if size < 3:
        raise _error(task, "has a field below 3x3, which has no inner cell for food")
    if players < 1 or foods < 1:
        raise _error(task, "needs at least one player and one food")
    if players + foods > size * size:
        raise _error(task, f"has more players and foods than its {size * size} cells")
    if not 1 <= sight <= size:
        raise _error(task, f"has a sight of {sight} cells, outside 1 to {size}")


def _error(task: object, what: str) -> TaskError:
    near = difflib.get_close_matches(str(task), _near_candidates(str(task)), n=3, cutoff=0.0)
    nearest = ", ".join(f'"{candidate}"' for candidate in near)
    if ":" in str(task):  # module:id of another package
        nearest = f"env: gymnasium, task: {task}"
    return TaskError(f'task "{task}" {what}.\n  grammar: {GRAMMAR}\n  nearest: {nearest}')


def _near_candidates(task: str) -> list[str]:
    """Ids that may have been meant: the same numbers with a version that exists, and examples."""
    numbers = re.search(r"(\d+)x\d+\D+(\d+)p?\D+(\d+)f?", task)
    own = []
    if numbers:
        size, players, foods = numbers.groups()
        sight = re.search(r"(\d+)s-", task)
        front = sight[0] if sight else ""
        coop = "-coop" if "co" in task else ""
        own = [f"{front}{size}x{size}-{players}p-{foods}f{coop}-v{v}" for v in (2, 3)]
    return [*own, *(example for example in EXAMPLES if example not in own)]
