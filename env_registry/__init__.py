"""Cooperative multi-agent environments for RLlib's new API stack; knows no algorithm.

Importing this package registers every environment with Ray Tune by name. The contract that they
follow, its check and its adapters for other environments are in `env_registry.contract`, apart
because it imports RLlib and this does not.
"""

from env_registry.errors import EnvConfigError
from env_registry.registry import installed, make, notice, register, stand_in, validate
from env_registry.rows import ENVIRONMENTS, EnvRow

__all__ = [
    "ENVIRONMENTS",
    "EnvConfigError",
    "EnvRow",
    "installed",
    "make",
    "notice",
    "register",
    "stand_in",
    "validate",
]

register()
