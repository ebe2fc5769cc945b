"""The learner: TD loss, one optimiser over the team module, target networks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME, NUM_EPISODES_LIFETIME
from ray.rllib.utils.torch_utils import clip_gradients as clip_one_by_one
from torch import Tensor

from env_registry.contract import TEAM
from rllib_mmsa.common.rmsprop import FlatRMSprop
from rllib_mmsa.nets.beside import use_threads
from rllib_mmsa.nets.kernels import use_kernels
from rllib_mmsa.nets.memory import keep_freed_memory
from rllib_mmsa.rllib import metrics as keys
from rllib_mmsa.rllib.batch import LOSS_MASK, REWARDS, TERMINATED, TRUNCATED
from rllib_mmsa.rllib.module import CHOSEN_Q_TOT, NEXT_Q_TOT, QModule
from rllib_mmsa.td import StepMean, squared_error, td_targets

_COUNTERS = (
    "_num_updates",
    "_target_synced_at",
    "_num_target_updates",
    "_num_skipped_updates",
)
logger = logging.getLogger(__name__)


def global_norm(gradients: dict[Any, Tensor]) -> Tensor:
    """The norm of all gradients as one vector, a scalar."""
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(gradients.values()))))


class QLearner(TorchLearner):
    """Minimises the squared TD error of the mixed value (section 4.4, L_TD)."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self._num_updates = 0
        self._target_synced_at = 0  # in the unit of the target update interval
        self._num_target_updates = 0
        self._num_skipped_updates = 0
        self._global_norm: Tensor | None = None  # of this update's gradients, where it is known
        self._logged: dict[str, Tensor] = {}
        keep_freed_memory()
        # A seed makes RLlib ask for deterministic algorithms, under which PyTorch also fills every
        # new tensor, in case somebody reads what was never written. Nothing here does.
        torch.utils.deterministic.fill_uninitialized_memory = False
        # Gradients that fade over time become denormal numbers, which a processor is slow at.
        torch.set_flush_denormal(True)

    def build(self) -> None:
        super().build()
        config = self.config
        # A second thread beside a busy env runner is put to sleep with what the first one waits
        # for, be it a result or Python's lock: slower than one thread.
        plays_meanwhile = config.overlap_sampling and config.num_learners == 0
        busy_cores = config.num_env_runners if plays_meanwhile else 0
        use_kernels(config.compiled_kernels)
        use_threads(config.learner_threads if self._device.type == "cpu" else 1, busy_cores)

    @property
    def team_module(self) -> QModule:
        """The module itself, also when it is wrapped for several learners."""
        return self.module[TEAM].unwrapped()

    # Optimiser.

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """One optimiser under the module's own id: RLlib clips the gradients of no other."""
        params = [p for p in self.module[module_id].parameters() if p.requires_grad]
        if config.optim == "rmsprop":
            optimizer: torch.optim.Optimizer = FlatRMSprop(
                params, lr=1.0, alpha=config.optim_alpha, eps=config.optim_eps
            )
        else:
            optimizer = torch.optim.Adam(params, lr=1.0, eps=config.optim_eps, foreach=True)
        # The learning rate (or its schedule) is set by register_optimizer.
        self.register_optimizer(
            module_id=module_id, optimizer=optimizer, params=params, lr_or_lr_schedule=config.lr
        )

    def get_parameters(self, module: Any) -> list[torch.nn.Parameter]:
        """The parameters that learn: target networks do not."""
        return [p for p in module.parameters() if p.requires_grad]

    def compute_gradients(self, loss_per_module: dict, **kwargs: Any) -> dict:
        """The parent's, without parameters the loss did not reach."""
        gradients = super().compute_gradients(loss_per_module, **kwargs)
        return {ref: grad for ref, grad in gradients.items() if grad is not None}

    def apply_gradients(self, gradients_dict: dict) -> None:
        """One optimiser step; skipped, and said, where a gradient is not finite."""
        optimizer = self.get_optimizer(TEAM)
        norm, self._global_norm = self._global_norm, None
        if norm is None:
            norm = global_norm(gradients_dict)
        if not norm.isfinite():
            self._num_skipped_updates += 1
            logger.warning("a gradient is not finite; this update is skipped")
            return
        for parameter, gradient in gradients_dict.items():
            parameter.grad = gradient
        optimizer.step()

    def _get_clip_function(self) -> Callable[..., Tensor | None]:
        return self._clip_gradients

    def _clip_gradients(
        self, gradients_dict: dict[Any, Tensor], *, grad_clip: float | None, grad_clip_by: str
    ) -> Tensor | None:
        """RLlib's: the dictionary gets other gradients.

        With the global norm, all at once, where RLlib takes half a dozen operations for each; and
        not in place, since two parameters may share one. A gradient that is not finite is left to
        ``apply_gradients``.

        Returns:
            The global norm, where it is what is clipped by.
        """
        if grad_clip is None or grad_clip_by != "global_norm" or not gradients_dict:
            return clip_one_by_one(gradients_dict, grad_clip=grad_clip, grad_clip_by=grad_clip_by)
        norm = self._global_norm = global_norm(gradients_dict)
        factor = (grad_clip / (norm + 1e-6)).clamp(max=1.0)
        clipped = torch._foreach_mul(list(gradients_dict.values()), factor)
        gradients_dict.update(zip(gradients_dict, clipped, strict=True))
        return norm

    # Loss.

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict, fwd_out: dict
    ) -> Tensor:
        """The total loss, a scalar."""
        return self.td_loss(config, batch, fwd_out)

    def td_loss(self, config: Any, batch: dict, fwd_out: dict) -> Tensor:
        """L_TD = (y^tot - Q_tot)^2, y^tot = r + gamma (1 - terminated) max_a' Q_tot^-."""
        chosen, mean = fwd_out[CHOSEN_Q_TOT], StepMean(batch[LOSS_MASK])
        ended = batch[TERMINATED]
        if not config.bootstrap_truncated:
            ended = ended | batch[TRUNCATED]
        targets = td_targets(batch[REWARDS], ended, fwd_out[NEXT_Q_TOT], config.gamma).detach()
        loss = mean(squared_error(chosen, targets))
        with torch.no_grad():
            self.log_tensors(
                {
                    keys.TD_LOSS: loss,
                    keys.TD_ERROR_ABS: mean((chosen - targets).abs()),
                    keys.Q_TOT_MEAN: mean(chosen),
                    keys.TD_TARGET_MEAN: mean(targets),
                }
            )
        return loss

    def log_tensors(self, values: dict[str, Tensor]) -> None:
        """Keeps scalars for the log; they leave the device together, once per update.

        What an update says nothing of is logged as it was: RLlib reports what is missing as NaN.
        """
        self._logged.update({name: value.detach() for name, value in values.items()})

    # Before and after the update.

    def after_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """Moves the target networks when they are due and writes the log."""
        super().after_gradient_based_update(timesteps=timesteps)
        self._num_updates += 1
        self._update_targets(timesteps)
        numbers = torch.stack([v.float() for v in self._logged.values()]).tolist()
        for name, value in zip(self._logged, numbers, strict=True):
            self.metrics.log_value((TEAM, name), value, reduce="mean")
        counters = {
            keys.NUM_TARGET_UPDATES: self._num_target_updates,
            keys.NUM_SKIPPED_UPDATES: self._num_skipped_updates,
            keys.NUM_UPDATES_LIFETIME: self._num_updates,
        }
        for name, count in counters.items():
            self.metrics.log_value((TEAM, name), count, reduce="max", window=1)

    def _update_targets(self, timesteps: dict[str, Any]) -> None:
        """Hard copies at an interval of episodes or env steps, or a soft step each update."""
        config = self.config
        if config.target_update_tau is not None:
            self.sync_targets(config.target_update_tau)
            return
        if config.target_network_update_freq is not None:
            now = timesteps[NUM_ENV_STEPS_SAMPLED_LIFETIME]
            interval = config.target_network_update_freq
        else:
            now = timesteps[NUM_EPISODES_LIFETIME]
            interval = config.target_update_episodes
        if now - self._target_synced_at >= interval:
            self.sync_targets(1.0)
            self._target_synced_at = now

    @torch.no_grad()
    def sync_targets(self, tau: float) -> None:
        """target <- tau * network + (1 - tau) * target, buffers copied."""
        self._num_target_updates += 1
        for network, target in self.team_module.target_pairs():
            for ours, theirs in zip(network.parameters(), target.parameters(), strict=True):
                theirs.lerp_(ours, tau)
            for ours, theirs in zip(network.buffers(), target.buffers(), strict=True):
                theirs.copy_(ours)

    # State.

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        state = super().get_state(*args, **kwargs)
        state["q_learner"] = {name: getattr(self, name) for name in _COUNTERS}
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        if not isinstance(self.config.lr, list | tuple):
            # The optimiser's state brings the old rate back, where the new one was asked for (PBT).
            for _, optimizer in self.get_optimizers_for_module(TEAM):
                self._set_optimizer_lr(optimizer, self.config.lr)
        if "q_learner" in state:
            for name in _COUNTERS:
                setattr(self, name, state["q_learner"][name])
