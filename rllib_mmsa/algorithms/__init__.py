"""The algorithms, by the name they have in a configuration file (``run: MMSA``)."""

from __future__ import annotations

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
]
