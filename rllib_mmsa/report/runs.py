"""One training run as the report sees it, whatever it was read from.

Shape legend: E = evaluations of one run.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt
from scipy.integrate import trapezoid

from rllib_mmsa.report.names import game_name

Array = npt.NDArray[np.float64]

# How a run ended.
FINISHED = "finished"
STOPPED_EARLY = "stopped early"  # ended as planned, by a scheduler or another criterion than steps
UNFINISHED = "unfinished"  # still running, or interrupted: the results cannot tell which
CRASHED = "crashed"
PENDING = "not started"
STATUSES = (FINISHED, STOPPED_EARLY, UNFINISHED, CRASHED, PENDING)

# The two measures, by the name of their column in the data files, and what figures call them.
TEST_RETURN = "test_return"
WIN_RATE = "win_rate"
METRICS = {TEST_RETURN: "test return", WIN_RATE: "test win rate"}

# Two things beside the settings that make runs unlike.
BACKEND = "env_backend"
VERSION = "version"
GREEDY = "greedy"  # how the actions of an absolute metric were chosen


@dataclasses.dataclass(frozen=True)
class Absolute:
    """The absolute metric: the best checkpoint's evaluation (Gorsane et al., 2022).

    Attributes:
        episodes: Number of episodes; 0 where it has not been measured.
        test_return: Their mean return.
        win_rate: The part of them that was won; NaN where a game cannot be won.
        actions: How they were chosen: "greedy", "epsilon 0.05", or "drawn" from the policy.
    """

    episodes: int = 0
    test_return: float = math.nan
    win_rate: float = math.nan
    actions: str = GREEDY


@dataclasses.dataclass(frozen=True)
class Run:
    """One training run.

    Attributes:
        task: Environment and task, such as "lbf 8x8-2p-2f-v2".
        algorithm: The algorithm's registered name.
        configuration: A name for its settings that a data file gave; "" where none did.
        seed: The seed as text; "" where none was set.
        settings: Flattened option ("env_config/backend") -> value as text, without the seed and
            without what cannot change a result. Options that were not recorded are absent.
        explicit: The options that were set for this run, as against defaults.
        env_backend: The game that was played, where an environment has several.
        version: Version of this project that trained it; "" where not recorded.
        trial: The trial's name, for people.
        status: One of `STATUSES`.
        planned_steps: Env steps at which it was to stop; NaN where not known.
        test_episodes: Episodes of one evaluation; 0 where not known.
        env_steps: (E,) env steps at each evaluation, increasing.
        seconds: (E,) seconds of training and evaluation until then (`time_total_s`).
        test_return: (E,) mean return of the test episodes.
        win_rate: (E,) part of them that was won; NaN where a game cannot be won.
        extra: Other result keys -> (E,) values, NaN where absent.
        absolute: The absolute metric.
        lacks: What of its files could not be read, a sentence each.
    """

    task: str
    algorithm: str
    configuration: str = ""
    seed: str = ""
    settings: dict[str, str] = dataclasses.field(default_factory=dict)
    explicit: frozenset[str] = frozenset()
    env_backend: str = ""
    version: str = ""
    trial: str = ""
    status: str = UNFINISHED
    planned_steps: float = math.nan
    test_episodes: int = 0
    env_steps: Array = dataclasses.field(default_factory=lambda: np.zeros(0))
    seconds: Array = dataclasses.field(default_factory=lambda: np.zeros(0))
    test_return: Array = dataclasses.field(default_factory=lambda: np.zeros(0))
    win_rate: Array = dataclasses.field(default_factory=lambda: np.zeros(0))
    extra: dict[str, Array] = dataclasses.field(default_factory=dict)
    absolute: Absolute = Absolute()
    lacks: tuple[str, ...] = ()

    @property
    def game(self) -> str:
        """What was played: the task, with the game that stood in for it."""
        return game_name(self.task, self.env_backend)

    @property
    def last_step(self) -> float:
        """Env steps at the last evaluation; 0 without any."""
        return float(self.env_steps[-1]) if self.env_steps.size else 0.0

    @property
    def tolerance(self) -> float:
        """Half the usual distance of two evaluations, env steps: what counts as "at" a step."""
        if self.env_steps.size < 2:
            return 0.0
        return float(np.median(np.diff(self.env_steps))) / 2

    @property
    def identity(self) -> dict[str, str]:
        """All that must be equal in two runs that are averaged."""
        return {**self.settings, BACKEND: self.env_backend, VERSION: self.version}

    def metric(self, name: str) -> Array:
        """(E,) values of a measure of `METRICS`."""
        return self.win_rate if name == WIN_RATE else self.test_return

    def reached(self, step: float) -> bool:
        """Whether there is an evaluation at this env step or later, within `tolerance`."""
        return bool(self.env_steps.size) and self.last_step >= step - self.tolerance

    def value_at(self, name: str, step: float) -> float:
        """The measured value nearest to an env step; NaN where the run did not get there."""
        if not self.reached(step):
            return math.nan
        return float(self.metric(name)[np.argmin(np.abs(self.env_steps - step))])

    def area(self, name: str, step: float) -> float:
        """Mean height of the curve up to an env step: the area under it by the steps it spans.

        NaN where the run did not get there, or has fewer than two evaluations until then.
        """
        until = self.env_steps <= step + self.tolerance
        steps, values = self.env_steps[until], self.metric(name)[until]
        if not self.reached(step) or steps.size < 2:
            return math.nan
        return float(trapezoid(values, steps) / (steps[-1] - steps[0]))
