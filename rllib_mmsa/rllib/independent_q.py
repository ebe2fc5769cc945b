"""Independent Q-learning: every agent learns from the team reward alone (Tan, 1993).

The field's short name for it, IQL, is RLlib's name for implicit Q-learning.
"""

from __future__ import annotations

from rllib_mmsa.rllib.algorithm import QLearning
from rllib_mmsa.rllib.config import QLearningConfig
from rllib_mmsa.rllib.presets import EPYMARL_INDEPENDENT_Q


class IndependentQConfig(QLearningConfig):
    """The shared settings without a mixer."""

    presets = {"epymarl": EPYMARL_INDEPENDENT_Q}

    def __init__(self, algo_class: type | None = None):
        super().__init__(algo_class=algo_class or IndependentQ)
        self.mixer = None


class IndependentQ(QLearning):
    """Independent Q-learning with shared weights."""

    @classmethod
    def get_default_config(cls) -> IndependentQConfig:
        return IndependentQConfig()
