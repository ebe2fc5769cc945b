"""QMIX: a monotonic mixing network that sees the state (Rashid et al., 2018)."""

from __future__ import annotations

from rllib_mmsa.rllib.algorithm import QLearning
from rllib_mmsa.rllib.config import QLearningConfig


class QMIXConfig(QLearningConfig):
    """The shared settings; the option names of RLlib's old QMixConfig are among them."""

    def __init__(self, algo_class: type | None = None):
        super().__init__(algo_class=algo_class or QMIX)


class QMIX(QLearning):
    """QMIX on RLlib's new API stack."""

    @classmethod
    def get_default_config(cls) -> QMIXConfig:
        return QMIXConfig()
