"""Whether what is to be computed is the method that the fast engines were tested with.

Who edits the maths gets the maths: a subclass, a replaced function or an edited file runs plain.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib
import inspect
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from torch import nn

from rllib_mmsa import method

#: The module and learner classes whose hooks say what the method says, as (module, name).
KNOWN = {
    ("rllib_mmsa.rllib.module", "QModule"),
    ("rllib_mmsa.rllib.module", "MMSAModule"),
    ("rllib_mmsa.rllib.learner", "QLearner"),
    ("rllib_mmsa.rllib.learner", "MMSALearner"),
}
#: Fingerprints of the files that were tested against the fast engines (``make stamp``).
STAMP = Path(__file__).with_name("stamp.json")
_PACKAGE = Path(__file__).resolve().parents[1]
#: Files that say what an update is besides those of the method.
_HOOKS = ("rllib/module.py", "rllib/learner.py")


def not_the_method(module: nn.Module, learner: Any) -> str | None:
    """Why a module and its learner are not the method that is known; None if they are.

    Args:
        module: the team's networks.
        learner: the learner; None where nothing is learned.
    """
    things = [module] if learner is None else [module, learner]
    for thing in things:
        kind = type(thing)
        if (kind.__module__, kind.__name__) not in KNOWN:
            return f"{kind.__name__} is not a class of this package"
    return _changed_network(module) or _replaced([type(thing) for thing in things]) or _edited()


def _changed_network(module: nn.Module) -> str | None:
    """A network of another class than the method's, or with hooks or functions added to it."""
    for name, network in list(module.named_modules())[1:]:
        kind = type(network)
        home = importlib.import_module(kind.__module__)
        if not _is_ours(home) and kind.__module__.split(".")[0] != "torch":
            return f"{name} is a {kind.__name__}, which is not a class of the method"
        if network._forward_hooks or network._forward_pre_hooks or network._backward_hooks:
            return f"{name} has a hook"
        for key, value in vars(network).items():
            if isinstance(inspect.unwrap(value), FunctionType) and not _in_method(value):
                return f"{name}.{key} was replaced"
    return None


def _replaced(classes: list[type]) -> str | None:
    """A function, class or constant that was replaced at run time: no file of the method has it."""
    for name in _module_names():
        room = importlib.import_module(name)
        for key, literal in _constants(Path(str(room.__file__))).items():
            if vars(room)[key] != literal:
                return f"{name}.{key} was replaced"
        for key in _names(Path(str(room.__file__))):
            value = vars(room)[key]
            if isinstance(value, FunctionType) and not _in_method(value):
                return f"{name}.{key} was replaced"
            if isinstance(value, type):
                home = importlib.import_module(value.__module__)
                changed = [n for n, each in _methods(value) if not _in_method(each)]
                if not _is_ours(home) or changed:
                    return f"{'.'.join([name, key, *changed[:1]])} was replaced"
    for kind in {base for leaf in classes for base in leaf.__mro__}:
        if (kind.__module__, kind.__name__) in KNOWN:
            for key, function in _methods(kind):
                if _file(function) != Path(inspect.getfile(kind)):
                    return f"{kind.__name__}.{key} was replaced"
    return None


@functools.cache
def _edited() -> str | None:
    """A file that is not as it was when the fast engines were tested."""
    stamped = json.loads(STAMP.read_text()) if STAMP.exists() else {}
    for name, digest in fingerprints().items():
        if stamped.get(name) != digest:
            return f"{name} was edited (`make stamp` tests the engines against it)"
    return None


def fingerprints() -> dict[str, str]:
    """A digest of the syntax of each file that says what an update is; comments do not count."""
    files = [*sorted((_PACKAGE / "method").glob("*.py")), *(_PACKAGE / name for name in _HOOKS)]
    return {
        file.relative_to(_PACKAGE).as_posix(): hashlib.sha256(
            repr(_syntax(ast.parse(file.read_text(encoding="utf-8")))).encode()
        ).hexdigest()[:16]
        for file in files
    }


def write_stamp() -> None:
    """Says that the files as they are were tested against the fast engines."""
    STAMP.write_text(json.dumps(fingerprints(), indent=1) + "\n")


def _syntax(node: Any) -> Any:
    """A syntax tree as nested tuples, alike for all versions of Python, without docstrings."""
    if isinstance(node, list):
        return [_syntax(each) for each in node if not _is_text(each)]
    if not isinstance(node, ast.AST):
        return node
    fields = [(name, _syntax(value)) for name, value in ast.iter_fields(node)]
    kept = [(name, value) for name, value in fields if value not in (None, []) and name != "kind"]
    return type(node).__name__, kept


def _is_text(node: Any) -> bool:
    """A statement that is a string alone, such as a docstring."""
    return isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str)


def _module_names() -> list[str]:
    return [f"{method.__name__}.{each.name}" for each in pkgutil.iter_modules(method.__path__)]


def _is_ours(home: ModuleType) -> bool:
    return home.__name__.startswith(f"{method.__name__}.")


@functools.cache
def _statements(file: Path) -> list[ast.stmt]:
    return ast.parse(file.read_text(encoding="utf-8")).body


@functools.cache
def _names(file: Path) -> list[str]:
    """The functions and classes that a file of the method defines, or takes from the others."""
    names: list[str] = []
    for node in _statements(file):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(method.__name__):
            names += (alias.asname or alias.name for alias in node.names)
    return names


@functools.cache
def _constants(file: Path) -> dict[str, Any]:
    """The numbers and words that a file of the method gives names to."""
    found = {}
    for node in _statements(file):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            with contextlib.suppress(ValueError):  # it is computed
                found[node.targets[0].id] = ast.literal_eval(node.value)
    return found


def _methods(kind: type) -> Iterator[tuple[str, FunctionType]]:
    """The methods of a class, but those that Python makes itself (of tuples and data classes)."""
    made = kind.__mro__[1:] if issubclass(kind, tuple) else ()
    for name, value in vars(kind).items():
        function = getattr(value, "fget", None) or getattr(value, "__func__", value)
        generated = name.startswith("__") or (made and name.startswith("_"))
        generated = generated and name != "__call__"
        if isinstance(function, FunctionType) and not generated:
            yield name, function


def _file(function: Any) -> Path:
    return Path(inspect.unwrap(function).__code__.co_filename)


def _in_method(function: Any) -> bool:
    return _file(function).parent == _PACKAGE / "method"
