"""`rllib train`: from options, from a file, or on from an experiment's folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rllib_mmsa.command.cli import again
from rllib_mmsa.command.cli.checkpoints import ImportOption
from rllib_mmsa.command.cli.options import (
    AddressOption,
    AlgoOption,
    AtOnceOption,
    CheckpointOption,
    ConfigOption,
    CpusOption,
    DryRunOption,
    EnvConfigOption,
    EnvOption,
    FileArgument,
    FileConfigOption,
    FileNameOption,
    FreshOption,
    GoOnOption,
    LocalOption,
    NameOption,
    OnlyOption,
    OverrideArgument,
    RestoreOption,
    ResumeOption,
    SamplesOption,
    StopOption,
    StorageOption,
    TrustOption,
    VerboseOption,
)
from rllib_mmsa.command.cli.train_group import TrainGroup
from rllib_mmsa.command.exits import mistakes

if TYPE_CHECKING:
    from rllib_mmsa.command.experiment.experiment import Experiment
    from rllib_mmsa.command.experiment.overrides import Override

app = typer.Typer(
    cls=TrainGroup,
    no_args_is_help=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
    trusted: TrustOption = False,
    verbose: VerboseOption = False,
    local: LocalOption = False,
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
        from rllib_mmsa.command.experiment import files, structure

        entry = files.entry_of_options(algo, env, env_config, config, stop)
        entry["num_samples"] = num_samples
        entry["checkpoint_freq"] = checkpoint_freq
        entry["storage_path"] = storage_path
        entry["restore"] = restore
        name = experiment_name
        if name is None:
            name = structure.folder_name(f"{algo}_{structure.game_of(entry)}")
        _train(
            [structure.parse_experiment(name, entry)],
            fresh=fresh, verbose=verbose, ray_address=ray_address, num_cpus=ray_num_cpus,
            local=local,
        )  # fmt: skip


@app.command("example", help="Train a tuned example; `rllib examples` lists them.")
@app.command("file")
def train_file(
    ctx: typer.Context,
    config_file: FileArgument,
    override: OverrideArgument = None,
    config: FileConfigOption = None,
    stop: StopOption = None,
    experiment_name: FileNameOption = None,
    storage_path: StorageOption = None,
    resume: ResumeOption = False,
    go_on: GoOnOption = False,
    fresh: FreshOption = False,
    restore: RestoreOption = None,
    trusted: TrustOption = False,
    only: OnlyOption = None,
    at_once: AtOnceOption = None,
    dry_run: DryRunOption = False,
    verbose: VerboseOption = False,
    local: LocalOption = False,
    ray_address: AddressOption = None,
    ray_num_cpus: CpusOption = None,
) -> None:
    """Train every experiment of a YAML file, side by side as far as there are CPUs.

    rllib train file tuned_examples/mmsa_lbf.yaml --stop '{training_iteration: 5}'

    rllib train file tuned_examples/mmsa_lbf.yaml config.lr=5e-4 config.seed=2
    """
    with mistakes(), contextlib.ExitStack() as stack:
        from rllib_mmsa.command.experiment import files, overrides

        changed = [*overrides.parse(override or [], config), *_from_here(restore)]
        stack.enter_context(overrides.named(changed))
        experiments = files.load_file(
            _file(ctx, config_file), stop=stop, storage_path=storage_path, overrides=changed,
            name=experiment_name, only=only or (),
        )  # fmt: skip
        if dry_run:
            return _say_plan(experiments, ray_address, ray_num_cpus)
        _train(
            experiments, resume=resume, go_on=go_on, stop=_said_stop(changed, stop), fresh=fresh,
            verbose=verbose, ray_address=ray_address, num_cpus=ray_num_cpus, at_once=at_once,
            command=["train", str(ctx.info_name), config_file, *(override or [])],
            typed=again.given(ctx), only=only or (), local=local,
        )  # fmt: skip


def _file(ctx: typer.Context, named: str) -> str | Path:
    """The file that a command names, or that its example is."""
    from rllib_mmsa.command import examples

    return examples.path_of(named) if ctx.info_name == "example" else named


def _from_here(restore: str | None) -> list[Override]:
    """`--restore` as an override; a path in a file would start from the file's folder."""
    from rllib_mmsa.command.experiment.overrides import Override

    if not restore:
        return []
    path = str(Path(restore).expanduser().resolve())
    return [Override(f"--restore {restore}", ("restore",), path)]


def _said_stop(changed: Sequence[Override], stop: str | None) -> dict[str, float]:
    """The stop criteria of the command line alone, which a run that is resumed takes on."""
    from rllib_mmsa.command.experiment import files, metrics, overrides

    said = metrics.stop_criteria(overrides.apply({}, changed).get("stop"), "stop")
    return {**said, **metrics.stop_criteria(files.parse_option(stop, "--stop"), "--stop")}


@app.command("resume")
def train_resume(
    results: Annotated[Path, typer.Argument(help="An experiment's folder of results.")],
    stop: StopOption = None,
    files: ImportOption = None,
    trusted: TrustOption = False,
    verbose: VerboseOption = False,
    ray_address: AddressOption = None,
    ray_num_cpus: CpusOption = None,
) -> None:
    """Go on with an experiment that was interrupted, from its folder of results.

    A finished one trains on with a later stop: --stop '{num_env_steps_sampled_lifetime: 400000}'
    """
    with mistakes():
        from rllib_mmsa.command import trust
        from rllib_mmsa.command.experiment import files as experiment_files
        from rllib_mmsa.command.experiment import metrics

        experiment = experiment_files.recorded(results.expanduser().resolve(), files or ())
        trust.require_run(experiment.path)
        more_stop = experiment_files.parse_option(stop, "--stop")
        _train(
            [experiment],
            resume=True, stop=metrics.stop_criteria(more_stop, "--stop"), verbose=verbose,
            ray_address=ray_address, num_cpus=ray_num_cpus,
        )  # fmt: skip


def _train(
    experiments: Sequence[Experiment],
    *,
    resume: bool = False,
    go_on: bool = False,
    stop: Mapping[str, float] | None = None,
    fresh: bool = False,
    verbose: bool,
    ray_address: str | None,
    num_cpus: int | None,
    command: Sequence[str] = (),
    typed: Sequence[str] = (),
    only: Sequence[str] = (),
    at_once: int | None = None,
    local: bool = False,
) -> None:
    """Check everything, then start Ray and train; leaves with the exit code.

    Args:
        command: The arguments that name a file, to run it again; none without a file.
        typed: The options that came with them.
        only: The experiments of it that were asked for; none: all.
        at_once: Of several experiments, how many at a time; None: as many as there are CPUs.
        local: In this process alone.
    """
    _check(experiments, ray_address, num_cpus)
    if local:
        others = {"--resume": resume, "--go-on": go_on, "--fresh": fresh}
        _train_here(experiments, verbose, {**others, "--ray-address": bool(ray_address)})
    from rllib_mmsa.command.run import interrupt, launch, side_by_side

    orders = side_by_side.orders()
    at_once = min(at_once or num_cpus or os.cpu_count() or 1, len(experiments))
    if orders or at_once > 1:
        experiments = side_by_side.share_cores(experiments)
    options = launch.LaunchOptions(
        resume=resume or go_on, begin=go_on or orders is not None, stop=stop or {},
        fresh=fresh, verbose=verbose, num_cpus=num_cpus,
        ray_address=orders.address if orders else ray_address,
        resume_command=orders.resume_command if orders else again.to_resume(command, typed, only),
    )  # fmt: skip
    if at_once > 1:
        line = [*command, *again.flags(resume or go_on, fresh, verbose), *typed]
        code = side_by_side.run(experiments, line, options, at_once)
    else:
        code = launch.run(experiments, options)
    interrupt.deafen()
    raise typer.Exit(code)


def _train_here(experiments: Sequence[Experiment], verbose: bool, others: dict[str, bool]) -> None:
    """`--local`; leaves with the exit code."""
    from rllib_mmsa.command.run import local

    raise typer.Exit(local.run(experiments, verbose=verbose, others=others))


def _check(experiments: Sequence[Experiment], ray_address: str | None, cpus: int | None) -> None:
    """Check everything, before Ray starts."""
    from rllib_mmsa.command import streams
    from rllib_mmsa.command.experiment import imports, preflight
    from rllib_mmsa.command.run import loggers

    streams.outlive_readers()
    for experiment in experiments:
        imports.load(experiment.imports)
    on_cluster = bool(ray_address or os.environ.get("RAY_ADDRESS"))
    for experiment in experiments:
        loggers.check(experiment)
    preflight.check(experiments, local=not on_cluster, num_cpus=cpus)


def _say_plan(experiments: Sequence[Experiment], ray_address: str | None, cpus: int | None) -> None:
    """Check everything, and say what would run."""
    _check(experiments, ray_address, cpus)
    from rllib_mmsa.command.run import plan

    for line in plan.lines(experiments, cpus or os.cpu_count() or 1):
        typer.echo(line)
