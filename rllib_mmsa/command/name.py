"""How this command was called, for the lines that it prints to be run next."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path


def command_name() -> str:
    """The command as it can be typed again: `rllib`, `.venv/bin/rllib`, `python -m rllib_mmsa`.

    Returns:
        Shell text, quoted where it has to be.
    """
    called = Path(sys.argv[0])
    if called.name == "__main__.py" and called.parent.name == "rllib_mmsa":
        return f"{_typed(Path(sys.executable))} -m rllib_mmsa"
    # From Python there was no command; its name is as good as any.
    return _typed(called) if called.name == "rllib" else "rllib"


def command_words() -> list[str]:
    """What starts this command again in a process of its own, by the name it was called by."""
    script = Path(sys.argv[0])
    called = [str(script)] if script.name == "rllib" and script.exists() else ["-m", "rllib_mmsa"]
    return [sys.executable, *called]


def tool_name(tool: str) -> str:
    """The same for a program that is installed beside this one, such as `tensorboard`."""
    beside = Path(sys.executable).with_name(tool)
    return _typed(beside) if not shutil.which(tool) and beside.exists() else tool


def _typed(path: Path) -> str:
    """The bare name where the shell finds this very program by it, else its path."""
    found = shutil.which(path.name)
    if found and Path(found).absolute() == path.absolute():
        return path.name
    return shlex.quote(str(path))
