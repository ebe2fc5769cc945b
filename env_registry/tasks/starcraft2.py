"""SMAC's and SMACv2's tasks: names, units, settings. No import of a game or its packages.

SMACv2 (`env: smacv2`): `{race}_{n}_units` is n against n, `{race}_{n}_vs_{m}` n against m;
"10gen_" may stand in front. Units and their weights are Table 7's, all else Table 8's and smacv2's.
SMAC (`env: smac`): the fixed maps, by name.

Source: Wang and Meger 2026, Tables 7 and 8; smacv2's README and `smac_maps.py`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from env_registry.errors import TaskError

MAX_UNITS = 50  # of a team; smacv2's own scenarios have up to 23


class Race(NamedTuple):
    """What a team of a race is drawn from (Table 7).

    Attributes:
        units: Unit types.
        weights: The probability of each.
        never_alone: Unit types of which a whole team cannot consist: they cannot fight.
    """

    units: tuple[str, ...]
    weights: tuple[float, ...]
    never_alone: tuple[str, ...] = ()


RACES = {
    "terran": Race(("marine", "marauder", "medivac"), (0.45, 0.45, 0.1), ("medivac",)),
    "protoss": Race(("stalker", "zealot", "colossus"), (0.45, 0.45, 0.1)),
    "zerg": Race(("zergling", "baneling", "hydralisk"), (0.45, 0.1, 0.45), ("baneling",)),
}
SIZES = ((5, 5), (10, 10), (10, 11), (20, 20), (20, 23))  # of the SMACv2 paper

SMAC_MAPS = (
    "3m",
    "8m",
    "25m",
    "5m_vs_6m",
    "8m_vs_9m",
    "10m_vs_11m",
    "27m_vs_30m",
    "MMM",
    "MMM2",
    "3s_vs_3z",
    "3s_vs_4z",
    "3s_vs_5z",
    "1c3s5z",
    "2m_vs_1z",
    "corridor",
    "6h_vs_8z",
    "2s_vs_1sc",
    "so_many_baneling",
    "bane_vs_bane",
    "2c_vs_64zg",
)
UNPLAYABLE_MAPS = ("2s3z", "3s5z", "3s5z_vs_3s6z")

CAPABILITIES = ("team_gen", "start_positions", "attack", "health", "enemy_mask")


class Scenario(NamedTuple):
    """A SMACv2 task: `n_units` of `race` against `n_enemies` of the same."""

    race: str
    n_units: int
    n_enemies: int

    @property
    def map_name(self) -> str:
        """smacv2's name of the map."""
        return f"10gen_{self.race}"


def smacv2_tasks() -> tuple[str, ...]:
    """The published tasks, the paper's three first."""
    sizes = [f"{n}_units" if n == m else f"{n}_vs_{m}" for n, m in SIZES]
    return tuple(f"{race}_{size}" for size in sizes for race in RACES)


def parse_smacv2(task: str) -> Scenario:
    """Reads a SMACv2 task.

    Args:
        task: In the notation of the module's docstring.

    Returns:
        The scenario.

    Raises:
        TaskError: If there is none of that name, or with so many units.
    """
    match = re.fullmatch(
        r"(?:10gen_)?(?P<race>[a-z]+)_(?P<n>\d+)_(?:units|vs_(?P<m>\d+))", str(task)
    )
    if match is None or match["race"] not in RACES:
        raise TaskError(
            f"task {task!r} is not a SMACv2 task.\n"
            f"  grammar: RACE_N_units or RACE_N_vs_M with RACE one of {', '.join(RACES)}\n"
            f"  nearest: {', '.join(_near_smacv2(str(task)))}"
        )
    n_units = int(match["n"])
    n_enemies = int(match["m"] or n_units)
    if not (1 <= n_units <= MAX_UNITS and 1 <= n_enemies <= MAX_UNITS):
        raise TaskError(f"task {task!r} asks for a team outside 1 to {MAX_UNITS} units")
    return Scenario(match["race"], n_units, n_enemies)


def _near_smacv2(task: str) -> list[str]:
    """Tasks of the race and the numbers that are in a word."""
    if task in (*SMAC_MAPS, *UNPLAYABLE_MAPS):
        return [f"env: smac, task: {task}"]
    words = re.findall(r"[a-z]+|\d+", re.sub(r"^10gen_?|smacv2", "", task.lower()))
    races = [race for word in words for race in difflib.get_close_matches(word, RACES, 1, 0.7)]
    numbers = [int(word) for word in words if word.isdigit()][:2]
    sizes = [(numbers[0], numbers[-1])] if numbers else SIZES[:3]
    return [
        f"{race}_{n}_units" if n == m else f"{race}_{n}_vs_{m}"
        for race in races[:1] or RACES
        for n, m in sizes
    ]


def check_smac(task: str) -> None:
    """Raises TaskError if `task` is no SMAC map, or one that smacv2 cannot play."""
    if task in UNPLAYABLE_MAPS:
        raise TaskError(
            f"map {task!r} cannot be played: smacv2 computes an index out of range for its "
            "stalkers and zealots and fails in the first reset (IndexError), whatever the game. "
            "1c3s5z has both and works"
        )
    if task not in SMAC_MAPS:
        near = difflib.get_close_matches(str(task), SMAC_MAPS, n=1, cutoff=0.4)
        guess = f"did you mean {near[0]!r}? " if near else ""
        if any(race in str(task) for race in RACES):
            guess = f"env: smacv2 draws teams, task: {_near_smacv2(str(task))[0]}; "
        raise TaskError(f"map {task!r} does not exist; {guess}valid: {', '.join(SMAC_MAPS)}")


def capability_config(
    scenario: Scenario, changes: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """smacv2's `capability_config` of a scenario.

    Args:
        scenario: Units and enemies.
        changes: Parts to change, merged in: {"team_gen": {"weights": [1, 0, 0]}}; None takes a
            part out: {"start_positions": None}.

    Returns:
        A new nested dictionary.

    Raises:
        TaskError: If a part does not exist, or weights do not fit their units.
    """
    race = RACES[scenario.race]
    config: dict[str, Any] = {
        "n_units": scenario.n_units,
        "n_enemies": scenario.n_enemies,
        "team_gen": {
            "dist_type": "weighted_teams",
            "unit_types": list(race.units),
            "weights": list(race.weights),
            "exception_unit_types": list(race.never_alone),
            "observe": True,
        },
        "start_positions": {
            "dist_type": "surrounded_and_reflect",
            "p": 0.5,
            "map_x": 32,
            "map_y": 32,
        },
    }
    for part, values in (changes or {}).items():
        if part not in CAPABILITIES:
            raise TaskError(
                f"capability_config has no part {part!r}; valid: {', '.join(CAPABILITIES)}"
            )
        if values is None:
            config.pop(part, None)
        elif isinstance(values, Mapping):
            config[part] = {**config.get(part, {}), **values}
        else:
            raise TaskError(f"{part!r} of capability_config is {values!r}, and must be a mapping")
    _check_teams(config)
    return config


def _check_teams(config: Mapping[str, Any]) -> None:
    """Raises TaskError unless teams can be drawn."""
    teams = config.get("team_gen")
    if teams is None:
        raise TaskError("capability_config needs 'team_gen': the units are drawn from it")
    for part, values in config.items():
        if isinstance(values, Mapping) and "dist_type" not in values:
            raise TaskError(f"{part!r} of capability_config has no dist_type, so nothing is drawn")
    known = {unit for race in RACES.values() for unit in race.units}
    for unit in teams["unit_types"]:
        if unit not in known:
            raise TaskError(f"unknown unit type {unit!r}; valid: {', '.join(sorted(known))}")
    weights = teams.get("weights", ())
    if teams["dist_type"] == "weighted_teams":
        total = sum(weights)
        fits = len(weights) == len(teams["unit_types"]) and min(weights) >= 0
        if not fits or abs(total - 1) > 1e-6:
            raise TaskError(
                f"weights {list(weights)} of capability_config: team_gen must be one probability "
                f"for each of {', '.join(teams['unit_types'])}, and sum to 1"
            )
        alone = {u for u, w in zip(teams["unit_types"], weights, strict=True) if w > 0}
        if alone <= set(teams.get("exception_unit_types") or ()):
            raise TaskError(
                f"only {', '.join(sorted(alone))} would be drawn, and no team may consist of "
                "nothing else (exception_unit_types): drawing would never end"
            )
