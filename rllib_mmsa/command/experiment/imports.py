"""A user's own modules, imported on the driver and again in every Ray worker.

Importing them is what registers the user's environments. A worker must do so before it unpickles
anything that refers to them, hence Ray's worker set-up hook.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from rllib_mmsa.errors import ConfigError

_VARIABLE = "RLLIB_MMSA_IMPORT"
_PATH_VARIABLE = "RLLIB_MMSA_PATH"


def load(imports: Sequence[str]) -> None:
    """Import modules by dotted name, and Python files by path under their file's name.

    Args:
        imports: Names such as "my_package.envs", or absolute paths such as "/home/me/my_env.py".

    Raises:
        ConfigError: If one cannot be imported; the text has the reason.
    """
    if imports and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does; a console script does not
    for name in imports:
        try:
            _load_file(Path(name)) if name.endswith(".py") else importlib.import_module(name)
        except Exception as err:  # the user's module may raise anything
            raise ConfigError(f"import: '{name}' failed: {_described(err)}") from None


def _described(err: Exception) -> str:
    """What a module raised, where, and for an old package what takes its place."""
    frames = traceback.extract_tb(err.__traceback__)
    own = [frame for frame in frames if "importlib" not in frame.filename]
    where = (
        f" ({own[-1].filename}:{own[-1].lineno})" if own and own[-1].filename != __file__ else ""
    )
    text = f"{type(err).__name__}: {err}{where}"
    if isinstance(err, ModuleNotFoundError) and (err.name or "").partition(".")[0] == "gym":
        text += (
            ". gym has become gymnasium: write 'import gymnasium', give reset the arguments seed "
            "and options, and let step return five values."
        )
    return text


def found_again(
    recorded: Sequence[str], folder: Path, given: Sequence[str] = ()
) -> tuple[str, ...]:
    """What a run imported, where its files are now.

    Args:
        recorded: Module names and absolute paths of files, as the run's record has them.
        folder: The experiment's. A file that is gone is looked for in it, beside it and in the
            working folder.
        given: Modules and files that the user names (`--import`). A file takes the place of the
            recorded one of its name; with any, recorded files that cannot be found are left out.

    Returns:
        Names and absolute paths to import.

    Raises:
        ConfigError: If a file is not there.
    """
    named = []
    for name in given:
        path = Path(name).expanduser()
        if name.endswith(".py") and not path.is_file():
            raise ConfigError(f"--import: no file '{name}'.")
        named.append(str(path.resolve()) if name.endswith(".py") else name)
    found = list(named)
    for name in recorded:
        file = Path(name)
        if not name.endswith(".py"):
            found.append(name)
            continue
        if file.name in {Path(other).name for other in named}:
            continue
        places = [file, *(place / file.name for place in (folder, folder.parent, Path.cwd()))]
        there = next((place for place in places if place.is_file()), None)
        if there is not None:
            found.append(str(there.resolve()))
        elif not named:
            raise ConfigError(
                f"the run imported '{name}', which is gone; say where the file is now: "
                f"--import path/to/{file.name}."
            )
    return tuple(dict.fromkeys(found))


def _load_file(path: Path) -> None:
    """Import a file once, as the top-level module named after it."""
    if path.stem in sys.modules:
        if Path(getattr(sys.modules[path.stem], "__file__", None) or "").resolve() == path:
            return
        raise ImportError(f"a module named '{path.stem}' exists already; rename the file")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # its neighbours may be imported, but shadow nothing
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise


def worker_variables(imports: Sequence[str]) -> dict[str, str]:
    """Environment variables by which a worker knows what to import, and from where."""
    return {
        _VARIABLE: os.pathsep.join(imports),
        _PATH_VARIABLE: os.pathsep.join(p or os.getcwd() for p in sys.path),
    }


def setup_worker() -> None:
    """Import this package and the user's modules; Ray calls it as each worker starts."""
    known = set(sys.path)
    paths = os.environ.get(_PATH_VARIABLE, "").split(os.pathsep)
    sys.path.extend(p for p in paths if p and p not in known)
    importlib.import_module("rllib_mmsa")
    load([name for name in os.environ.get(_VARIABLE, "").split(os.pathsep) if name])
