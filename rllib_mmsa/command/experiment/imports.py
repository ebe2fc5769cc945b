"""A user's own modules, imported on the driver and again in every Ray worker.

Importing them is what registers the user's environments. A worker must do so before it unpickles
anything that refers to them, hence Ray's worker set-up hook.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
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
            raise ConfigError(f"import: '{name}' failed: {type(err).__name__}: {err}") from None


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
