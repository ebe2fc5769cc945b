"""`rllib report`: many runs compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rllib_mmsa.command.exits import mistakes
from rllib_mmsa.errors import ConfigError

MetricOption = Annotated[
    list[str] | None,
    typer.Option(help="With --export: one more result key, as learners/team/td_loss."),
]
StatisticOption = Annotated[str, typer.Option(help="mean (95 % interval) or median (quartiles).")]
NormaliseOption = Annotated[
    str, typer.Option(help="Returns over tasks: none, min-max, or LOW,HIGH as 0,1.")
]
AtOption = Annotated[
    float | None, typer.Option(min=1, help="Env steps at which runs are compared.")
]
TargetOption = Annotated[float | None, typer.Option(help="Return of the sample efficiency.")]
PoolOption = Annotated[
    list[str] | None,
    typer.Option(help="Setting in which runs of one group may differ, as version."),
]


def report(
    results: Annotated[
        list[str], typer.Argument(help="Folders of results (any above trials), data files (.csv).")
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the report.")] = None,
    export: Annotated[
        Path | None, typer.Option(help="Write the evaluations as one data file: a .csv.")
    ] = None,
    metric: MetricOption = None,
    statistic: StatisticOption = "mean",
    normalise: NormaliseOption = "none",
    at: AtOption = None,
    target_return: TargetOption = None,
    pool: PoolOption = None,
    title: Annotated[str, typer.Option(help="Title of the page.")] = "Results",
) -> None:
    """Turn many runs into curves, tables and statistics, and one page that holds all of it.

    rllib report ~/ray_results/compare_lbf --out report
    """
    with mistakes():
        if out is None and export is None:
            raise ConfigError("name --out DIR for a report, --export FILE.csv for data, or both.")
        from rllib_mmsa import report as reporting

        reporting.check_installed()
        from rllib_mmsa.report.study import Options

        options = Options(
            statistic, normalise, at=at, target_return=target_return, pool=tuple(pool or ()),
            title=title,
        )  # fmt: skip
        for line in reporting.run(results, out, export, options, metrics=metric or ()):
            typer.echo(line)
