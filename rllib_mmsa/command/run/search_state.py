"""How far a search has come, as Tune saves it, without the code of one Python.

Tune's state of a grid holds a parser of Python's argparse, and that a function, as code: another
Python could not read it, or would run it wrongly. The parser is made anew instead.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

from ray import cloudpickle
from ray.tune.experiment.config_parser import _make_parser

KIND = "basic-variant-state-"


class _Code(tuple):
    """What a function's code was made of; nothing runs it."""


class _Unpickler(pickle.Unpickler):
    """Reads a pickle whose functions are saved as code; those of argparse become placeholders."""

    def find_class(self, module_name: str, name: str) -> Any:
        """Python's, but for what cloudpickle makes functions with.

        Raises:
            UnpicklingError: If a function or class is not argparse's.
        """
        if not module_name.endswith("cloudpickle"):
            return super().find_class(module_name, name)
        made = {
            "_builtin_type": lambda type_name: lambda *parts: _Code(parts),
            "_make_function": _placeholder,
            "_function_setstate": lambda function, state: None,
        }
        if name not in made:
            raise pickle.UnpicklingError(name)
        return made[name]


def _placeholder(code: _Code, *args: Any) -> Any:
    if not any(isinstance(part, str) and part.endswith("argparse.py") for part in code):
        raise pickle.UnpicklingError("a function of the user's")
    return str


def portable(content: bytes) -> bytes | None:
    """The state of a grid for this Python, whichever wrote it.

    Args:
        content: Of Tune's file; the user's own or trusted, since it is a pickle.

    Returns:
        None where it is something else, damaged, or holds functions of the user's as code.
    """
    try:
        state = _Unpickler(io.BytesIO(content)).load()
        for iterator in state["_iterators"]:
            iterator.parser = _make_parser()
        return cloudpickle.dumps(state)
    except Exception:  # half a pickle raises anything
        return None
