"""Runs checked experiments with Ray Tune: start Ray, fit or resume, say how they ended."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import ray
import typer
from ray import tune

from rllib_mmsa.command import trust
from rllib_mmsa.command.exits import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_MISTAKE
from rllib_mmsa.command.experiment import preflight, search
from rllib_mmsa.command.experiment.experiment import Experiment
from rllib_mmsa.command.imagine.tensorboard import ImaginedPictures
from rllib_mmsa.command.name import command_name, tool_name
from rllib_mmsa.command.run import (
    beginning,
    full_disk,
    going_on,
    interrupt,
    labels,
    loggers,
    mistaken_env,
    ownership,
    record,
    recover,
    schedulers,
    sealed,
    session,
    state,
    summary,
    told,
)
from rllib_mmsa.command.run.notes import ShowNotes
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
        resume_command: What the user types to resume, after the command's own name; {path} stands
            for the results folder.
        stop: Criteria that replace those of the same name in a run that is resumed.
        fresh: Begin anew even where an unfinished run lies, which can then not be resumed.
        begin: With `resume`, also begin what has not begun, even where nothing has.
    """

    resume: bool = False
    verbose: bool = False
    ray_address: str | None = None
    num_cpus: int | None = None
    resume_command: str = "train resume {path}"
    stop: Mapping[str, float] = dataclasses.field(default_factory=dict)
    fresh: bool = False
    begin: bool = False


def run(experiments: Sequence[Experiment], options: LaunchOptions) -> int:
    """Run experiments one after another.

    Args:
        experiments: Checked experiments.
        options: How to run them.

    Returns:
        Exit code: 0, 1 where a trial failed, 130 where the user interrupted.
    """
    with contextlib.ExitStack() as locks, interrupt.graceful():
        try:
            for experiment in experiments:
                if not experiment.is_remote:
                    locks.enter_context(ownership.held(experiment.path))
            experiments = _due(experiments, options)
            if not experiments:
                return 0
            start_ray(experiments, options)
            if interrupt.requested.is_set():
                raise KeyboardInterrupt  # swallowed on its way through Ray
            return _run_all(experiments, options)
        except KeyboardInterrupt:
            # Only before the training; later ones are caught there.
            typer.echo("stopped before the training began", err=True)
            return EXIT_INTERRUPTED
        finally:
            ray.shutdown()


def _due(experiments: Sequence[Experiment], options: LaunchOptions) -> list[Experiment]:
    """The experiments that have something to do; a mistake ends here, before Ray starts."""
    if options.resume:
        if not options.begin:
            check_resumable(experiments)
        for experiment in experiments:
            if not experiment.is_remote:
                trust.require_run(experiment.path)
                recover.prepare(experiment.path)
        due = [e for e in experiments if e.is_remote or going_on.is_due(e, options.stop)]
        for experiment in due:
            record.note_changes(experiment, options.stop)
        return [e if _has_state(e) else beginning.with_checkpoint(e) for e in due]
    for experiment in experiments:
        if not (options.fresh or experiment.is_remote):
            going_on.refuse_to_bury(experiment, resume_command(experiment, options))
    return [beginning.with_checkpoint(experiment) for experiment in experiments]


def start_ray(experiments: Sequence[Experiment], options: LaunchOptions) -> None:
    """Start Ray, or connect to a cluster."""
    names = tuple(dict.fromkeys(name for e in experiments for name in e.imports))
    try:
        session.start(
            names,
            address=options.ray_address,
            num_cpus=options.num_cpus,
            verbose=options.verbose,
        )
    except Exception as err:
        remedy = "is the machine busy? Run the command once more"
        raise ConfigError(f"Ray did not start: {err}; {remedy}") from None


def _run_all(experiments: Sequence[Experiment], options: LaunchOptions) -> int:
    """Run one after another; the exit code."""
    code = 0
    for experiment in experiments:
        resume = f"resume:     {resume_command(experiment, options)}"

        def lost(resume: str = resume) -> None:
            typer.echo("what came after the last checkpoint is lost", err=True)
            typer.echo(resume)

        try:
            with interrupt.training(lost):
                code = max(code, _run_one(experiment, options))
        except KeyboardInterrupt:
            typer.echo("stopped at once", err=True)
            lost()
            return EXIT_INTERRUPTED
        except Exception as err:
            if not full_disk.is_cause(err) and not full_disk.cut_off(err, experiment.path):
                raise
            typer.echo(full_disk.message(experiment.path), err=True)
            lost()
            return EXIT_FAILED
        if interrupt.requested.is_set():
            left = experiments[experiments.index(experiment) + 1 :]
            if left:
                typer.echo(f"not begun: {', '.join(other.name for other in left)}")
            return EXIT_INTERRUPTED if left else code
    return code


def build_tuner(experiment: Experiment) -> tune.Tuner:
    """Turn a checked experiment into a Tune run."""
    config, num_samples = experiment.config, experiment.num_samples
    if not experiment.search_alg:  # which proposes settings, and repeats none
        config, num_samples = search.with_seeds(config, num_samples)
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
            search_alg=schedulers.build_search(experiment.search_alg),
            trial_dirname_creator=labels.folder,
        ),
        run_config=tune.RunConfig(
            name=experiment.name,
            storage_path=experiment.storage_path,
            stop=experiment.stop or None,
            checkpoint_config=tune.CheckpointConfig(**experiment.checkpoint),
            failure_config=tune.FailureConfig(max_failures=experiment.max_failures),
            sync_config=tune.SyncConfig(sync_period=SYNC_PERIOD_S),
            callbacks=[
                ProgressCallback(numbered=experiment.scheduler.get("type") == "pbt"),
                ShowNotes(),
                RewindLogs(),
                ImaginedPictures(),
                interrupt.EndWhenPaused(),
                schedulers.KeepRungs(scheduler),
                *recover.callbacks(),
                *loggers.build(experiment),
            ],
            verbose=0,
        ),
        # Tune takes a trial's own checkpoint once it has one.
        _tuner_kwargs={"restore": experiment.restore},
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
        recover.renew(tuner)
    else:
        if not experiment.is_remote:
            state.remove(experiment.path)  # an earlier run's: from now on this one is resumed
        tuner = build_tuner(experiment)
        record.write(experiment)
        if not experiment.is_remote:
            sealed.note_files(experiment.path, [experiment.path / state.TUNER])
    results = tuner.fit()
    if not experiment.is_remote:
        with contextlib.suppress(OSError):  # a full disk
            sealed.note_files(experiment.path, state.files(experiment.path))
    return report(experiment, results, options)


def _has_state(experiment: Experiment) -> bool:
    """Whether an earlier run left something to resume."""
    return tune.Tuner.can_restore(str(experiment.path))


def check_resumable(experiments: Sequence[Experiment]) -> None:
    """Refuse to resume where nothing was run; warn where the settings have changed since."""
    if not any(_has_state(experiment) for experiment in experiments):
        raise ConfigError(
            f"nothing to resume in '{experiments[0].path}'; leave out --resume to start it, or "
            "name its folder with --storage-path."
        )


def resume_command(experiment: Experiment, options: LaunchOptions) -> str:
    """What the user types to resume."""
    path = shlex.quote(str(experiment.path))
    return f"{command_name()} {options.resume_command.replace('{path}', path)}"


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
    mistakes = [mistaken_env.words(result.error) for result in failed]
    for result, mistake in zip(failed, mistakes, strict=True):
        typer.echo(f"\nfailed: {result.path}", err=True)
        last = mistake or told.last_lines(result.error)
        typer.echo("  " + last.replace("\n", "\n  "), err=True)
        typer.echo(f"  whole error: {Path(result.path) / 'error.txt'}", err=True)
    if any(full_disk.is_cause(result.error) for result in failed):
        typer.echo(full_disk.message(experiment.path), err=True)
    saved = summary.show(experiment, results)
    interrupted = any(map(summary.is_unfinished, results._experiment_analysis.trials))
    for path in saved:
        typer.echo(f"checkpoint: {shlex.quote(path)}")
    if saved:
        typer.echo(f"evaluate:   {command_name()} evaluate {shlex.quote(saved[0])}")
    elif interrupted:
        typer.echo("no checkpoint yet: the first iteration had not begun")
    if interrupted or failed:
        typer.echo(f"resume:     {resume_command(experiment, options)}")
    curves = shlex.quote(str(experiment.path))
    typer.echo(f"curves:     {tool_name('tensorboard')} --logdir {curves}")
    if interrupted:
        return EXIT_INTERRUPTED
    if failed and all(mistakes):
        return EXIT_MISTAKE
    return EXIT_FAILED if failed else 0
