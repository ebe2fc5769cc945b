"""The stages of one update, timed from outside: methods of a built algorithm are wrapped.

A stage's time is exclusive: what a wrapped call inside it took is counted there and not here.
"""

from __future__ import annotations

import functools
import importlib
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.protocol import BenchmarkError

REST = "rest"


class Point(NamedTuple):
    """A method that belongs to a stage.

    Attributes:
        stage: name of the stage.
        owner: where to find it: "algorithm", "learner", "module" or a Python module's name, and
            attributes from there on.
        name: the method.
        setting: name of a setting; where it is False, the algorithm has no such part.
    """

    stage: str
    owner: str
    name: str
    setting: str | None = None


#: Everything that is timed. A method that is renamed is renamed here. The native engine calls none
#: of the method's functions: its whole update is the stage "engine".
POINTS = (
    Point("replay read", "algorithm.replay", "sample"),
    Point("replay read", "rllib_mmsa.rllib.algorithm", "to_train_batch"),
    Point("engine", "learner.engine", "learn"),
    Point("agents", "module.agent", "unroll"),
    Point("agents", "module.agent", "q_value"),
    Point("agents", "module.agent", "q_values"),
    Point("agents", "module.target_agent", "unroll"),
    Point("agents", "module.target_agent", "q_value"),
    Point("agents", "module.target_agent", "q_values"),
    Point("agents", "rllib_mmsa.method.update", "embed_observations", "use_sale"),
    Point("world model", "rllib_mmsa.method.update", "unroll_model", "use_world_model"),
    Point("world model", "learner", "_measure_model", "use_world_model"),
    Point("imagination", "module.target_world_model", "imagine", "use_world_model"),
    Point("mixer", "module.mixer", "forward"),
    Point("mixer", "module.target_mixer", "forward"),
    Point("mixer", "module.aggregator", "forward", "use_world_model"),
    Point("mixer", "module.target_aggregator", "forward", "use_world_model"),
    Point("losses", "learner", "compute_losses"),
    Point("backward", "learner", "compute_gradients"),
    Point("optimiser", "learner", "postprocess_gradients"),
    Point("optimiser", "learner", "apply_gradients"),
    Point(REST, "algorithm", "_update"),
)
#: Names of the stages, in the order of an update.
STAGES = tuple(dict.fromkeys(point.stage for point in POINTS))


class StageClock:
    """Exclusive seconds by stage.

    Args:
        synchronise: called around each timed call; a GPU works on after a call has returned.
    """

    def __init__(self, synchronise: Callable[[], None] | None = None):
        self.seconds: dict[str, float] = defaultdict(float)
        self._synchronise = synchronise
        self._nested = [0.0]  # seconds of wrapped calls inside each running one

    def wrap(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        """The function, its exclusive time counted under ``stage``."""

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._nested.append(0.0)
            start = self._now()
            try:
                return function(*args, **kwargs)
            finally:
                took = self._now() - start
                self.seconds[stage] += took - self._nested.pop()
                self._nested[-1] += took

        timed.clock = self  # type: ignore[attr-defined]
        return timed

    def _now(self) -> float:
        if self._synchronise is not None:
            self._synchronise()
        return time.perf_counter()

    def take(self) -> dict[str, float]:
        """Milliseconds by stage since the last call."""
        taken = {stage: 1000 * self.seconds.get(stage, 0.0) for stage in STAGES}
        self.seconds.clear()
        return taken


def install(algorithm: Any, clock: StageClock) -> None:
    """Wraps every point that the algorithm has.

    Raises:
        BenchmarkError: the product has no such name any more.
    """
    [learner] = algorithm.learner_group.foreach_learner(lambda learner: learner)
    roots = {"algorithm": algorithm, "learner": learner.get(), "module": learner.get().team_module}
    for point in POINTS:
        if point.setting is not None and not getattr(algorithm.config, point.setting, False):
            continue
        owner = _find(roots, point)
        function = getattr(owner, point.name)
        if getattr(function, "clock", None) is not clock:  # a module's function is shared
            setattr(owner, point.name, clock.wrap(function, point.stage))


def _find(roots: dict[str, Any], point: Point) -> Any:
    first, *attributes = point.owner.split(".")
    if first in roots:
        owner = roots[first]
    else:
        owner, attributes = importlib.import_module(point.owner), []
    try:
        for attribute in attributes:
            owner = getattr(owner, attribute)
        getattr(owner, point.name)
    except AttributeError as error:
        raise BenchmarkError(
            f"{point.owner}.{point.name}, timed as {point.stage!r}, is not there any more "
            f"({error}); say in POINTS (benchmarks/stages.py) what took its place"
        ) from error
    return owner
