"""VDN: the joint value is the sum of the agents' values (Sunehag et al., 2018)."""

from __future__ import annotations

from rllib_mmsa.rllib.algorithm import QLearning
from rllib_mmsa.rllib.config import QLearningConfig
from rllib_mmsa.rllib.presets import EPYMARL_VDN


class VDNConfig(QLearningConfig):
    """The shared settings with the additive mixer."""

    presets = {"epymarl": EPYMARL_VDN}

    def __init__(self, algo_class: type | None = None):
        super().__init__(algo_class=algo_class or VDN)
        self.mixer = "vdn"


class VDN(QLearning):
    """Value decomposition networks."""

    @classmethod
    def get_default_config(cls) -> VDNConfig:
        return VDNConfig()
