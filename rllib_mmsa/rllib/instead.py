"""RLlib's algorithms with a class of ours in the place of one of theirs, where there is no hook."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ray.rllib.algorithms import algorithm


@contextlib.contextmanager
def instead(name: str, ours: type) -> Iterator[None]:
    """Within it, RLlib's algorithms make ``ours``: RLlib names the class in its code.

    Args:
        name: The class's name in ``ray.rllib.algorithms.algorithm``.
        ours: A subclass of it.
    """
    rllibs = getattr(algorithm, name)
    setattr(algorithm, name, ours)
    try:
        yield
    finally:
        setattr(algorithm, name, rllibs)
