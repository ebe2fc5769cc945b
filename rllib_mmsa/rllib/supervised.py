"""An env runner that tells how it fares: its failures in words, and signs of life.

RLlib's runner waits for a minute after an exception and then ends its process, so that the
algorithm only learns that a process died. This one raises: the exception reaches the algorithm,
which decides (``RunnerGroup``).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, TypeVar

from ray.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner

from rllib_mmsa.rllib import messages

Value = TypeVar("Value")

#: Seconds between two signs of life.
BEAT_S = 2.0


class TooManyFailures(RuntimeError):
    """More than ``max_failures_in_a_row`` failures without a finished episode: a run's end."""


class SupervisedRunner(MultiAgentEnvRunner):
    """RLlib's MultiAgentEnvRunner, whose failures are told.

    Attributes:
        pulse: The name under which it gives signs of life; None: nobody waits for any.
    """

    pulse: str | None = None
    _beat_at = -math.inf
    _beats = 0
    _failures = 0

    def __init__(self, config: Any, **kwargs: Any):
        self._trial = messages.trial_of(kwargs.get("log_dir"))
        super().__init__(config, **kwargs)

    def apply(self, func: Callable[..., Value], *args: Any, **kwargs: Any) -> Value:
        """Calls a function with this runner; what it raises reaches the caller."""
        return func(self, *args, **kwargs)

    def beat(self) -> None:
        """Gives a sign of life, now and then; to be called before each thing that may hang."""
        now = time.monotonic()
        if self.pulse is not None and now - self._beat_at >= BEAT_S:
            self._beat_at = now
            self._beats += 1
            messages.beat(self.pulse, self._beats)

    @property
    def replaces_failed_environments(self) -> bool:
        """Whether an environment that raises costs no more than its episode.

        With runners in processes of their own, RLlib replaces a whole runner for it. That this
        takes half a minute, and the same mistake then comes again, helps nobody.
        """
        remote = bool(self.worker_index) and self.config.restart_failed_env_runners
        return bool(self.config.restart_failed_sub_environments or remote)

    def say_failure(self, error: Exception, known: bool) -> None:
        """Says that an episode was dropped: the first, the tenth, the hundredth, and so on.

        Args:
            error: what the environment raised.
            known: nobody needs its traceback.
        """
        self._failures += 1
        times = "" if self._failures == 1 else f", failure {self._failures}"
        text = str(error) if known else messages.describe(error)
        shown = math.log10(self._failures).is_integer()
        messages.say(
            f"an environment failed{self.where}{times}; its episode is dropped and it is made "
            f"anew: {text}",
            self._trial if shown else None,
            None if known else error,
        )

    @property
    def where(self) -> str:
        """`` in the evaluation, on env runner 2``, as far as it needs to be said."""
        test = " in the evaluation" if self.config.in_evaluation else ""
        return f"{test} on env runner {self.worker_index}" if self.worker_index else test
