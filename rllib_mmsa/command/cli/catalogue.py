"""`rllib envs`, `algorithms`, `examples` and `docs`: what there is, and whether it works here."""

from __future__ import annotations

from typing import Annotated

import typer

from rllib_mmsa.command.cli import completion
from rllib_mmsa.command.exits import EXIT_FAILED, mistakes
from rllib_mmsa.errors import ConfigError

MAX_TASKS_SHOWN = 6

envs_app = typer.Typer(
    no_args_is_help=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@envs_app.callback(invoke_without_command=True)
def envs(ctx: typer.Context) -> None:
    """List the environments: what they are, whether they are installed, example tasks."""
    if ctx.invoked_subcommand:
        return
    from rich.console import Console
    from rich.table import Column, Table

    from env_registry import ENVIRONMENTS, installed

    tasks_column = Column("example tasks", no_wrap=True)  # names, to be copied
    table = Table("name", "installed", "what it is", tasks_column, title="Environments")
    missing = []
    for name, row in ENVIRONMENTS.items():
        there, reason = installed(name)
        more = len(row.tasks) - MAX_TASKS_SHOWN
        tasks = [*row.tasks[:MAX_TASKS_SHOWN], *([f"and {more} more"] if more > 0 else [])]
        shown = (reason.split(":")[0] or "yes") if there else "no"  # what stands in for it, if so
        table.add_row(name, shown, row.summary, "\n".join(tasks))
        if reason:
            missing.append(f"{name}: {reason.removeprefix(f'environment {name!r} ')}")
    Console().print(table)
    # Below the table: a narrow terminal would cut the line that installs in one of its cells.
    for line in missing:
        typer.echo(line)


@envs_app.command("check")
def envs_check(
    name: Annotated[str, typer.Argument(help="See `rllib envs`.", autocompletion=completion.envs)],
    env_config: Annotated[str | None, typer.Option(help="Its options, as YAML or JSON.")] = None,
) -> None:
    """Try an environment out: packages, game, maps, one episode; and say what to do.

    rllib envs check smacv2
    """
    with mistakes():
        from env_registry import EnvConfigError
        from env_registry.diagnose import diagnose
        from rllib_mmsa.command.experiment.files import parse_option

        failed = False
        try:
            for step, ok, detail in diagnose(name, parse_option(env_config, "--env-config")):
                failed = failed or not ok
                colour = typer.colors.GREEN if ok else typer.colors.RED
                typer.secho(f"{'ok' if ok else 'failed':<8}", fg=colour, nl=False)
                typer.echo(f"{step:<15}{detail}")
        except EnvConfigError as error:
            raise ConfigError(str(error)) from None
        if failed:
            raise typer.Exit(EXIT_FAILED)


def algorithms() -> None:
    """List the algorithms."""
    from rich.console import Console
    from rich.table import Table

    from rllib_mmsa.rllib import ALGORITHMS

    table = Table("name", "what it is", title="Algorithms")
    for name, algorithm in ALGORITHMS.items():
        table.add_row(name, (algorithm.__doc__ or "").strip().split("\n")[0])
    Console().print(table)


def examples(
    name: Annotated[
        str | None,
        typer.Argument(help="One of them, to be printed.", autocompletion=completion.examples),
    ] = None,
) -> None:
    """List the tuned examples, or print one, to be changed.

    rllib examples mmsa_lbf > my_lbf.yaml
    """
    with mistakes():
        from rllib_mmsa.command import examples as tuned

        if name:
            typer.echo(tuned.path_of(name).read_text(encoding="utf-8"), nl=False)
            return
        from rich.console import Console
        from rich.table import Column, Table

        table = Table(Column("name", no_wrap=True), "run", "env", title="Tuned examples")
        for each in map(tuned.read, tuned.names()):
            table.add_row(each.name, ", ".join(each.runs), each.env)
        Console().print(table)
        typer.echo("rllib train example NAME trains one; rllib examples NAME prints it.")


def docs(
    page: Annotated[
        str | None,
        typer.Argument(help="One of them, to be read.", autocompletion=completion.pages),
    ] = None,
) -> None:
    """List the pages of the documentation, or show one.

    rllib docs extending
    """
    with mistakes():
        from rich.console import Console
        from rich.markdown import Markdown
        from rich.table import Column, Table

        from rllib_mmsa.command import pages

        console = Console()
        if page:
            text = pages.path_of(page).read_text(encoding="utf-8")
            if console.is_terminal:
                console.print(Markdown(text))
            else:
                typer.echo(text, nl=False)
            return
        table = Table(Column("page", no_wrap=True), "title", title="Documentation")
        for name in pages.names():
            table.add_row(name, pages.title_of(name))
        console.print(table)
        typer.echo(f"rllib docs PAGE shows one; the files: {pages.FOLDER}")
