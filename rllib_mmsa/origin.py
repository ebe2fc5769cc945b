"""Whether a checkpoint can be read here: which versions wrote it, and what is pickled as code.

No Ray, no torch.
"""

from __future__ import annotations

import pickle
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rllib_mmsa import whole
from rllib_mmsa.errors import ConfigError

#: What cloudpickle calls to make a function or a class that it had to pickle as code.
_CODE = (b"_make_function", b"_make_skeleton_class")


def refuse_newer(checkpoint: Path) -> None:
    """Refuse a checkpoint whose format this version does not know.

    One that does not say who wrote it, an older version's, passes.

    Args:
        checkpoint: Its folder, on this machine.

    Raises:
        ConfigError: With the versions that wrote it, and what to do.
    """
    said = whole.written_by(checkpoint)
    if said.get("format", 0) > whole.FORMAT:
        raise ConfigError(
            f"'{checkpoint}' has format {said['format']}, and this version, "
            f"{whole.here()['version']}, reads up to {whole.FORMAT}. {_wrote(said)} Install that "
            "version, or a newer one."
        )


def refuse_code(checkpoint: Path, files: Iterable[Path]) -> None:
    """Refuse pickles with code of another Python, which may end the process when it runs.

    Args:
        checkpoint: Says which Python wrote them; one that does not passes.
        files: The pickles, or JSON that holds some.

    Raises:
        ConfigError: With the versions that wrote them, and what to do.
    """
    said = whole.written_by(checkpoint)
    python, own = (_minor(each) for each in (said.get("python", ""), platform.python_version()))
    if python in ("", own):
        return
    for file in files:
        if _has_code(file):
            raise ConfigError(
                f"'{file}' holds code of Python {python}, and this is Python {own}: a function or "
                "class that is in no module, such as a lambda among the callbacks, was saved as "
                f"code. {_wrote(said)} Open it with Python {python}. What is defined in a module "
                "is saved by its name, which every Python reads; rllib_mmsa.load_team opens no "
                "pickle."
            )


def load_class(checkpoint: Path) -> tuple[type, Sequence[Any], dict[str, Any]]:
    """Unpickle what makes a checkpoint's algorithm.

    Args:
        checkpoint: Its folder; the user's own or trusted, since this runs code.

    Returns:
        The class, and its arguments by position and by name.

    Raises:
        ConfigError: If it cannot be read here.
    """
    refuse_newer(checkpoint)
    file = checkpoint / whole.CLASS_FILE
    try:
        refuse_code(checkpoint, [file])
        made = pickle.loads(file.read_bytes())
        args, kwargs = made["ctor_args_and_kwargs"]
        return made["class"], args, kwargs
    except ConfigError:
        raise
    except Exception as err:  # a damaged pickle raises anything
        said = whole.written_by(checkpoint)
        wrote = _wrote(said) if said else "Was it made by another version of Ray or Python?"
        raise ConfigError(
            f"'{checkpoint}' cannot be read: {type(err).__name__}: {err}. {wrote} Modules of the "
            "user's own must be importable where it is opened."
        ) from None


def _wrote(said: dict[str, Any]) -> str:
    return (
        f"It was written by rllib-mmsa {said['version']} with Python {said['python']} and Ray "
        f"{said['ray']}; here are Python {platform.python_version()} and Ray "
        f"{whole.here()['ray']}."
    )


def _minor(python: str) -> str:
    """ "3.11" of "3.11.2": code is the same within it."""
    return ".".join(python.split(".")[:2])


def _has_code(file: Path) -> bool:
    """Whether a pickle, or JSON with pickles in hexadecimal digits, holds code."""
    content = file.read_bytes()
    return any(mark in content or mark.hex().encode() in content for mark in _CODE)
