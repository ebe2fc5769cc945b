"""`rllib evaluate`, `imagine` and `export`: what was learnt, and to take it elsewhere."""

from __future__ import annotations

from typing import Annotated

import typer

from rllib_mmsa.command.cli.options import TrustOption
from rllib_mmsa.command.exits import mistakes

ImportOption = Annotated[
    list[str] | None,
    typer.Option("--import", help="Where a file that the run imported is now; may be repeated."),
]


def evaluate(
    checkpoint: Annotated[
        str, typer.Argument(help="A checkpoint, a trial's folder, or an experiment's.")
    ],
    episodes: Annotated[
        int | None,
        typer.Option(min=1, help="Number of episodes. Default: 100; with --absolute 320."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the environments.")] = None,
    epsilon: Annotated[
        float | None,
        typer.Option(help="Share of random actions. Default: the run's evaluation_epsilon (0)."),
    ] = None,
    render: Annotated[str | None, typer.Option(help="Film the first episodes: a .gif.")] = None,
    absolute: Annotated[
        bool,
        typer.Option(
            "--absolute", help="Take the trial's best checkpoint; keep the result for the report."
        ),
    ] = False,
    files: ImportOption = None,
    trusted: TrustOption = False,
) -> None:
    """Play episodes with a checkpoint on fresh environments, as the tests of its training.

    rllib evaluate ~/ray_results/mmsa_lbf --episodes 100 --render mmsa.gif
    """
    with mistakes():
        from rllib_mmsa.command import evaluate as evaluation

        path = evaluation.locate(checkpoint)  # before the slow imports
        count = episodes or 100
        if absolute:
            from rllib_mmsa.command import absolute as metric

            path, count = metric.best_checkpoint(checkpoint), episodes or metric.EPISODES
        result = evaluation.evaluate(
            path, episodes=count, seed=seed, epsilon=epsilon, render=render, files=files or ()
        )
        typer.echo(result.summary())
        if absolute:
            typer.echo(f"absolute    {metric.save(result)}")
        if render:
            typer.echo(f"film        {render}")


def imagine(
    checkpoint: Annotated[
        str, typer.Argument(help="Of MMSA: a checkpoint, a trial's folder, or an experiment's.")
    ],
    out: Annotated[str, typer.Option(help="Folder to write to.")] = "imagined",
    steps: Annotated[
        str | None, typer.Option(help="Steps to draw, such as 0,10,20. Default: three.")
    ] = None,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes that errors are of.")] = 20,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the environments.")] = None,
    files: ImportOption = None,
    trusted: TrustOption = False,
) -> None:
    """Draw what MMSA's world model foresaw beside what happened, and its error by depth.

    rllib imagine ~/ray_results/mmsa_lbf --out imagined --steps 0,10,20
    """
    with mistakes():
        from rllib_mmsa.command import evaluate as evaluation
        from rllib_mmsa.command.imagine import command

        evaluation.locate(checkpoint)  # before the slow imports
        wanted = command.parse_steps(steps)
        result = command.run(
            checkpoint, out=out, steps=wanted, episodes=episodes, seed=seed, files=files or ()
        )
        typer.echo(result.summary())


def export(
    checkpoint: Annotated[
        str, typer.Argument(help="A checkpoint, a trial's folder, or an experiment's.")
    ],
    out: Annotated[str, typer.Option(help="Folder to write to; new or empty.")] = "team",
    onnx: Annotated[bool, typer.Option(help="Write team.onnx as well.")] = True,
    license_id: Annotated[
        str | None,
        typer.Option("--license", help="Of the weights, such as CC-BY-4.0, for their page."),
    ] = None,
) -> None:
    """Write a trained team for others: safetensors, ONNX and a page about it; no pickles.

    rllib export ~/ray_results/mmsa_lbf --out my_team
    """
    with mistakes():
        from rllib_mmsa.command.export import export as write

        typer.echo(write(checkpoint, out, onnx=onnx, license_id=license_id).summary())
