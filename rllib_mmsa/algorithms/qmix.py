"""QMIX: a monotonic mixing network that sees the state (Rashid et al., 2018)."""

from __future__ import annotations

from typing import Any

from rllib_mmsa.common.q_learning import QLearning, QLearningConfig


class QMIXConfig(QLearningConfig):
    """The shared settings; takes the option names of RLlib's old QMixConfig."""

    def __init__(self, algo_class: type | None = None):
        super().__init__(algo_class=algo_class or QMIX)

    def update_from_dict(self, config_dict: dict[str, Any]) -> QMIXConfig:
        """RLlib's, reading ``train_batch_size`` as a number of whole episodes.

        RLlib's old QMIX counted time steps there, and trained on 32 of them where the
        algorithm means 32 episodes: its best known trap.
        """
        config_dict = dict(config_dict)
        if "train_batch_size" in config_dict:
            episodes = config_dict.pop("train_batch_size")
            config_dict.setdefault("train_batch_episodes", episodes)
        return super().update_from_dict(config_dict)


class QMIX(QLearning):
    """QMIX on RLlib's new API stack."""

    @classmethod
    def get_default_config(cls) -> QMIXConfig:
        return QMIXConfig()
