"""The algorithms, by the name they have in a configuration file (``run: MMSA``)."""

from __future__ import annotations

from rllib_mmsa.rllib import quiet
from rllib_mmsa.rllib.algorithm import QLearning
from rllib_mmsa.rllib.independent_q import IndependentQ, IndependentQConfig
from rllib_mmsa.rllib.mmsa import MMSA, MMSAConfig
from rllib_mmsa.rllib.qmix import QMIX, QMIXConfig
from rllib_mmsa.rllib.vdn import VDN, VDNConfig

quiet.install()

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
