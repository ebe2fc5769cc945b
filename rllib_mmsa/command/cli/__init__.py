"""The `rllib` command: parses, calls, prints. What it does is in the modules that it calls.

Ray and torch are imported inside the commands, after the cheap checks, so that help and most
mistakes answer at once.
"""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from rllib_mmsa.command.cli import catalogue, checkpoints, report, train

app = typer.Typer(
    name="rllib",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# In the order of the help text, which puts groups last.
app.command()(checkpoints.evaluate)
app.command()(report.report)
app.command()(catalogue.algorithms)
app.command()(catalogue.examples)
app.command()(catalogue.docs)
app.command()(checkpoints.imagine)
app.command()(checkpoints.export)
app.add_typer(train.app, name="train")
app.add_typer(catalogue.envs_app, name="envs")


def _version(show: bool) -> None:
    """Print the versions and leave."""
    if show:
        from importlib import metadata

        for package in ("rllib-mmsa", "ray", "torch"):
            with contextlib.suppress(metadata.PackageNotFoundError):
                typer.echo(f"{package} {metadata.version(package)}")
        reason = "its folder is not there"  # it may be deleted
        with contextlib.suppress(ModuleNotFoundError):
            from rllib_mmsa.engine import native  # last: it imports torch

            reason = native.unavailable()
        typer.echo(f"native engine: {f'no; {reason}' if reason else 'yes'}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show versions.")
    ] = False,
) -> None:
    """Train and evaluate [bold]MMSA[/bold], QMIX, VDN and independent Q-learning with RLlib.

    [bold]Train[/bold] what a file describes, or what the options say:

      rllib train file tuned_examples/mmsa_lbf.yaml

      rllib train --algo QMIX --env two_step --stop '{num_env_steps_sampled_lifetime: 5000}'

    [bold]Stop[/bold] with Ctrl-C and [bold]go on[/bold] later, from where it was:

      rllib train file tuned_examples/mmsa_lbf.yaml --resume

    [bold]Evaluate[/bold] what was learnt, and watch it:

      rllib evaluate ~/ray_results/mmsa_lbf --episodes 100 --render mmsa.gif

    [bold]Take away[/bold] the team, for a machine without the trainer:

      rllib export ~/ray_results/mmsa_lbf --out my_team

    [bold]Compare[/bold] many runs:

      rllib report ~/ray_results/compare_lbf --out report

    [bold]Curves[/bold] during and after training:

      tensorboard --logdir ~/ray_results/mmsa_lbf
    """
