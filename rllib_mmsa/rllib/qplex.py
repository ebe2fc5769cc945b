"""QPLEX: a duplex dueling mixer, which is not bound to be monotonic (Wang et al., ICLR 2021)."""

from __future__ import annotations

from rllib_mmsa.rllib.algorithm import QLearning
from rllib_mmsa.rllib.config import QLearningConfig


class QPLEXConfig(QLearningConfig):
    """The shared settings with QPLEX's mixer."""

    def __init__(self, algo_class: type | None = None):
        super().__init__(algo_class=algo_class or QPLEX)
        self.mixer = "qplex"


class QPLEX(QLearning):
    """Duplex dueling multi-agent Q-learning."""

    @classmethod
    def get_default_config(cls) -> QPLEXConfig:
        return QPLEXConfig()
