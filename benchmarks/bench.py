"""One built algorithm that is asked to sample, to update, or to do both, and times itself."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np
import ray
import torch
from ray.tune.trainable import trainable

import env_registry  # noqa: F401  (registers the environments)
from benchmarks.machine import peak_memory_mb
from benchmarks.protocol import BenchmarkError
from benchmarks.random_numbers import Sizes, random_episode
from benchmarks.slower import register_slower
from benchmarks.stages import StageClock, install
from benchmarks.variants import ENVIRONMENTS, MEASURED_SETTINGS
from rllib_mmsa.rllib import ALGORITHMS
from rllib_mmsa.rllib.algorithm import QLearning

FILLED_EPISODES = 40
_WARM_UP_UPDATES = 3

#: One for all algorithms in a process: a wrapped function of a module is shared by them.
CLOCK = StageClock(torch.cuda.synchronize if torch.cuda.is_available() else None)
_learner_threads = 1


def build_algorithm(
    name: str, env: Any, env_config: dict[str, Any], settings: dict[str, Any]
) -> QLearning:
    """Builds an algorithm under the measured settings and those given; timed by stage.

    Raises:
        BenchmarkError: no such algorithm or setting.
    """
    if name not in ALGORITHMS:
        raise BenchmarkError(f"{name!r} is no algorithm; there are {', '.join(ALGORITHMS)}")
    config = ALGORITHMS[name].get_default_config()
    unknown = [key for key in settings if not hasattr(config, key)]
    if unknown:
        raise BenchmarkError(f"{name} has no setting {', '.join(unknown)}")
    config.environment(env, env_config=env_config).debugging(seed=0, log_level="ERROR")
    config.update_from_dict({**MEASURED_SETTINGS, "learner_threads": _learner_threads, **settings})
    if not ray.is_initialized():
        # Two drivers that both wait for its log keep Ray's server busy for nothing: half a core.
        ray.init(log_to_driver=False, logging_level="ERROR")
    # A measurement is no result to find below ~/ray_results.
    with patch.object(trainable, "DEFAULT_STORAGE_PATH", tempfile.gettempdir()):
        algorithm = config.build_algo()
    install(algorithm, CLOCK)
    return algorithm


def sizes_of(algorithm: QLearning) -> Sizes:
    """The sizes of the team's data, as the built module has them."""
    team = _of_the_learner(algorithm, lambda learner: learner.team_module)
    return Sizes(team.num_agents, team.obs_size, team.state_size, team.num_actions)


def _of_the_learner(algorithm: QLearning, ask: Callable[[Any], Any]) -> Any:
    """What ``ask`` returns of the only learner."""
    [answer] = algorithm.learner_group.foreach_learner(ask)
    return answer.get()


def timed_update(algorithm: QLearning) -> dict[str, float]:
    """One update: milliseconds by stage and in "total"."""
    CLOCK.take()
    start = time.perf_counter()
    algorithm._update()
    total = 1000 * (time.perf_counter() - start)
    return {"total": total, **CLOCK.take()}


def set_threads(threads: int) -> None:
    """Threads of this process: PyTorch's, and at most two that share an update."""
    global _learner_threads
    _learner_threads = min(threads, 2)
    torch.set_num_threads(threads)
    logging.disable(logging.WARNING)


class AlgorithmBench:
    """Answers questions about one algorithm on one environment.

    Args:
        environment: a key of ``ENVIRONMENTS``.
        algorithm, settings: see ``Variant``.
        step_ms: see ``Plan``.
    """

    def __init__(
        self, environment: str, algorithm: str, settings: dict[str, Any], step_ms: float = 0.0
    ):
        self._env = ENVIRONMENTS[environment]
        name = register_slower(self._env.env, step_ms)
        self._algorithm = build_algorithm(
            algorithm, name, self._env.env_config, {**self._env.settings, **settings}
        )
        self._updates = 0

    def warm_up(self) -> dict[str, Any]:
        """Fills the replay and updates until everything has run a few times."""
        algorithm, steps = self._algorithm, self._env.filled_steps
        rng = np.random.default_rng(0)
        if steps is not None:
            sizes = sizes_of(algorithm)
            algorithm.replay.add(
                [random_episode(sizes, steps, rng) for _ in range(FILLED_EPISODES)]
            )
        enough = max(FILLED_EPISODES, algorithm.config.train_batch_episodes)
        while len(algorithm.replay) < enough:
            algorithm.replay.add(algorithm.collector.collect()[0])
        for _ in range(_WARM_UP_UPDATES):
            algorithm._update()
        algorithm.training_step()
        return {
            "sizes": sizes_of(algorithm)._asdict(),
            "pid": os.getpid(),
            "engine": _of_the_learner(algorithm, lambda learner: learner.engine.name),
        }

    def sample(self) -> dict[str, float]:
        """Samples one episode per sub-environment: env steps and seconds."""
        collector = self._algorithm.collector
        if self._algorithm.config.overlap_sampling:
            collector.collect()  # what was played ahead
        start = time.perf_counter()
        episodes, _ = collector.collect()
        seconds = time.perf_counter() - start
        return {"env_steps": sum(len(episode) for episode in episodes), "seconds": seconds}

    def update(self, count: int) -> dict[str, Any]:
        """Updates ``count`` times: milliseconds by stage, one dictionary for each update."""
        return {"updates": [timed_update(self._algorithm) for _ in range(count)]}

    def loop(self, episodes: int) -> dict[str, float]:
        """Trains for ``episodes`` or a few more: env steps, episodes, updates, seconds.

        Where sampling overlaps learning, a round before the measured ones takes what was played
        ahead, and what is in flight at the end is waited for afterwards: nothing runs while
        others have their turn.
        """
        algorithm = self._algorithm
        if algorithm.config.overlap_sampling:
            algorithm.training_step()
        before = self._progress()
        start = time.perf_counter()
        while algorithm.replay.num_episodes_added < before["episodes"] + episodes:
            algorithm.training_step()
        seconds = time.perf_counter() - start
        done = {name: value - before[name] for name, value in self._progress().items()}
        algorithm.collector.wait()
        return {**done, "seconds": seconds}

    def _progress(self) -> dict[str, int]:
        updates = _of_the_learner(self._algorithm, lambda learner: learner._num_updates)
        return {
            "env_steps": self._algorithm.num_env_steps_sampled,
            "episodes": self._algorithm.replay.num_episodes_added,
            "updates": updates,
        }

    def memory(self) -> dict[str, float]:
        """Peak resident memory of this process so far, MB."""
        return {"peak_resident_mb": peak_memory_mb()}

    def stop(self) -> None:
        """Ends the algorithm."""
        self._algorithm.stop()
