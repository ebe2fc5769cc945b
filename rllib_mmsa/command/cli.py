"""The `rllib` command: parses, calls, prints. What it does is in the modules that it calls.

Ray and torch are imported inside the commands, after the cheap checks, so that help and most
mistakes answer at once.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rllib_mmsa.errors import ConfigError

if TYPE_CHECKING:
    from rllib_mmsa.command.experiment.experiments import Experiment

EXIT_FAILED = 1
EXIT_MISTAKE = 2
MAX_TASKS_SHOWN = 6

app = typer.Typer(
    name="rllib",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
train_app = typer.Typer(
    no_args_is_help=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(train_app, name="train")
envs_app = typer.Typer(
    no_args_is_help=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(envs_app, name="envs")

StopOption = Annotated[
    str | None,
    typer.Option("--stop", "-s", help="Stop criteria, as YAML or JSON: metric: value, ..."),
]
StorageOption = Annotated[
    str | None,
    typer.Option(
        "--storage-path", "--local-dir", help="Folder above the results. Default: ~/ray_results."
    ),
]
VerboseOption = Annotated[
    bool, typer.Option("--log-info", "-v", help="Show the logs of Ray and of the workers.")
]
AddressOption = Annotated[
    str | None, typer.Option(help="Run on the Ray cluster at this address ('auto': this host's).")
]
CpusOption = Annotated[
    int | None, typer.Option(min=1, help="CPUs that Ray may use here. Default: all.")
]


@contextlib.contextmanager
def mistakes() -> Iterator[None]:
    """Turn a user's mistake into one message and exit code 2."""
    try:
        yield
    except ConfigError as err:
        typer.secho("error: ", fg=typer.colors.RED, bold=True, err=True, nl=False)
        typer.echo(str(err), err=True)
        raise typer.Exit(EXIT_MISTAKE) from None


def _version(show: bool) -> None:
    """Print the versions and leave."""
    if show:
        from importlib import metadata

        for package in ("rllib-mmsa", "ray", "torch"):
            with contextlib.suppress(metadata.PackageNotFoundError):
                typer.echo(f"{package} {metadata.version(package)}")
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

    [bold]Compare[/bold] many runs:

      rllib report ~/ray_results/compare_lbf --out report

    [bold]Curves[/bold] during and after training:

      tensorboard --logdir ~/ray_results/mmsa_lbf
    """


@train_app.callback(invoke_without_command=True)
def train(
    ctx: typer.Context,
    algo: Annotated[
        str | None, typer.Option("--algo", "--run", "-a", "-r", help="See `rllib algorithms`.")
    ] = None,
    env: Annotated[str | None, typer.Option("--env", "-e", help="See `rllib envs`.")] = None,
    env_config: Annotated[str | None, typer.Option(help="Its options, as YAML or JSON.")] = None,
    config: Annotated[
        str | None, typer.Option("--config", "-c", help="RLlib options, as YAML or JSON.")
    ] = None,
    stop: StopOption = None,
    experiment_name: Annotated[
        str | None, typer.Option("--experiment-name", "-n", help="Default: <algo>_<env>.")
    ] = None,
    num_samples: Annotated[int, typer.Option(help="Repetitions of the grid.")] = 1,
    checkpoint_freq: Annotated[int, typer.Option(help="Iterations between checkpoints.")] = 0,
    storage_path: StorageOption = None,
    verbose: VerboseOption = False,
    ray_address: AddressOption = None,
    ray_num_cpus: CpusOption = None,
) -> None:
    """Train from options, or from a file with `rllib train file`.

      rllib train --algo MMSA --env lbf --env-config '{task: 8x8-2p-2f-v2}' \\
        --stop '{num_env_steps_sampled_lifetime: 200000}' --config '{seed: 1}'
    """
    if ctx.invoked_subcommand:
        return
    with mistakes():
        from rllib_mmsa.command.experiment import experiments

        if not algo or not env:
            raise ConfigError(
                "name both --algo and --env, or a file: rllib train file "
                "tuned_examples/mmsa_lbf.yaml (rllib train --help says more)."
            )
        settings = experiments.parse_option(config, "--config")
        if env_config:
            settings["env_config"] = {
                **settings.get("env_config", {}),
                **experiments.parse_option(env_config, "--env-config"),
            }
        name = experiment_name or f"{algo}_{env}".lower()
        entry = {
            "run": algo,
            "env": env,
            "config": settings,
            "num_samples": num_samples,
            "stop": experiments.parse_option(stop, "--stop"),
            "checkpoint_freq": checkpoint_freq,
            "storage_path": storage_path,
        }
        _train(
            [experiments.parse_experiment(name, entry)],
            verbose=verbose, ray_address=ray_address, num_cpus=ray_num_cpus,
        )  # fmt: skip


@train_app.command("file")
def train_file(
    config_file: Annotated[str, typer.Argument(help="YAML: name -> run, env, stop, config ...")],
    stop: StopOption = None,
    storage_path: StorageOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what is unfinished, from its checkpoints.")
    ] = False,
    verbose: VerboseOption = False,
    ray_address: AddressOption = None,
    ray_num_cpus: CpusOption = None,
) -> None:
    """Train every experiment of a YAML file, one after another.

    rllib train file tuned_examples/mmsa_lbf.yaml --stop '{training_iteration: 5}'
    """
    with mistakes():
        from rllib_mmsa.command.experiment import experiments

        found = experiments.load_file(config_file, stop=stop, storage_path=storage_path)
        command = ["rllib", "train", "file", config_file, "--resume"]
        command += ["--storage-path", storage_path] if storage_path else []
        command += ["--ray-address", ray_address] if ray_address else []
        _train(
            found, resume=resume, verbose=verbose, ray_address=ray_address,
            num_cpus=ray_num_cpus, resume_command=shlex.join(command),
        )  # fmt: skip


@train_app.command("resume")
def train_resume(
    results: Annotated[Path, typer.Argument(help="An experiment's folder of results.")],
    verbose: VerboseOption = False,
    ray_address: AddressOption = None,
    ray_num_cpus: CpusOption = None,
) -> None:
    """Go on with an experiment that was interrupted, from its folder of results."""
    with mistakes():
        from rllib_mmsa.command.experiment import experiments

        folder = results.expanduser().resolve()
        record = folder / experiments.RECORD
        if not record.exists():
            raise ConfigError(
                f"'{results}' holds no {experiments.RECORD}; name the folder of an experiment, "
                f"such as {experiments.DEFAULT_STORAGE}/mmsa_lbf."
            )
        # The folder may have been moved or renamed since.
        (entry,) = experiments.read_file(record).values()
        entry["storage_path"] = str(folder.parent)
        _train(
            [experiments.parse_experiment(folder.name, entry)],
            resume=True, verbose=verbose, ray_address=ray_address, num_cpus=ray_num_cpus,
        )  # fmt: skip


def _train(
    experiments: Sequence[Experiment],
    *,
    resume: bool = False,
    verbose: bool,
    ray_address: str | None,
    num_cpus: int | None,
    resume_command: str = "rllib train resume {path}",
) -> None:
    """Check everything, then start Ray and train; leaves with the exit code."""
    import os

    from rllib_mmsa.command.experiment import imports, preflight

    for experiment in experiments:
        imports.load(experiment.imports)
    on_cluster = bool(ray_address or os.environ.get("RAY_ADDRESS"))
    preflight.check(experiments, local=not on_cluster, num_cpus=num_cpus)
    from rllib_mmsa.command.run import launch

    options = launch.LaunchOptions(
        resume=resume,
        verbose=verbose,
        ray_address=ray_address,
        num_cpus=num_cpus,
        resume_command=resume_command,
    )
    raise typer.Exit(launch.run(experiments, options))


@app.command()
def evaluate(
    checkpoint: Annotated[
        str, typer.Argument(help="A checkpoint, a trial's folder, or an experiment's of one trial.")
    ],
    episodes: Annotated[
        int | None,
        typer.Option(min=1, help="Number of episodes. Default: 100; with --absolute 320."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the environments.")] = None,
    render: Annotated[str | None, typer.Option(help="Film the first episodes: a .gif.")] = None,
    absolute: Annotated[
        bool,
        typer.Option(
            "--absolute", help="Take the trial's best checkpoint; keep the result for the report."
        ),
    ] = False,
) -> None:
    """Play greedy episodes with a checkpoint on fresh environments.

    rllib evaluate ~/ray_results/mmsa_lbf --episodes 100 --render mmsa.gif
    """
    with mistakes():
        from rllib_mmsa.command import evaluate as evaluation

        path = evaluation.locate(checkpoint)  # before the slow imports
        count = episodes or 100
        if absolute:
            from rllib_mmsa.command import absolute as metric

            path, count = metric.best_checkpoint(checkpoint), episodes or metric.EPISODES
        found = evaluation.evaluate(path, episodes=count, seed=seed, render=render)
        typer.echo(found.summary())
        if absolute:
            typer.echo(f"absolute    {metric.save(found)}")
        if render:
            typer.echo(f"film        {render}")


@app.command()
def report(
    results: Annotated[
        list[str], typer.Argument(help="Folders of results (any above trials), data files (.csv).")
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the report.")] = None,
    export: Annotated[
        Path | None, typer.Option(help="Write the evaluations as one data file: a .csv.")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="With --export: one more result key, as learners/team/td_loss."),
    ] = None,
    statistic: Annotated[
        str, typer.Option(help="mean (95 % interval) or median (quartiles).")
    ] = "mean",
    normalise: Annotated[
        str, typer.Option(help="Returns over tasks: none, min-max, or LOW,HIGH as 0,1.")
    ] = "none",
    at: Annotated[
        float | None, typer.Option(min=1, help="Env steps at which runs are compared.")
    ] = None,
    target_return: Annotated[
        float | None, typer.Option(help="Return of the sample efficiency.")
    ] = None,
    pool: Annotated[
        list[str] | None,
        typer.Option(help="Setting in which runs of one group may differ, as version."),
    ] = None,
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
        table.add_row(name, "yes" if there else "no", row.summary, "\n".join(tasks))
        if not there:
            missing.append(f"{name}: {reason.removeprefix(f'environment {name!r} ')}")
    Console().print(table)
    # Beside the table, where a narrow terminal would cut the line that installs.
    for line in missing:
        typer.echo(line)


@envs_app.command("check")
def envs_check(
    name: Annotated[str, typer.Argument(help="See `rllib envs`.")],
    env_config: Annotated[str | None, typer.Option(help="Its options, as YAML or JSON.")] = None,
) -> None:
    """Try an environment out: packages, game, maps, one episode; and say what to do.

    rllib envs check smacv2
    """
    with mistakes():
        from env_registry import EnvConfigError, sc2_check
        from rllib_mmsa.command.experiment import experiments

        failed = False
        try:
            for step, ok, detail in sc2_check.check(
                name, experiments.parse_option(env_config, "--env-config")
            ):
                failed = failed or not ok
                colour = typer.colors.GREEN if ok else typer.colors.RED
                typer.secho(f"{'ok' if ok else 'failed':<8}", fg=colour, nl=False)
                typer.echo(f"{step:<15}{detail}")
        except EnvConfigError as error:
            raise ConfigError(str(error)) from None
        if failed:
            raise typer.Exit(EXIT_FAILED)


@app.command()
def algorithms() -> None:
    """List the algorithms."""
    from rich.console import Console
    from rich.table import Table

    from rllib_mmsa.rllib import ALGORITHMS

    table = Table("name", "what it is", title="Algorithms")
    for name, algorithm in ALGORITHMS.items():
        table.add_row(name, (algorithm.__doc__ or "").strip().split("\n")[0])
    Console().print(table)


@app.command()
def imagine(
    checkpoint: Annotated[
        str, typer.Argument(help="Of MMSA: a checkpoint, a trial's folder, or an experiment's.")
    ],
    out: Annotated[str, typer.Option(help="Folder to write to.")] = "imagined",
    steps: Annotated[
        str | None, typer.Option(help="Steps to draw, such as 0,10,20. Default: three.")
    ] = None,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes that errors are of.")] = 20,
    seed: Annotated[int | None, typer.Option(help="Seed of the environments.")] = None,
) -> None:
    """Draw what MMSA's world model foresaw beside what happened, and its error by depth.

    rllib imagine ~/ray_results/mmsa_lbf --out imagined --steps 0,10,20
    """
    with mistakes():
        from rllib_mmsa.command import evaluate as evaluation
        from rllib_mmsa.command.imagine import command

        evaluation.locate(checkpoint)  # before the slow imports
        wanted = command.parse_steps(steps)
        found = command.run(checkpoint, out=out, steps=wanted, episodes=episodes, seed=seed)
        typer.echo(found.summary())


if __name__ == "__main__":
    app()
