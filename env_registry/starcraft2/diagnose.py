"""What keeps StarCraft II from being played: packages, protobuf, the game, its version, maps."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from env_registry.starcraft2 import install
from env_registry.starcraft2.backend import map_file
from env_registry.tasks.starcraft2 import SMAC_MAPS, parse_smacv2

Step = tuple[str, Callable[[], tuple[bool, str]]]  # its name, what runs it


def installation_steps(config: Mapping[str, Any]) -> list[Step]:
    """What StarCraft II needs, each step with the function that looks at it.

    Args:
        config: The env_config of `smacv2` or `smac`; "task" is read, for its map.

    Returns:
        (step, function) in the order of looking: each function takes it that the steps before went
        well, and returns whether its own did, and what there is or what to do.
    """
    steps = [
        ("packages", install.packages_problem, _package_versions),
        ("protobuf", install.protobuf_problem, _protobuf_version),
        ("game", install.game_problem, lambda: str(install.game_folder())),
        ("version", _version_problem, _version),
        ("maps", lambda: _maps_problem(config), lambda: install.MAP_FOLDER),
    ]
    return [(step, _look(find, good)) for step, find, good in steps]


def _look(find: Callable[[], str], good: Callable[[], str]) -> Callable[[], tuple[bool, str]]:
    """From what finds a problem, and what is said where there is none, to one function."""

    def run() -> tuple[bool, str]:
        problem = find()
        return not problem, problem or good()

    return run


def _package_versions() -> str:
    return ", ".join(f"{name} {_metadata_version(name)}" for name in ("smacv2", "pysc2"))


def _protobuf_version() -> str:
    return f"s2clientprotocol's messages load under protobuf {_metadata_version('protobuf')}"


def _metadata_version(name: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # on the path, not installed
        return "(no version)"


def _version_problem() -> str:
    """What keeps the game's newest version from being started."""
    if sys.platform != "linux":  # elsewhere pysc2 finds the executable by rules of its own
        return ""
    build = install.builds(install.game_folder())[0]
    program = install.game_folder() / f"Versions/Base{build:05d}/SC2_x64"
    if not program.is_file():
        return f"no {program}: unpack Blizzard's Linux package again"
    if not os.access(program, os.X_OK):
        return f"{program} may not be executed: chmod +x {program}"
    return ""


def _version() -> str:
    build = install.builds(install.game_folder())[0]
    from pysc2.run_configs.lib import VERSIONS

    names = [
        version.game_version for version in VERSIONS.values() if version.build_version == build
    ]
    found = f"build {build} ({names[0] if names else 'unknown to pysc2'})"
    if build == install.BUILD_4_10:
        return found
    return f"{found}; published results are on 4.10, and versions do not compare"


def _maps_problem(config: Mapping[str, Any]) -> str:
    """Which maps are missing: the task's, or, where none is named, any."""
    task = str(config.get("task", ""))
    if not task:
        return install.maps_problem((*SMAC_MAPS, map_file("10gen_")))
    name = task if task in SMAC_MAPS else parse_smacv2(task).map_name
    return install.maps_problem((map_file(name),))
