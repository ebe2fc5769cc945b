"""QMIX: a monotonic mixing network that sees the state (Rashid et al., 2018)."""

from __future__ import annotations

from typing import Any

from rllib_mmsa.common.q_learning import QLearning, QLearningConfig


class QMIXConfig(QLearningConfig):
    """The shared settings; takes the option names of RLlib's old QMixConfig."""

    def __init__(self, algo_class: type | None = None):
        super().__init__(algo_class=algo_class or QMIX)

    def training(self, **kwargs: Any) -> QMIXConfig:
        """``QLearningConfig.training``, which also takes the old ``train_batch_size``."""
        return super().training(**_batch_in_episodes(kwargs))

    def update_from_dict(self, config_dict: dict[str, Any]) -> QMIXConfig:
        """RLlib's, which also takes the old ``train_batch_size``."""
        return super().update_from_dict(_batch_in_episodes(config_dict))


def _batch_in_episodes(settings: dict[str, Any]) -> dict[str, Any]:
    """Reads ``train_batch_size`` as a number of whole episodes.

    RLlib's old QMIX counted time steps there, and trained on 32 of them where the algorithm
    means 32 episodes: its best known trap.
    """
    settings = dict(settings)
    if "train_batch_size" in settings:
        episodes = settings.pop("train_batch_size")
        settings.setdefault("train_batch_episodes", episodes)
    return settings


class QMIX(QLearning):
    """QMIX on RLlib's new API stack."""

    @classmethod
    def get_default_config(cls) -> QMIXConfig:
        return QMIXConfig()
