"""The options of `rllib train`, each with its help."""

from __future__ import annotations

from typing import Annotated

import typer

from rllib_mmsa.command import trust
from rllib_mmsa.command.cli import completion

# What one experiment is, without a file.
AlgoOption = Annotated[
    str | None,
    typer.Option(
        "--algo",
        "--run",
        "-a",
        "-r",
        help="See `rllib algorithms`.",
        autocompletion=completion.algorithms,
    ),
]
EnvOption = Annotated[
    str | None,
    typer.Option("--env", "-e", help="See `rllib envs`.", autocompletion=completion.envs),
]
EnvConfigOption = Annotated[str | None, typer.Option(help="Its options, as YAML or JSON.")]
ConfigOption = Annotated[
    str | None, typer.Option("--config", "-c", help="RLlib options, as YAML or JSON.")
]
NameOption = Annotated[
    str | None, typer.Option("--experiment-name", "-n", help="Default: <algo>_<env>.")
]
SamplesOption = Annotated[int, typer.Option(help="Repetitions of the grid.")]
CheckpointOption = Annotated[
    int | None, typer.Option(help="Iterations between checkpoints; 0: one at the end. Default: 50.")
]
StopOption = Annotated[
    str | None,
    typer.Option("--stop", "-s", help="Stop criteria, as YAML or JSON: metric: value, ..."),
]

FileArgument = Annotated[
    str,
    typer.Argument(
        help="YAML: name -> run, env, stop, config ...; or an example's name.",
        autocompletion=completion.trained,
    ),
]

# What is put over a file's values.
OverrideArgument = Annotated[
    list[str] | None,
    typer.Argument(help="Values over the file's: config.lr=5e-4 config.env_config.task=..."),
]
FileConfigOption = Annotated[
    str | None, typer.Option("--config", "-c", help="Options over the file's, as YAML or JSON.")
]
FileNameOption = Annotated[
    str | None,
    typer.Option("--experiment-name", "-n", help="Another name for a file's one experiment."),
]

# How it is run.
StorageOption = Annotated[
    str | None,
    typer.Option(
        "--storage-path", "--local-dir", help="Folder above the results. Default: ~/ray_results."
    ),
]
RestoreOption = Annotated[
    str | None, typer.Option("--restore", help="A checkpoint that the new run begins from.")
]
TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust", help="Open pickles that others made; they may run code.", callback=trust.give
    ),
]
FreshOption = Annotated[
    bool,
    typer.Option("--fresh", help="Begin anew where an unfinished run lies: it cannot go on then."),
]
VerboseOption = Annotated[
    bool, typer.Option("--log-info", "-v", help="Show the logs of Ray and of the workers.")
]
LocalOption = Annotated[
    bool, typer.Option("--local", help="Train in this process alone, to debug: breakpoints work.")
]
AddressOption = Annotated[
    str | None, typer.Option(help="Run on the Ray cluster at this address ('auto': this host's).")
]
CpusOption = Annotated[
    int | None, typer.Option(min=1, help="CPUs that Ray may use here. Default: all.")
]


OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", help="One of the file's experiments; repeatable."),
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on with what is unfinished, from its checkpoints.")
]
GoOnOption = Annotated[
    bool, typer.Option("--go-on", help="As --resume, and begin what has not begun.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Check all, and say what would run and how long.")
]
AtOnceOption = Annotated[
    int | None,
    typer.Option(min=1, help="Experiments at a time. Default: as many as there are CPUs."),
]
