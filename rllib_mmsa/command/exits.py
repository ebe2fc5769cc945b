"""Exit codes, and what turns a mistake into one of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import typer

from rllib_mmsa.errors import ConfigError

EXIT_FAILED = 1
EXIT_MISTAKE = 2
EXIT_INTERRUPTED = 130


@contextlib.contextmanager
def mistakes() -> Iterator[None]:
    """Turn a `ConfigError` into one message on stderr and exit code 2."""
    try:
        yield
    except ConfigError as err:
        typer.secho("error: ", fg=typer.colors.RED, bold=True, err=True, nl=False)
        typer.echo(str(err), err=True)
        raise typer.Exit(EXIT_MISTAKE) from None
