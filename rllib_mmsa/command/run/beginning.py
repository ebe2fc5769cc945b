"""The checkpoint that a new run begins from: `restore` in its file, or `--restore`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME

from rllib_mmsa.command import evaluate, trust
from rllib_mmsa.command.checkpoints import locate, pickled_env_steps
from rllib_mmsa.command.experiment import preflight
from rllib_mmsa.command.experiment.experiment import Experiment
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.rllib import meaning
from rllib_mmsa.rllib.vector_env import make_one_env


def with_checkpoint(experiment: Experiment) -> Experiment:
    """Turn the path that an experiment begins from into that of a checkpoint, and check it.

    Args:
        experiment: One without `restore` stays as it is.

    Returns:
        The experiment, `restore` being a checkpoint's absolute path.

    Raises:
        ConfigError: If there is none, another algorithm made it, it was trained on another
            environment, or the run would end at once.
    """
    if experiment.restore is None:
        return experiment
    where = f"{experiment.name}: restore"
    try:
        checkpoint = locate(experiment.restore)
        trust.require(checkpoint)
        made_by, _ = evaluate.read_config(checkpoint, experiment.imports)
    except ConfigError as err:
        raise ConfigError(f"{where}: {err}") from None
    wanted = preflight.find_algorithm(experiment.run, experiment.name).__name__
    if made_by != wanted:
        raise ConfigError(
            f"{where}: '{checkpoint}' was made by {made_by}, but this is a run of {wanted}, which "
            f"has other networks; write run: {made_by}, or name a checkpoint of {wanted}."
        )
    steps, last = pickled_env_steps(checkpoint), experiment.stop.get(NUM_ENV_STEPS_SAMPLED_LIFETIME)
    if last is not None and steps >= last:
        raise ConfigError(
            f"{where}: '{checkpoint}' has {steps:,} env steps behind it, which count on, and the "
            f"stop criterion {NUM_ENV_STEPS_SAMPLED_LIFETIME}: {last:g} is already reached; "
            "set a later one."
        )
    _refuse_another_game(experiment, checkpoint, where)
    return dataclasses.replace(experiment, restore=str(checkpoint))


def _refuse_another_game(experiment: Experiment, checkpoint: Path, where: str) -> None:
    """Compare what the checkpoint's numbers mean with the environment, which is made for it."""
    settings = {"env": experiment.env, **experiment.config}
    first = next(preflight.variants(settings, f"{experiment.name}: config"))
    options = first.get("env_config") or {}
    try:
        env = make_one_env(first["env"], options)
    except Exception:  # the trial will say what is wrong with it
        return
    try:
        found = meaning.describe(env, first["env"], options)
        meaning.compare(meaning.of_checkpoint(checkpoint), found, checkpoint)
    except meaning.MeaningError as err:
        raise ConfigError(f"{where}: {err}") from None
    finally:
        env.close()
