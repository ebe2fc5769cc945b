"""MMSA for RLlib: model-based multi-agent Q-learning on Ray RLlib's new API stack.

Importing this package registers the environments (``env: lbf``) and the algorithms
(``run: MMSA``) with Ray Tune, also inside remote workers. RLlib and torch are imported when an
algorithm is first asked for, so that the command line answers at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import env_registry  # noqa: F401  (registers the environments)
from rllib_mmsa.older import modules
from rllib_mmsa.registration import OTHER_ALGORITHM_NAMES, register

if TYPE_CHECKING:
    from rllib_mmsa.rllib import (
        ALGORITHMS,
        IPPO,
        MAPPO,
        MMSA,
        QMIX,
        QPLEX,
        VDN,
        IndependentQ,
        IndependentQConfig,
        IPPOConfig,
        MAPPOConfig,
        MMSAConfig,
        QMIXConfig,
        QPLEXConfig,
        VDNConfig,
    )
    from rllib_mmsa.team import load_team

__all__ = [
    "ALGORITHMS",
    "IPPO",
    "MAPPO",
    "MMSA",
    "QMIX",
    "QPLEX",
    "VDN",
    "IPPOConfig",
    "IndependentQ",
    "IndependentQConfig",
    "MAPPOConfig",
    "MMSAConfig",
    "QMIXConfig",
    "QPLEXConfig",
    "VDNConfig",
    "load_team",
    "register",
]

register()
modules.install()


def __getattr__(name: str) -> Any:
    if name not in __all__:
        other = OTHER_ALGORITHM_NAMES.get(name.removesuffix("Config"))
        hint = (
            f". Did you mean: '{other}{name[len(name.removesuffix('Config')) :]}'?" if other else ""
        )
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
    if name == "load_team":
        from rllib_mmsa.team import load_team

        return load_team
    from rllib_mmsa import rllib

    return getattr(rllib, name)
