"""Tries an environment out, step by step, and says what to do where a step fails.

Behind `rllib envs check NAME`. StarCraft II has most steps, since it has most ways to be half
installed; every other environment is imported and plays an episode.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from env_registry import registry, sc2_install
from env_registry.rows import ENVIRONMENTS
from env_registry.smac_backend import SMAX, map_file, smax_problem
from env_registry.smac_tasks import SMAC_MAPS, parse_smacv2

STARCRAFT2_ENVS = ("smacv2", "smac")


class Finding(NamedTuple):
    """What one step came to.

    Attributes:
        step: What was tried.
        ok: Whether it went well.
        detail: What was found; where it failed, what to do.
    """

    step: str
    ok: bool
    detail: str


def check(name: str, env_config: Mapping[str, Any] | None = None) -> Iterator[Finding]:
    """Tries an environment; ends after the first step that fails.

    Args:
        name: A key of ENVIRONMENTS.
        env_config: Its configuration; None: the defaults.

    Yields:
        A finding as soon as it is there; the last step takes some seconds.

    Raises:
        EnvConfigError: If there is no such environment.
    """
    config = dict(env_config or {})
    there, reason = registry.installed(name)
    steps: list[tuple[str, Callable[[], tuple[bool, str]]]]
    steps = [("configuration", lambda: _configuration(name, config))]
    if name in STARCRAFT2_ENVS and config.get("backend") != SMAX:
        steps += [(step, _problem(find, good)) for step, find, good in _starcraft2_steps(config)]
    else:
        steps += [("packages", lambda: (there, reason or "installed"))]
    steps += [("one episode", lambda: _episode(name, config))]
    for step, run in steps:
        finding = Finding(step, *run())
        yield finding
        if not finding.ok:
            if name == "smacv2" and config.get("backend") != SMAX and not smax_problem():
                yield Finding("without it", True, "env: smacv2 plays on SMAX, another game")
            return


def _problem(find: Callable[[], str], good: Callable[[], str]) -> Callable[[], tuple[bool, str]]:
    def run() -> tuple[bool, str]:
        problem = find()
        return not problem, problem or good()

    return run


def _starcraft2_steps(
    config: Mapping[str, Any],
) -> list[tuple[str, Callable[[], str], Callable[[], str]]]:
    """(step, what finds the problem, what to say where there is none)."""
    return [
        ("packages", sc2_install.packages_problem, _package_versions),
        ("protobuf", sc2_install.protobuf_problem, _protobuf_version),
        ("game", sc2_install.game_problem, lambda: str(sc2_install.game_folder())),
        ("version", _version_problem, _version),
        ("maps", lambda: _maps_problem(config), lambda: sc2_install.MAP_FOLDER),
    ]


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
    build = sc2_install.builds(sc2_install.game_folder())[0]
    program = sc2_install.game_folder() / f"Versions/Base{build:05d}/SC2_x64"
    if not program.is_file():
        return f"no {program}: unpack Blizzard's Linux package again"
    if not os.access(program, os.X_OK):
        return f"{program} may not be executed: chmod +x {program}"
    return ""


def _version() -> str:
    build = sc2_install.builds(sc2_install.game_folder())[0]
    from pysc2.run_configs.lib import VERSIONS

    names = [
        version.game_version for version in VERSIONS.values() if version.build_version == build
    ]
    found = f"build {build} ({names[0] if names else 'unknown to pysc2'})"
    if build == sc2_install.BUILD_4_10:
        return found
    return f"{found}; published results are on 4.10, and versions do not compare"


def _maps_problem(config: Mapping[str, Any]) -> str:
    """Which maps are missing: the task's, or, where none is named, any."""
    task = str(config.get("task", ""))
    if not task:
        return sc2_install.maps_problem((*SMAC_MAPS, map_file("10gen_")))
    name = task if task in SMAC_MAPS else parse_smacv2(task).map_name
    return sc2_install.maps_problem((map_file(name),))


def _configuration(name: str, config: Mapping[str, Any]) -> tuple[bool, str]:
    try:
        registry.validate_options(name, config)
    except registry.EnvConfigError as error:
        return False, str(error)
    task = config.get("task", ENVIRONMENTS[name].default_task)
    return True, f"task {task}" if task else "valid"


def _episode(name: str, config: dict[str, Any]) -> tuple[bool, str]:
    """Plays an episode twice under one seed, and checks all that comes back."""
    from env_registry.contract import as_grouped_env, check_env

    exact = {"exact_seeds": True} if "exact_seeds" in ENVIRONMENTS[name].options else {}
    if config.get("backend") == SMAX:
        exact = {}
    start = time.perf_counter()
    env = None
    try:
        env = as_grouped_env(registry.make(name, **{**config, **exact}))
        check_env(env, episodes=1)
    except Exception as error:  # whatever it is, it is what the user has come to see
        return False, f"{type(error).__name__}: {error}"
    finally:
        if env is not None:
            env.close()
    on = f" on {backend}" if (backend := getattr(env, "backend", None)) else ""
    seconds = time.perf_counter() - start
    return True, f"played twice{on} in {seconds:.1f} s: the contract holds and the seed repeats it"
