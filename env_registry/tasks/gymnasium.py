"""Gymnasium environments of several agents by their ids.

    module:id       rware:rware-tiny-2ag-v2: the module is imported, and registers the id
    id              one that is registered already

What the module is called and what installs it is known for some families; any other is welcome.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import re
from typing import Any

import gymnasium

from env_registry.errors import TaskError

EXTRAS = {"rware": "rware", "lbforaging": "lbf"}  # module -> the extra that installs it
MODULES = {"rware": "rware", "Foraging": "lbforaging"}  # how ids begin -> the module they are of
GRAMMAR = 'module:id, such as "rware:rware-tiny-2ag-v2" or "lbforaging:Foraging-8x8-2p-2f-v3"'
_TASK = re.compile(r"(?:(?P<module>[A-Za-z_][\w.]*):)?(?P<id>[^\s:]+)")


def task_problem(task: str) -> str:
    """What is not installed that a task needs, and the line that installs it; "" if nothing."""
    match = _TASK.fullmatch(str(task))
    module = match["module"] if match else None
    if not module or module not in EXTRAS or importlib.util.find_spec(module) is not None:
        return ""
    return (
        f"task {task!r} of environment 'gymnasium' needs {module}, not installed here; install "
        f'with: pip install "rllib-mmsa[{EXTRAS[module]}]"'
    )


def check_task(task: str) -> None:
    """Raises TaskError if there is no such environment; imports its module, builds nothing."""
    if not task_problem(task):  # the registry says what to install
        find_spec(task)


def find_spec(task: str) -> Any:
    """Looks a task up.

    Args:
        task: In the notation of the module's docstring.

    Returns:
        Gymnasium's EnvSpec.

    Raises:
        TaskError: If its module cannot be imported, or registers no such id.
    """
    match = _TASK.fullmatch(str(task))
    if match is None:
        raise TaskError(f'task "{task}" is no id\n  rule:   a task is {GRAMMAR}')
    if match["module"]:
        _import(task, match["module"])
    try:
        return gymnasium.spec(match["id"])
    except gymnasium.error.Error as error:
        raise TaskError(f'task "{task}": {_unregistered(match, error)}') from None


def _import(task: str, module: str) -> None:
    try:
        importlib.import_module(module)
    except Exception as error:  # a module may raise anything
        text = " ".join(str(error).split())
        raise TaskError(
            f'task "{task}": importing {module} failed: {text}\n  rule:   a task is {GRAMMAR}'
        ) from error


def _unregistered(match: re.Match[str], error: Exception) -> str:
    """Why there is no such id, with the nearest ones."""
    wanted, module = match["id"], match["module"]
    family = MODULES.get(re.split(r"[^A-Za-z]", wanted)[0])
    if family and module is None:
        return f'its module must stand in front: "{family}:{wanted}"'
    near = difflib.get_close_matches(wanted, gymnasium.registry, n=3, cutoff=0.5)
    nearest = ", ".join(f"{module}:{one}" if module else one for one in near)
    words = " ".join(str(error).split())
    return f"{words}\n  nearest: {nearest}" if near else f"{words}\n  rule:   a task is {GRAMMAR}"
