"""Tries an environment out, step by step, and says what to do where a step fails.

Behind `rllib envs check NAME`. For StarCraft II, its packages, the game and the maps are looked for
one by one; for every other environment, its packages. Then the environment plays an episode.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from env_registry import registry
from env_registry.errors import EnvConfigError
from env_registry.rows import ENVIRONMENTS
from env_registry.rows.row import SHARED_OPTIONS
from env_registry.starcraft2.backend import SMAX, smax_problem
from env_registry.starcraft2.diagnose import Step, installation_steps

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


def diagnose(name: str, env_config: Mapping[str, Any] | None = None) -> Iterator[Finding]:
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
    there, reason = registry.installed(name, config.get("task"))
    steps: list[Step] = [("configuration", lambda: _configuration(name, config))]
    if name in STARCRAFT2_ENVS and config.get("backend") != SMAX:
        steps += installation_steps(config)
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


def _configuration(name: str, config: Mapping[str, Any]) -> tuple[bool, str]:
    try:
        registry.validate_options(name, config)
    except EnvConfigError as error:
        return False, str(error)
    task = config.get("task", ENVIRONMENTS[name].default_task)
    return True, f"task {task}" if task else "valid"


def _episode(name: str, config: dict[str, Any]) -> tuple[bool, str]:
    """Plays an episode twice under one seed, and checks all that comes back."""
    from ray.rllib.utils.pre_checks.env import check_multiagent_environments

    from env_registry.contract import UngroupedEnv, as_grouped_env, check_env  # here: imports RLlib

    exact = {"exact_seeds": True} if "exact_seeds" in ENVIRONMENTS[name].options else {}
    if config.get("backend") == SMAX:
        exact = {}
    start = time.perf_counter()
    env = None
    grouped = {key: value for key, value in config.items() if key not in SHARED_OPTIONS}
    try:
        env = as_grouped_env(registry.make(name, **{**grouped, **exact}))
        check_env(env, episodes=1)
        if not config.get("grouped", True):
            check_multiagent_environments(UngroupedEnv(env))
    except Exception as error:  # whatever it is, it is what the user has come to see
        return False, f"{type(error).__name__}: {error}"
    finally:
        if env is not None:
            env.close()
    on = f" on {backend}" if (backend := getattr(env, "backend", None)) else ""
    seconds = time.perf_counter() - start
    return True, f"played twice{on} in {seconds:.1f} s: the contract holds and the seed repeats it"
