"""A request to stop, from the command to the process that trains: what takes long ends early.

The command puts a key into Ray's own store; the training looks for it twice a second. An iteration
that ends soon is finished. One that does not is cut: episodes that are being played are given up
and played again, under the same seeds, after the run has resumed.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

import ray
from ray.experimental import internal_kv
from ray.rllib.algorithms import algorithm

GRACE_S = 3.0  # an iteration that ends by then is finished, so that logs have even rows
POLL_S = 0.5  # between two looks, each of which asks Ray's head
_KEY = "stop_requested"


class StopRequested(BaseException):
    """Raised out of a round of episodes that is given up; no failure that somebody handles."""


class Listener:
    """Looks for the request, seldom enough to cost nothing.

    Attributes:
        heard_at: When the request was first seen, in monotonic seconds; None: not yet.
    """

    def __init__(self) -> None:
        self.heard_at: float | None = None
        self._next_look = 0.0

    def is_due(self) -> bool:
        """Whether the request has stood for longer than `GRACE_S`."""
        now = time.monotonic()
        if self.heard_at is None and now >= self._next_look:
            self._next_look = now + POLL_S
            self.heard_at = now if is_requested() else None
        return self.heard_at is not None and now - self.heard_at >= GRACE_S

    def check(self) -> None:
        """Raise `StopRequested` once the request is due."""
        if self.is_due():
            raise StopRequested


#: This process's.
listener = Listener()


def _namespace() -> str:
    """Apart from other runs on the same cluster."""
    return f"rllib_mmsa_{ray.get_runtime_context().get_job_id()}"


def request() -> None:
    """Ask every process of this run to stop; nothing happens where Ray cannot be reached."""
    with contextlib.suppress(Exception):
        internal_kv._internal_kv_put(_KEY, b"1", namespace=_namespace())


def is_requested() -> bool:
    """Whether this run was asked to stop; False where Ray is not running."""
    if not ray.is_initialized() or not internal_kv._internal_kv_initialized():
        return False
    try:
        return bool(internal_kv._internal_kv_exists(_KEY, namespace=_namespace()))
    except Exception:  # Ray's head is busy or gone; the next look tells
        return False


class StoppableIteration(algorithm.TrainIterCtx):
    """RLlib's loop over the rounds of an iteration, which also ends when a stop is due."""

    def should_stop(self, results: Any) -> bool:
        """RLlib's criteria, or a stop that is due after at least one round."""
        return super().should_stop(results) or (bool(results) and listener.is_due())
