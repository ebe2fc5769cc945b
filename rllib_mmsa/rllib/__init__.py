"""The algorithms, by the name they have in a configuration file (``run: MMSA``)."""

from __future__ import annotations

from rllib_mmsa.rllib import quiet
from rllib_mmsa.rllib.algorithm import QLearning
from rllib_mmsa.rllib.independent_q import IndependentQ, IndependentQConfig
from rllib_mmsa.rllib.mmsa import MMSA, MMSAConfig
from rllib_mmsa.rllib.qmix import QMIX, QMIXConfig
from rllib_mmsa.rllib.qplex import QPLEX, QPLEXConfig
from rllib_mmsa.rllib.vdn import VDN, VDNConfig

quiet.install()

ALGORITHMS: dict[str, type[QLearning]] = {
    "MMSA": MMSA,
    "QMIX": QMIX,
    "QPLEX": QPLEX,
    "VDN": VDN,
    "IndependentQ": IndependentQ,
}


__all__ = [
    "ALGORITHMS",
    "MMSA",
    "QMIX",
    "QPLEX",
    "VDN",
    "IndependentQ",
    "IndependentQConfig",
    "MMSAConfig",
    "QMIXConfig",
    "QPLEXConfig",
    "VDNConfig",
]
