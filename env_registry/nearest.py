"""What a name that does not exist here may have meant: the nearest one, or how it is said here.

People come with the words of SMAC, EPyMARL, PettingZoo and the packages themselves: `map_name`,
`sight`, `time_limit`, `env: rware`. String distance alone answers these with nonsense.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from env_registry.errors import TaskError
from env_registry.rows import ENVIRONMENTS, EnvRow
from env_registry.tasks.jaxmarl import JAXMARL_TASKS
from env_registry.tasks.lbf import parse_task as parse_lbf
from env_registry.tasks.mamujoco import parse_task as parse_mamujoco
from env_registry.tasks.starcraft2 import SMAC_MAPS, UNPLAYABLE_MAPS, parse_smacv2

RWARE = "env: gymnasium, task: rware:rware-tiny-2ag-v2"
#: How the environments are called elsewhere.
ELSEWHERE = {
    "rware": RWARE,
    "warehouse": RWARE,
    "gymma": "env: gymnasium",
    "gym": "env: gymnasium",
    "lbforaging": "env: lbf",
    "foraging": "env: lbf",
    "lbforing": "env: lbf",
    "mpe": "env: pettingzoo, task: mpe2.simple_spread_v3",
    "simple": "env: pettingzoo, task: mpe2.simple_spread_v3",
    "mpe2": "env: pettingzoo, task: mpe2.simple_spread_v3",
    "pz": "env: pettingzoo, task: mpe2.simple_spread_v3",
    "mujoco": "env: mamujoco",
    "sc2v2": "env: smacv2",
    "sc2": "env: smac",
    "starcraft": "env: smac or env: smacv2",
    "starcraft2": "env: smac or env: smacv2",
    "smaclite": "env: smac, or without the game env: smax",
    "overcooked": "env: jaxmarl, task: overcooked:cramped_room",
    "matrix": "env: climbing or env: two_step",
}


def nearest(word: str, valid: Iterable[str]) -> str:
    """Words the valid name that comes nearest, and all others."""
    names = sorted(valid)
    near = difflib.get_close_matches(str(word), names, n=1, cutoff=0.4)
    return (f"did you mean {near[0]!r}? " if near else "") + "valid: " + ", ".join(names)


def of_key(row: EnvRow, key: object) -> str:
    """What an unknown key of env_config may have meant."""
    word = str(key)
    if word in row.said:
        return row.said[word]
    close = difflib.get_close_matches(word, row.options, n=1, cutoff=0.8)
    if row.other_keys and not close:
        return f"{row.other_keys}: env_kwargs: {{{word}: ...}}; valid: {', '.join(row.options)}"
    return nearest(word, row.options) if row.options else "it takes none"


def of_environment(name: object) -> str:
    """What an unknown environment may have meant: its name here, or the one whose task it is."""
    said = said_here(name)
    if said:
        return f"{said}; valid: {', '.join(sorted(ENVIRONMENTS))}"
    return nearest(str(name).lower(), ENVIRONMENTS)


def said_here(name: object) -> str:
    """How another package's environment, or a task, is said here; "" for any other."""
    word = str(name)
    owner = _whose_task(word)
    if owner:
        return f"it is a task: env: {owner}, env_config: {{task: {word}}}"
    words = [one for one in re.split(r"[^a-z0-9]+", word.lower()) if one]
    for first in [word.lower(), *words[:1]]:
        if first in ELSEWHERE:
            return f"here it is {ELSEWHERE[first]}"
    return ""


def _whose_task(word: str) -> str:
    """The environment that has a task of this name; ""."""
    if word in (*SMAC_MAPS, *UNPLAYABLE_MAPS):
        return "smac"
    for name, parse in (
        ("lbf", parse_lbf),
        ("mamujoco", parse_mamujoco),
        ("smacv2", parse_smacv2),
    ):
        try:
            parse(word)
        except TaskError:
            continue
        return name
    if word in JAXMARL_TASKS:
        return "jaxmarl"
    if re.fullmatch(r"(mpe2|pettingzoo)\.[\w.]+", word):
        return "pettingzoo"
    return "gymnasium" if re.fullmatch(r"\w+:[\w-]+-v\d+", word) else ""
