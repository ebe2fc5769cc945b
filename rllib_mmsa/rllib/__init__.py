"""The algorithms, by the name they have in a configuration file (``run: MMSA``)."""

from __future__ import annotations

from rllib_mmsa.rllib import quiet
from rllib_mmsa.rllib.independent_q import IndependentQ, IndependentQConfig
from rllib_mmsa.rllib.mmsa import MMSA, MMSAConfig
from rllib_mmsa.rllib.ppo import IPPO, MAPPO, IPPOConfig, MAPPOConfig
from rllib_mmsa.rllib.qmix import QMIX, QMIXConfig
from rllib_mmsa.rllib.qplex import QPLEX, QPLEXConfig
from rllib_mmsa.rllib.team_algorithm import TeamAlgorithm
from rllib_mmsa.rllib.vdn import VDN, VDNConfig

quiet.install()

ALGORITHMS: dict[str, type[TeamAlgorithm]] = {
    "MMSA": MMSA,
    "QMIX": QMIX,
    "QPLEX": QPLEX,
    "VDN": VDN,
    "IndependentQ": IndependentQ,
    "MAPPO": MAPPO,
    "IPPO": IPPO,
}


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
]
