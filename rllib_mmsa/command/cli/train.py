"""`rllib train`: from options, from a file, or on from an experiment's folder."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rllib_mmsa.command.cli.checkpoints import ImportOption
from rllib_mmsa.command.exits import mistakes
from rllib_mmsa.errors import ConfigError

if TYPE_CHECKING:
    from rllib_mmsa.command.experiment.experiment import Experiment
    from rllib_mmsa.command.experiment.overrides import Override

app = typer.Typer(
    no_args_is_help=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

# What one experiment is, without a file.
AlgoOption = Annotated[
    str | None, typer.Option("--algo", "--run", "-a", "-r", help="See `rllib algorithms`.")
]
EnvOption = Annotated[str | None, typer.Option("--env", "-e", help="See `rllib envs`.")]
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
FreshOption = Annotated[
    bool,
    typer.Option("--fresh", help="Begin anew where an unfinished run lies: it cannot go on then."),
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


@app.callback(invoke_without_command=True)
def train(
    ctx: typer.Context,
    algo: AlgoOption = None,
    env: EnvOption = None,
    env_config: EnvConfigOption = None,
    config: ConfigOption = None,
    stop: StopOption = None,
    experiment_name: NameOption = None,
    num_samples: SamplesOption = 1,
    checkpoint_freq: CheckpointOption = None,
    storage_path: StorageOption = None,
    fresh: FreshOption = False,
    restore: RestoreOption = None,
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
        from rllib_mmsa.command.experiment import structure

        entry = _entry(algo, env, env_config, config, stop)
        entry["num_samples"] = num_samples
        entry["checkpoint_freq"] = checkpoint_freq
        entry["storage_path"] = storage_path
        entry["restore"] = restore
        name = experiment_name or structure.folder_name(f"{algo}_{structure.game_of(entry)}")
        _train(
            [structure.parse_experiment(name, entry)],
            fresh=fresh, verbose=verbose, ray_address=ray_address, num_cpus=ray_num_cpus,
        )  # fmt: skip


def _entry(
    algo: str | None, env: str | None, env_config: str | None, config: str | None, stop: str | None
) -> dict[str, object]:
    """The options as the entry of an experiment file that says the same.

    Raises:
        ConfigError: If the algorithm or the environment is missing, or a text is not valid YAML.
    """
    from rllib_mmsa.command.experiment import checks
    from rllib_mmsa.command.experiment.files import parse_option

    if not algo or not env:
        raise ConfigError(
            "name both --algo and --env, or a file: rllib train file "
            "tuned_examples/mmsa_lbf.yaml (rllib train --help says more)."
        )
    settings = parse_option(config, "--config")
    if env_config:
        before = checks.mapping(settings.get("env_config"), "--config: env_config")
        settings["env_config"] = {**before, **parse_option(env_config, "--env-config")}
    return {"run": algo, "env": env, "config": settings, "stop": parse_option(stop, "--stop")}


@app.command("file")
def train_file(
    config_file: Annotated[str, typer.Argument(help="YAML: name -> run, env, stop, config ...")],
    override: OverrideArgument = None,
    config: FileConfigOption = None,
    stop: StopOption = None,
    experiment_name: FileNameOption = None,
    storage_path: StorageOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what is unfinished, from its checkpoints.")
    ] = False,
    fresh: FreshOption = False,
    restore: RestoreOption = None,
    verbose: VerboseOption = False,
    ray_address: AddressOption = None,
    ray_num_cpus: CpusOption = None,
) -> None:
    """Train every experiment of a YAML file, one after another.

    rllib train file tuned_examples/mmsa_lbf.yaml --stop '{training_iteration: 5}'

    rllib train file tuned_examples/mmsa_lbf.yaml config.lr=5e-4 config.seed=2
    """
    with mistakes(), contextlib.ExitStack() as stack:
        from rllib_mmsa.command.experiment import files, overrides

        changed = [*overrides.parse(override or [], config), *_from_here(restore)]
        stack.enter_context(overrides.named(changed))
        experiments = files.load_file(
            config_file, stop=stop, storage_path=storage_path, overrides=changed,
            name=experiment_name,
        )  # fmt: skip
        again = {
            "--config": config,
            "--stop": stop,
            "--experiment-name": experiment_name,
            "--storage-path": storage_path,
            "--restore": restore,
            "--ray-address": ray_address,
        }
        command = ["train", "file", config_file, *(override or []), "--resume"]
        command += [text for option in again.items() if option[1] for text in option]
        _train(
            experiments, resume=resume, stop=_said_stop(changed, stop), fresh=fresh,
            verbose=verbose, ray_address=ray_address, num_cpus=ray_num_cpus,
            resume_command=shlex.join(command),
        )  # fmt: skip


def _from_here(restore: str | None) -> list[Override]:
    """`--restore` as an override; a path in a file would start from the file's folder."""
    from rllib_mmsa.command.experiment.overrides import Override

    if not restore:
        return []
    path = str(Path(restore).expanduser().resolve())
    return [Override(f"--restore {restore}", ("restore",), path)]


def _said_stop(changed: Sequence[Override], stop: str | None) -> dict[str, float]:
    """The stop criteria of the command line alone, which a run that is resumed takes on."""
    from rllib_mmsa.command.experiment import checks, files, overrides

    said = checks.stop_criteria(overrides.apply({}, changed).get("stop"), "stop")
    return {**said, **checks.stop_criteria(files.parse_option(stop, "--stop"), "--stop")}


@app.command("resume")
def train_resume(
    results: Annotated[Path, typer.Argument(help="An experiment's folder of results.")],
    stop: StopOption = None,
    files: ImportOption = None,
    verbose: VerboseOption = False,
    ray_address: AddressOption = None,
    ray_num_cpus: CpusOption = None,
) -> None:
    """Go on with an experiment that was interrupted, from its folder of results.

    A finished one trains on with a later stop: --stop '{num_env_steps_sampled_lifetime: 400000}'
    """
    with mistakes():
        from rllib_mmsa.command.experiment import checks, imports, structure
        from rllib_mmsa.command.experiment import files as experiment_files
        from rllib_mmsa.command.experiment.experiment import DEFAULT_STORAGE, RECORD

        folder = results.expanduser().resolve()
        record = folder / RECORD
        if not record.exists():
            raise ConfigError(
                f"'{results}' holds no {RECORD}; name the folder of an experiment, "
                f"such as {DEFAULT_STORAGE}/mmsa_lbf."
            )
        # The folder may have been moved or renamed since.
        entry = experiment_files.read_record(record)
        entry["storage_path"] = str(folder.parent)
        entry["import"] = list(imports.found_again(entry.get("import", []), folder, files or ()))
        more_stop = experiment_files.parse_option(stop, "--stop")
        _train(
            [structure.parse_experiment(folder.name, entry, exists=True)],
            resume=True, stop=checks.stop_criteria(more_stop, "--stop"), verbose=verbose,
            ray_address=ray_address, num_cpus=ray_num_cpus,
        )  # fmt: skip


def _train(
    experiments: Sequence[Experiment],
    *,
    resume: bool = False,
    stop: Mapping[str, float] | None = None,
    fresh: bool = False,
    verbose: bool,
    ray_address: str | None,
    num_cpus: int | None,
    resume_command: str = "train resume {path}",
) -> None:
    """Check everything, then start Ray and train; leaves with the exit code."""
    import os

    from rllib_mmsa.command import streams
    from rllib_mmsa.command.experiment import imports, preflight

    streams.outlive_readers()
    for experiment in experiments:
        imports.load(experiment.imports)
    on_cluster = bool(ray_address or os.environ.get("RAY_ADDRESS"))
    preflight.check(experiments, local=not on_cluster, num_cpus=num_cpus)
    from rllib_mmsa.command.run import interrupt, launch

    options = launch.LaunchOptions(
        resume=resume,
        stop=stop or {},
        fresh=fresh,
        verbose=verbose,
        ray_address=ray_address,
        num_cpus=num_cpus,
        resume_command=resume_command,
    )
    code = launch.run(experiments, options)
    interrupt.deafen()
    raise typer.Exit(code)
