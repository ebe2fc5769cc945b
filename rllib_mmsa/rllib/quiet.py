"""What RLlib says about choices that this project makes on purpose, kept off the screen.

Each is one message of one logger; all others are shown. To see these too, remove the filters:
``logging.getLogger(name).filters.clear()``.
"""

from __future__ import annotations

import logging

#: Logger -> how its messages begin that are left out.
LEFT_OUT: dict[str, tuple[str, ...]] = {
    "ray.rllib.algorithms.algorithm_config": (
        # The new API stack is the only one that these algorithms run on.
        "You are running ",
        # Evaluations have an interval in env steps, which RLlib does not know of.
        "You have specified ",
    ),
    # RLModule deprecates an object that it makes itself.
    "ray._common.deprecation": ("DeprecationWarning: `RLModule(config=[RLModuleConfig object])`",),
    # Ray measures GPUs with a package that it does not install.
    "ray.tune.utils.util": ("Install gputil",),
}


class _LeftOut(logging.Filter):
    """Lets all messages pass but some."""

    def __init__(self, beginnings: tuple[str, ...]):
        super().__init__()
        self._beginnings = beginnings

    def filter(self, record: logging.LogRecord) -> bool:
        """Logging's: whether a message is shown."""
        return not record.getMessage().startswith(self._beginnings)


def install() -> None:
    """Leaves the messages out in this process; may be called again."""
    for name, beginnings in LEFT_OUT.items():
        logger = logging.getLogger(name)
        if not any(isinstance(each, _LeftOut) for each in logger.filters):
            logger.addFilter(_LeftOut(beginnings))
