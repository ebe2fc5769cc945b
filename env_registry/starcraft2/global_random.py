"""Gives one environment its own `random` and `numpy.random`, which its package takes from all.

A package that draws from the global generators disturbs every other user of them in the process,
and is disturbed: neither environments beside each other nor exploration would repeat under a seed.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np


class OwnGlobalRandom:
    """Global generators of one environment: `with own: ...` draws from them, and from nothing else.

    Not for several threads at once: the generators are global.
    """

    def __init__(self, seed: np.random.SeedSequence):
        """Seeds both.

        Args:
            seed: Where they start.
        """
        python, numpy = (int(number) for number in seed.generate_state(2))
        self._python = random.Random(python).getstate()
        self._numpy = np.random.RandomState(numpy).get_state()

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Inside, the global generators are this environment's; outside, as they were."""
        python, numpy = random.getstate(), np.random.get_state()
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        try:
            yield
        finally:
            self._python, self._numpy = random.getstate(), np.random.get_state()
            random.setstate(python)
            np.random.set_state(numpy)
