"""PettingZoo environments by where they are: what is imported, called, and wrapped.

    package.module             a module with parallel_env (or env, which must convert)
    package.module:name        a class or function in it that makes the environment

A task is looked up without importing PettingZoo itself.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import pkgutil
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

from env_registry.errors import TaskError

FACTORIES = ("parallel_env", "env", "raw_env")  # in this order, as PettingZoo's modules name them
GRAMMAR = 'package.module, such as "mpe2.simple_spread_v3", or package.module:name'
_TASK = re.compile(r"(?P<module>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)(:(?P<name>[A-Za-z_]\w*))?")
_OURS = ("mpe2", "pettingzoo", "supersuit")  # what the extra installs: the registry names it


def check_task(task: str) -> None:
    """Raises TaskError if there is no such environment; what the registry calls first.

    Imports the module that the task names (its dependencies may be missing), builds nothing.
    """
    module = _match(task)["module"]
    if module.split(".")[0] in _OURS and importlib.util.find_spec(module.split(".")[0]) is None:
        return  # the registry says what to install
    find_factory(task)


def check_config(env_config: Mapping[str, Any]) -> None:
    """Raises ValueError if there is no such wrapper."""
    for wrapper in env_config.get("wrappers") or ():
        read_wrapper(wrapper)


def find_factory(task: str) -> Callable[..., Any]:
    """Imports what a task names.

    Args:
        task: In the notation of the module's docstring.

    Returns:
        What makes the environment; called with `env_kwargs`.

    Raises:
        TaskError: If the module does not exist, cannot be imported, or has nothing to call.
    """
    match = _match(task)
    module = _import(task, match["module"])
    names = (match["name"],) if match["name"] else FACTORIES
    for name in names:
        if callable(getattr(module, name, None)):
            return getattr(module, name)
    if match["name"]:
        near = difflib.get_close_matches(match["name"], vars(module), n=3, cutoff=0.4)
        meant = f"; did you mean {' or '.join(near)}?" if near else ""
        raise TaskError(f'task "{task}": {match["module"]} has no "{match["name"]}" to call{meant}')
    near = _near(match["module"].rpartition(".")[2])
    raise TaskError(
        f'task "{task}": the module has none of {", ".join(FACTORIES)}\n'
        f"  rule:   a task is {GRAMMAR}\n"
        f"  remedy: name the class or function that makes the environment, {task}:Name"
        + (f"\n  nearest: {', '.join(near)}" if near else "")
    )


def read_wrapper(wrapper: Any) -> tuple[str, dict[str, Any]]:
    """Reads one entry of `wrappers`.

    Args:
        wrapper: A name in supersuit, or {name: {argument: value}}.

    Returns:
        The name and the arguments.

    Raises:
        TaskError: If it is neither, or a wrapper that hides how an episode ended.
    """
    entry = {wrapper: {}} if isinstance(wrapper, str) else wrapper
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise TaskError(
            f"wrappers has the entry {wrapper!r}, and one is a name in supersuit, or "
            "{name: {argument: value}}, such as {resize_v1: {x_size: 20, y_size: 20}}"
        )
    ((name, arguments),) = entry.items()
    if str(name).startswith("black_death"):
        raise TaskError(
            f"wrappers has {name}, which reports every end as terminated and truncated at once, a "
            "step late; leave it out: agents that die are handled here"
        )
    if not isinstance(arguments or {}, Mapping):
        raise TaskError(f"the arguments of {name} are {arguments!r}, and must be a mapping")
    return str(name), dict(arguments or {})


def _match(task: str) -> re.Match[str]:
    match = _TASK.fullmatch(task)
    if match is None:
        # EPyMARL's "pz-mpe-simple-spread-v3", PettingZoo's "mpe/simple_spread-v3"
        near = _near(re.sub(r"\W+", "_", re.sub(r"^(pz\W)?mpe\W", "", str(task))))
        nearest = f"\n  nearest: {', '.join(near)}" if near else ""
        raise TaskError(f'task "{task}" is no import path\n  rule:   a task is {GRAMMAR}{nearest}')
    return match


def _import(task: str, name: str) -> Any:
    """Imports a module; says which part of its path is missing."""
    if name not in sys.modules:
        _check_path(task, name)
    try:
        return importlib.import_module(name)
    except Exception as error:  # a module may raise anything; PettingZoo's say what to install
        text = " ".join(str(error).split())
        raise TaskError(f'task "{task}": importing {name} failed: {text}') from error


def _check_path(task: str, name: str) -> None:
    """Raises TaskError, with the nearest names, at the first part of a path that is not there."""
    parts = name.split(".")
    parent = None
    for i, part in enumerate(parts):
        here = ".".join(parts[: i + 1])
        try:
            found = here in sys.modules or importlib.util.find_spec(here) is not None
        except ImportError:  # the parent is a module, no package, or moved as pettingzoo.mpe has
            found = False
        if not found:
            where = f"in {parent}" if parent else "installed here"
            near = _near(parts[-1])
            nearest = f"; nearest: {', '.join(near)}" if near else ""
            raise TaskError(f'task "{task}": there is no module "{part}" {where}{nearest}')
        parent = here


def _near(word: str) -> list[str]:
    """Environments that are installed and have this name, or one like it; nothing is imported."""
    known = {name: path for path in _installed() for name in [path.rpartition(".")[2]]}
    same = [name for name in known if _bare(name) == _bare(word)]
    return [known[name] for name in same or difflib.get_close_matches(word, known, 3, 0.6)]


def _bare(name: str) -> str:
    return re.sub(r"_v\d+$", "", name)


def _installed() -> list[str]:
    """The import paths of the environments of mpe2 and of PettingZoo's families."""
    found = []
    for package in ("mpe2", "pettingzoo"):
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            families = [(package, folder)] if package == "mpe2" else _families(package, folder)
            found += [
                f"{family}.{module.name}"
                for family, place in families
                for module in pkgutil.iter_modules([place])
                if re.search(r"_v\d+$", module.name)
            ]
    return found


def _families(package: str, folder: str) -> list[tuple[str, str]]:
    modules = pkgutil.iter_modules([folder])
    return [(f"{package}.{m.name}", os.path.join(folder, m.name)) for m in modules if m.ispkg]
