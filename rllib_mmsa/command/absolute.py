"""The absolute metric: the best checkpoint of a trial, played once more for many episodes.

Gorsane et al. (2022), "Towards a Standardised Performance Evaluation Protocol for Cooperative
MARL": the checkpoint that did best in the evaluations during training is evaluated anew, for ten
times their 32 episodes, so that the luck of that evaluation does not count.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from rllib_mmsa import whole
from rllib_mmsa.command import checkpoints, evaluate, trust
from rllib_mmsa.command.experiment.search import ENV_STEPS
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.replacing import replacing
from rllib_mmsa.report import tune
from rllib_mmsa.report.runs import Run

EPISODES = 320


def best_checkpoint(path: str | Path) -> Path:
    """Find the checkpoint to play.

    Args:
        path: A checkpoint, which is taken as it is; or what else `checkpoints.locate` understands.

    Returns:
        The one whose nearest evaluation during training had the highest return, among those that
        the trial has kept (`checkpoint_config` says which); the newest of equals.

    Raises:
        ConfigError: If there is none, or no telling which was when.
    """
    newest = checkpoints.locate(path)
    if checkpoints.is_exported(newest):
        raise ConfigError(f"--absolute is of a trial, and '{path}' is an exported team.")
    if not (newest.parent / tune.RESULTS).exists():
        raise ConfigError(
            f"--absolute is of a trial, and '{path}' is not in one: its folder has no "
            f"{tune.RESULTS}. Leave --absolute out."
        )
    kept = checkpoints.checkpoints(newest.parent)
    if len(kept) < 2 or newest == Path(path).expanduser().resolve():
        return newest
    run = tune.read_trial(newest.parent)
    scores = [_score(run, checkpoint) for checkpoint in kept]
    if any(math.isnan(score) for score in scores):
        names = "\n  ".join(str(checkpoint) for checkpoint in kept)
        raise ConfigError(
            f"'{path}': which checkpoint was best cannot be told (its results have no evaluation, "
            f"or the checkpoints no env steps); name one of them:\n  {names}"
        )
    return max(zip(scores, kept, strict=True), key=lambda pair: pair[0])[1]


def _score(run: Run, checkpoint: Path) -> float:
    """The return of the evaluation nearest to a checkpoint; NaN where that cannot be told."""
    steps = whole.saved_result(checkpoint).get(ENV_STEPS) or _steps_of_older(checkpoint)
    if not steps or not run.env_steps.size:
        return math.nan
    return float(run.test_return[np.argmin(np.abs(run.env_steps - steps))])


def _steps_of_older(checkpoint: Path) -> int:
    """Env steps of a checkpoint that an older version wrote; 0 where it does not say."""
    trust.require(checkpoint)
    return checkpoints.pickled_env_steps(checkpoint)


def save(result: evaluate.Evaluation) -> Path:
    """Write an evaluation into its checkpoint's trial folder, where `rllib report` finds it.

    Returns:
        The file.
    """
    file = result.checkpoint.parent / tune.ABSOLUTE
    content = {
        "checkpoint": result.checkpoint.name,
        "algorithm": result.algorithm,
        "env": result.env,
        "episodes": len(result.returns),
        "epsilon": result.epsilon,
        "drawn": result.drawn,
        "returns": result.returns,
        "wins": result.wins,
        "lengths": result.lengths,
    }
    with replacing(file) as text:
        text.write(json.dumps(content) + "\n")
    return file
