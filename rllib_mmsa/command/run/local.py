"""`rllib train ... --local`: all in this process, where breakpoints and `print` work.

Ray is started, since RLlib asks it for things, but no process of it runs the user's code: the
algorithm is built here, and Tune takes no part. (Ray's own `local_mode` is deprecated.)
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import ray
import typer
from ray.tune.utils import flatten_dict

from rllib_mmsa.command.experiment import preflight, search
from rllib_mmsa.command.experiment.experiment import Experiment
from rllib_mmsa.command.name import command_name
from rllib_mmsa.command.run import beginning, session
from rllib_mmsa.command.run.progress import TrialProgress
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.rllib.latest_test import met

FOLDER = "local"  # of the checkpoint, in the experiment's folder
PROCESSES = ("num_env_runners", "num_learners", "evaluation_num_env_runners")


def run(
    experiments: Sequence[Experiment], *, verbose: bool, others: Mapping[str, bool] | None = None
) -> int:
    """Train one experiment here, until its stop criterion, and save it.

    Exceptions of the environment, the module and the learner come through as they are.

    Args:
        experiments: Checked ones.
        verbose: Show Ray's logs.
        others: Options that it cannot be given with -> whether they were.

    Returns:
        Exit code 0.

    Raises:
        ConfigError: If there is not one trial, or it asks for processes.
    """
    for option in (name for name, given in (others or {}).items() if given):
        raise ConfigError(f"--local begins anew in this process; leave out {option}, or --local.")
    experiment = _the_one(experiments)
    experiment = beginning.with_checkpoint(experiment)
    name = experiment.name
    typer.echo(f"{name}: {experiment.run} on {experiment.env}, in this process")
    session.start(experiment.imports, address=None, num_cpus=1, verbose=verbose)
    try:
        _train(experiment)
    finally:
        ray.shutdown()
    return 0


def _train(experiment: Experiment) -> None:
    config = preflight.find_algorithm(experiment.run, experiment.name).get_default_config()
    config.update_from_dict({"env": experiment.env, **experiment.config})
    algorithm = config.build_algo()
    try:
        if experiment.restore:
            algorithm.restore_from_path(experiment.restore)
        if hasattr(algorithm, "announce_stop"):
            algorithm.announce_stop(experiment.stop)
        progress = TrialProgress(experiment.stop)
        for result in itertools.starmap(algorithm.train, itertools.repeat(())):
            progress.update(result)
            typer.echo(progress.format(experiment.name, result))
            if met(experiment.stop, flatten_dict(result, delimiter="/")):
                break
        folder = Path(experiment.path, FOLDER, f"checkpoint_{algorithm.iteration:06}")
        algorithm.save_to_path(folder)
        typer.echo(f"checkpoint: {folder}\nevaluate:   {command_name()} evaluate {folder}")
    finally:
        algorithm.stop()


def _the_one(experiments: Sequence[Experiment]) -> Experiment:
    """The experiment, which is one trial of one process."""
    if len(experiments) != 1:
        names = ", ".join(experiment.name for experiment in experiments)
        raise ConfigError(f"--local trains one experiment, not {names}; choose one with --only.")
    (experiment,) = experiments
    searched = search.searches({"env": experiment.env, **experiment.config})
    if searched or experiment.num_samples != 1 or experiment.scheduler or experiment.search_alg:
        raise ConfigError(
            f"{experiment.name}: --local trains one trial, and this is a search; write one value "
            "for each setting, num_samples: 1, and neither scheduler nor search_alg."
        )
    for option in PROCESSES:
        if experiment.config.get(option):
            raise ConfigError(
                f"{experiment.name}: {option} is {experiment.config[option]}, and --local has one "
                f"process alone; add config.{option}=0 to the command, or write 0."
            )
    if experiment.is_remote or experiment.loggers:
        what = "loggers are" if experiment.loggers else "a storage_path elsewhere is"
        raise ConfigError(f"{experiment.name}: {what} Tune's, which --local does without.")
    return experiment
