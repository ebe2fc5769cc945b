"""The algorithms, by the name they have in a configuration file (``run: MMSA``)."""

from __future__ import annotations

from ray.tune.registry import register_trainable

from rllib_mmsa.algorithms.independent_q import IndependentQ, IndependentQConfig
from rllib_mmsa.algorithms.mmsa import MMSA, MMSAConfig
from rllib_mmsa.algorithms.qmix import QMIX, QMIXConfig
from rllib_mmsa.algorithms.vdn import VDN, VDNConfig
from rllib_mmsa.common.q_learning import QLearning

ALGORITHMS: dict[str, type[QLearning]] = {
    "MMSA": MMSA,
    "QMIX": QMIX,
    "VDN": VDN,
    "IndependentQ": IndependentQ,
}


def register() -> None:
    """Registers every algorithm with Ray Tune under its name."""
    for name, algorithm in ALGORITHMS.items():
        register_trainable(name, algorithm)


__all__ = [
    "ALGORITHMS",
    "MMSA",
    "QMIX",
    "VDN",
    "IndependentQ",
    "IndependentQConfig",
    "MMSAConfig",
    "QMIXConfig",
    "VDNConfig",
    "register",
]
