"""The latest evaluation in every result, and an evaluation where training ends.

Evaluations are rarer than results. A scheduler, a checkpoint score or a data frame that looks for
``evaluation/env_runners/episode_return_mean`` finds it in some rows only. The keys of `LatestTest`
are in every row, from the first evaluation on, which is in the first row.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    EPISODE_RETURN_MEAN,
    EVALUATION_RESULTS,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
)
from ray.tune.result import TIME_TOTAL_S, TRAINING_ITERATION
from ray.tune.utils.util import flatten_dict

from rllib_mmsa.rllib import metrics as keys

if TYPE_CHECKING:
    from rllib_mmsa.rllib.team_algorithm import TeamAlgorithm
    from rllib_mmsa.rllib.team_config import TeamConfig


class LatestTest:
    """What the latest evaluation found, and when it was made.

    Attributes:
        evaluated: Whether there was an evaluation yet, with or without a return.
    """

    def __init__(self) -> None:
        self.evaluated = False
        self._found: dict[str, float] = {}

    def add_to(self, results: dict[str, Any], env_steps: int) -> None:
        """Take in the evaluation of an iteration, if it has one, and write the latest one.

        Args:
            results: The iteration's; gets ``test_return`` (mean undiscounted team return),
                ``test_env_steps``, and ``test_win_rate`` (0 to 1) where the game can be won.
            env_steps: Env steps sampled for training so far.
        """
        evaluation = results.get(EVALUATION_RESULTS)
        if isinstance(evaluation, Mapping):
            self.evaluated = True
            test = evaluation.get(ENV_RUNNER_RESULTS, {})
            found = {
                keys.TEST_RETURN: test.get(EPISODE_RETURN_MEAN, math.nan),
                keys.TEST_WIN_RATE: test.get(keys.WIN_RATE, math.nan),
            }
            # An evaluation without a return (every episode failed) takes nothing away.
            if not math.isnan(found[keys.TEST_RETURN]):
                self._found = {k: float(v) for k, v in found.items() if not math.isnan(v)}
                self._found[keys.TEST_ENV_STEPS] = env_steps
        results.update(self._found)

    def get_state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"evaluated": self.evaluated, "found": dict(self._found)}

    def set_state(self, state: Mapping[str, Any] | None) -> None:
        """Restore what `get_state` returned; None (older checkpoints): no evaluation is known."""
        self.evaluated = bool(state and state["evaluated"])
        self._found = dict(state["found"]) if state else {}


def met(stop: Mapping[str, float], results: Mapping[str, Any]) -> dict[str, float]:
    """The stop criteria that a result meets.

    Args:
        stop: Result key, nested ones with "/" -> value from which on a trial is stopped.
        results: An iteration's, with such keys; those that are missing meet nothing.
    """
    return {key: value for key, value in stop.items() if results.get(key, -math.inf) >= value}


class Ending:
    """Where training ends, once somebody has said so: the last iteration is cut short there.

    Attributes:
        stop: Result key, nested ones with "/" -> value from which on the trial is stopped.
    """

    def __init__(self) -> None:
        self.stop: dict[str, float] = {}
        self._began = 0.0

    @contextlib.contextmanager
    def cut_short(self, algorithm: TeamAlgorithm) -> Iterator[None]:
        """Within it, an iteration that would pass the last env step ends with the round there.

        An iteration goes on for ``min_sample_timesteps_per_iteration`` env steps. Without this, a
        run would be longer than asked for by up to as many.
        """
        self._began = time.time()
        config = algorithm.config
        left = self.stop.get(NUM_ENV_STEPS_SAMPLED_LIFETIME, math.inf)
        left -= algorithm.num_env_steps_sampled
        if not 0 < left < (config.min_sample_timesteps_per_iteration or 0):
            yield
            return
        last: TeamConfig = config.copy(copy_frozen=False)
        last.min_sample_timesteps_per_iteration = math.ceil(left)
        last.freeze()
        algorithm.config = last
        try:
            yield
        finally:
            algorithm.config = config

    def reached(self, algorithm: TeamAlgorithm, results: Mapping[str, Any]) -> bool:
        """Whether the iteration that has these results is the last one."""
        if not self.stop:
            return False
        known = {
            **flatten_dict(dict(results), delimiter="/"),
            NUM_ENV_STEPS_SAMPLED_LIFETIME: algorithm.num_env_steps_sampled,
            # Tune counts both after the iteration.
            TRAINING_ITERATION: algorithm.iteration + 1,
            TIME_TOTAL_S: algorithm._time_total + time.time() - self._began,
        }
        return bool(met(self.stop, known))
