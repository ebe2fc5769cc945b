"""What `rllib train` says to a word that is none of its commands."""

from __future__ import annotations

import shlex
from typing import Any

import click
from typer.core import TyperGroup


class TrainGroup(TyperGroup):
    """The group's commands; a file without one is told how it is trained."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Click's."""
        if args[0] not in self.commands and args[0].endswith((".yaml", ".yml")):
            ctx.fail(f"a file is trained by: rllib train file {shlex.join(args)}")
        return super().resolve_command(ctx, args)
