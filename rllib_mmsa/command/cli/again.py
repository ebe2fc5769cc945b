"""The command line that runs an experiment again, or goes on with it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import typer


def given(ctx: typer.Context) -> list[str]:
    """The options that say which run it is, as they are typed."""
    named = ("config", "stop", "experiment_name", "storage_path", "restore", "ray_address")
    given = ((f"--{name.replace('_', '-')}", ctx.params[name]) for name in named)
    return [text for name, value in given if value for text in (name, value)]


def flags(resume: bool, fresh: bool, verbose: bool) -> list[str]:
    """The options that say how it runs, as they are typed."""
    asked = {"--resume": resume, "--fresh": fresh, "--log-info": verbose}
    return [flag for flag, is_asked in asked.items() if is_asked]


def to_resume(command: Sequence[str], typed: Sequence[str], only: Sequence[str]) -> str:
    """What goes on with a file's experiments, or with the one in a folder."""
    named = [text for name in only for text in ("--only", name)]
    again = [*command, "--resume", *typed, *named]
    return shlex.join(again) if command else "train resume {path}"
