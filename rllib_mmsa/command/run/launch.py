"""Runs checked experiments with Ray Tune: start Ray, fit or resume, say how they ended."""

from __future__ import annotations

import dataclasses
import logging
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import ray
import typer
import yaml
from ray import tune

from rllib_mmsa.command.exits import EXIT_FAILED, EXIT_INTERRUPTED
from rllib_mmsa.command.experiment import imports, preflight, search
from rllib_mmsa.command.experiment.experiment import RECORD, Experiment
from rllib_mmsa.command.imagine.tensorboard import ImaginedPictures
from rllib_mmsa.command.run import interrupt, schedulers
from rllib_mmsa.command.run.progress import ProgressCallback
from rllib_mmsa.command.run.rewind import RewindLogs
from rllib_mmsa.errors import ConfigError

# TensorBoard and a crash see what was synced last; Tune's own five minutes are long for both.
SYNC_PERIOD_S = 30


@dataclasses.dataclass(frozen=True)
class LaunchOptions:
    """How to run, as opposed to what.

    Attributes:
        resume: Continue what an earlier run of the same experiments left unfinished.
        verbose: Show the logs of Ray and of the workers.
        ray_address: A running cluster; None: Ray is started here, for this run alone.
        num_cpus: CPUs that a Ray started here may use; None: all.
        resume_command: What the user types to resume; {path} stands for the results folder.
    """

    resume: bool = False
    verbose: bool = False
    ray_address: str | None = None
    num_cpus: int | None = None
    resume_command: str = "rllib train resume {path}"


def run(experiments: Sequence[Experiment], options: LaunchOptions) -> int:
    """Run experiments one after another.

    Args:
        experiments: Checked experiments.
        options: How to run them.

    Returns:
        Exit code: 0, 1 where a trial failed, 130 where the user interrupted.
    """
    if options.resume:
        _check_resumable(experiments)
    code = 0
    interrupt.requested.clear()
    try:
        start_ray(experiments, options)
    except Exception as err:
        raise ConfigError(f"Ray did not start: {err}") from None
    # Only now: Ray replaces the handler of SIGTERM as it starts.
    with interrupt.graceful():
        try:
            for experiment in experiments:
                code = max(code, _run_one(experiment, options))
                if interrupt.requested.is_set():
                    return EXIT_INTERRUPTED
        except KeyboardInterrupt:
            typer.echo("stopped at once; what came after the last checkpoint is lost", err=True)
            typer.echo(f"resume: {_resume_command(experiment, options)}", err=True)
            return EXIT_INTERRUPTED
        finally:
            ray.shutdown()
    return code


def start_ray(experiments: Sequence[Experiment], options: LaunchOptions) -> None:
    """Start a quiet Ray for this run alone, or connect to a cluster."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # see rllib_mmsa/command/run/interrupt.py
    # A scheduler's metric may be an evaluation's, which most results do not have.
    os.environ["TUNE_DISABLE_STRICT_METRIC_CHECKING"] = "1"
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # the new reporter prints tables even at verbose=0
    names = tuple(dict.fromkeys(name for e in experiments for name in e.imports))
    # Networks this small gain nothing from more threads, and several trials at a time lose.
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    if not options.verbose:
        warnings.simplefilter("ignore")
    address = options.ray_address or os.environ.get("RAY_ADDRESS")
    ray.init(
        address=address or "local",
        num_cpus=None if address else options.num_cpus,
        include_dashboard=None if address else False,
        log_to_driver=options.verbose,
        logging_level=logging.INFO if options.verbose else logging.ERROR,
        runtime_env={
            "env_vars": {**threads, **imports.worker_variables(names)},
            "worker_process_setup_hook": "rllib_mmsa.command.experiment.imports.setup_worker",
        },
    )
    if not options.verbose:
        preflight.quiet_logs()


def build_tuner(experiment: Experiment) -> tune.Tuner:
    """Turn a checked experiment into a Tune run."""
    config, num_samples = search.with_seeds(experiment.config, experiment.num_samples)
    if experiment.max_concurrent_trials != 1:
        config = search.with_threads(config, num_samples)
    scheduler = schedulers.build(experiment.scheduler)
    return tune.Tuner(
        experiment.run,
        param_space=schedulers.search_space({"env": experiment.env, **config}),
        tune_config=tune.TuneConfig(
            num_samples=num_samples,
            max_concurrent_trials=experiment.max_concurrent_trials,
            scheduler=scheduler,
        ),
        run_config=tune.RunConfig(
            name=experiment.name,
            storage_path=experiment.storage_path,
            stop=experiment.stop or None,
            checkpoint_config=tune.CheckpointConfig(**experiment.checkpoint),
            failure_config=tune.FailureConfig(max_failures=experiment.max_failures),
            sync_config=tune.SyncConfig(sync_period=SYNC_PERIOD_S),
            callbacks=[
                ProgressCallback(),
                RewindLogs(),
                ImaginedPictures(),
                interrupt.EndWhenPaused(),
                schedulers.KeepRungs(scheduler),
            ],
            verbose=0,
        ),
    )


def _run_one(experiment: Experiment, options: LaunchOptions) -> int:
    """Run or resume one experiment, then report."""
    typer.echo(f"{experiment.name}: {experiment.run} on {experiment.env} -> {experiment.path}")
    for line in preflight.notices(experiment):
        typer.secho(f"{experiment.name}: {line}", fg=typer.colors.YELLOW, bold=True, err=True)
    if not experiment.stop:
        typer.echo(f"{experiment.name}: no stop criterion; trains until Ctrl-C")
    if options.resume and _has_state(experiment):
        tuner = tune.Tuner.restore(
            str(experiment.path),
            trainable=experiment.run,
            resume_unfinished=True,
            resume_errored=True,
        )
    else:
        tuner = build_tuner(experiment)
        _record(experiment)
    return report(experiment, tuner.fit(), options)


def _has_state(experiment: Experiment) -> bool:
    """Whether an earlier run left something to resume."""
    return tune.Tuner.can_restore(str(experiment.path))


def _check_resumable(experiments: Sequence[Experiment]) -> None:
    """Refuse to resume where nothing was run; warn where the settings have changed since."""
    if not any(_has_state(experiment) for experiment in experiments):
        raise ConfigError(
            f"nothing to resume in '{experiments[0].path}'; leave out --resume to start it, or "
            "name its folder with --storage-path."
        )
    for experiment in experiments:
        record = experiment.path / RECORD
        if not record.exists():
            continue
        before = yaml.safe_load(record.read_text(encoding="utf-8"))
        if before != yaml.safe_load(yaml.safe_dump(experiment.to_mapping())):
            typer.echo(
                f"note: the settings of '{experiment.name}' have changed since its start; a "
                f"resumed run keeps those it started with ({record})",
                err=True,
            )


def _record(experiment: Experiment) -> None:
    """Write what runs into its folder of results."""
    if "://" in experiment.storage_path:
        return
    experiment.path.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(experiment.to_mapping(), sort_keys=False)
    (experiment.path / RECORD).write_text(text, encoding="utf-8")


def _resume_command(experiment: Experiment, options: LaunchOptions) -> str:
    """What the user types to resume."""
    return options.resume_command.format(path=experiment.path)


def report(experiment: Experiment, results: tune.ResultGrid, options: LaunchOptions) -> int:
    """Print how each trial ended, and what to do next.

    Args:
        experiment: What was run.
        results: What Tune returned.
        options: How it was run.

    Returns:
        Exit code of this experiment.
    """
    failed = [result for result in results if result.error]
    for result in failed:
        last = str(result.error).strip().splitlines()[-12:]
        typer.echo(f"\nfailed: {result.path}", err=True)
        typer.echo("  " + "\n  ".join(last), err=True)
        typer.echo(f"  whole error: {Path(result.path) / 'error.txt'}", err=True)
    saved = [result.checkpoint.path for result in results if result.checkpoint]
    interrupted = interrupt.requested.is_set()
    for path in saved:
        typer.echo(f"checkpoint: {path}")
    if saved:
        typer.echo(f"evaluate:   rllib evaluate {saved[0]}")
    elif interrupted:
        typer.echo("no checkpoint yet: the first iteration had not begun")
    if interrupted or failed:
        typer.echo(f"resume:     {_resume_command(experiment, options)}")
    typer.echo(f"curves:     tensorboard --logdir {experiment.path}")
    if interrupted:
        return EXIT_INTERRUPTED
    return EXIT_FAILED if failed else 0
