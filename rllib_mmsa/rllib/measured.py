"""What a learner measures of its world model, beside the update (method/quality.py)."""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.policy.sample_batch import MultiAgentBatch
from torch import Tensor

from env_registry.contract import TEAM, Layout
from rllib_mmsa.method import inputs, kinds, quality
from rllib_mmsa.method.update import Batch


class Measured(TorchLearner):
    """Measures the world model at intervals, and on batches that are not learned from.

    ``QLearner`` (learner.py) has ``team_module``, ``log_tensors`` and ``_num_updates``.
    """

    team_module: Any
    log_tensors: Any
    _num_updates: int
    _places: kinds.Places | None = None

    def know_layout(self, layout: Layout | None) -> None:
        """Takes how the environment's observations are laid out."""
        self._places = kinds.places_of(layout, self.team_module.obs_size, self._device)

    @property
    def places(self) -> kinds.Places:
        """How observations are laid out; every number by itself where nobody said it."""
        if self._places is None:
            self.know_layout(None)
        assert self._places is not None
        return self._places

    def _measure_model(self, played: Batch, noise: Tensor | None) -> None:
        """The quality of the world model, at intervals; none without one."""
        module = self.team_module
        settings: Any = module.settings
        if noise is None or self._num_updates % settings.model_quality_interval:
            return
        self.log_tensors(quality.model_quality(module, played, settings, noise, self.places))

    @torch.no_grad()
    def prediction_errors(self, batch: MultiAgentBatch) -> dict[str, float]:
        """Errors of the world model on a batch that is not learned from (method/quality.py)."""
        module = self.team_module
        fields = self._convert_batch_type(batch).policy_batches[TEAM]
        played = Batch.of(fields)
        read = inputs.observe(module, played)
        hidden = module.agent.unroll(read.obs, read.actions)
        horizon = module.settings.rollout_horizon
        errors = quality.judge(module, played, read, hidden, horizon, self.places)
        return {name: error.item() for name, error in errors.items()}
