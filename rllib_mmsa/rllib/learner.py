"""The learner: one optimiser over the team module, target networks, and the engine's door.

Equations are in rllib_mmsa/method; how an update is computed is chosen once, in ``build``.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any

import torch
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME, NUM_EPISODES_LIFETIME
from ray.rllib.utils.torch_utils import clip_gradients as clip_one_by_one
from torch import Tensor

from env_registry.contract import TEAM
from rllib_mmsa import engine
from rllib_mmsa.method import losses as equations
from rllib_mmsa.method import uses
from rllib_mmsa.method.gradients import clip, global_norm
from rllib_mmsa.method.inputs import draw_noise, move_scales, observe
from rllib_mmsa.method.networks import average_model, move, target_pairs
from rllib_mmsa.method.update import Batch
from rllib_mmsa.rllib import metrics as keys
from rllib_mmsa.rllib.diverged import MAX_SKIPPED_IN_A_ROW, diverged
from rllib_mmsa.rllib.measured import Measured
from rllib_mmsa.rllib.module import STEP, QModule

_COUNTERS = (
    "_num_updates",
    "_target_synced_at",
    "_num_target_updates",
    "_num_skipped_updates",
)
logger = logging.getLogger(__name__)


class QLearner(Measured):
    """Minimises the losses of section 4.4 (``losses``)."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self._num_updates = 0
        self._target_synced_at = 0  # in the unit of the target update interval
        self._num_target_updates = 0
        self._num_skipped_updates = 0
        self._skipped_in_a_row = 0
        self._global_norm: Tensor | None = None  # of this update's gradients, where it is known
        self._logged: dict[str, Tensor] = {}

    def build(self) -> None:
        super().build()
        self.engine = engine.choose(self.team_module, self, self.config, self._device)

    @property
    def engine_shown(self) -> str:
        """The engine's name, and why it is plain where another one was expected."""
        why = getattr(self.engine, "why", "")
        return f"{self.engine.name}, since {why}" if why else self.engine.name

    @property
    def team_module(self) -> QModule:
        """The module itself, also when it is wrapped for several learners."""
        return self.module[TEAM].unwrapped()

    # Losses: override these to change what is learned (docs/extending.md).

    def losses(self) -> dict[str, equations.Loss]:
        """The equations of this update, by name: method/losses.py."""
        return equations.losses_of(self.team_module.settings)

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict, fwd_out: dict
    ) -> Tensor:
        """L_total, the weighted sum of ``losses``, a scalar."""
        step, settings = fwd_out[STEP], self.team_module.settings
        losses = {name: loss(step, settings) for name, loss in self.losses().items()}
        self.log_tensors({**losses, **equations.measures(step)})
        return equations.total_loss(losses, settings)

    # One update.

    def _uncompiled_update(self, batch: dict, **kwargs: Any) -> tuple[Any, dict, dict]:
        """RLlib's, with the gradients that the engine takes."""
        module, played = self.team_module, Batch.of(batch[TEAM])
        # Noise derived from the update's number: a resumed run draws what it would have drawn.
        seed = (self.config.seed or 0) * 1_000_003 + self._num_updates
        noise = draw_noise(module, played, module.settings, seed)
        if module.training:
            move_scales(module, played)
        learned = self.engine.learn(batch[TEAM], noise)
        self.log_tensors(learned.losses)
        self._measure_model(played, noise)
        gradients = {self._by_name[name]: grad for name, grad in learned.gradients.items()}
        with contextlib.ExitStack() as stack:
            if self.config.num_learners > 1:
                stack.enter_context(self.module[TEAM].no_sync())
            self.apply_gradients(self.postprocess_gradients(gradients))
        for part in range(1, module.settings.model_updates):
            self._learn_model(played, part, seed)
        return {}, {TEAM: learned.total}, {}

    def _learn_model(self, played: Batch, part: int, seed: int) -> None:
        """``model_updates``: one more, of the world model alone, of another part of the batch."""
        module = self.team_module
        others = Batch(*(values.roll(-part, 0) for values in played))
        noise = draw_noise(module, others, module.settings, seed + 500_009 * part)
        losses = uses.model_losses(module, observe(module, others), noise, self.losses())
        gradients = self.compute_gradients({TEAM: equations.total_loss(losses, module.settings)})
        skipped = self._skipped_in_a_row
        self.apply_gradients(self.postprocess_gradients(gradients))
        self._skipped_in_a_row = max(skipped, self._skipped_in_a_row)  # values may have diverged

    def learn_by_hooks(self, fields: dict[str, Tensor]) -> engine.Learned:
        """The losses and gradients of a batch by RLlib's hooks, which may be overridden.

        Args:
            fields: the team's batch, ``noise`` among them.
        """
        batch = {TEAM: fields}
        outputs = self.module.forward_train(batch)
        loss = self.compute_losses(fwd_out=outputs, batch=batch)
        gradients = self.compute_gradients(loss)
        named = {self._names[parameter]: grad for parameter, grad in gradients.items()}
        return engine.Learned({}, named, loss[TEAM].detach())

    def compute_gradients(self, loss_per_module: dict, **kwargs: Any) -> dict:
        """The parent's, without parameters the loss did not reach."""
        gradients = super().compute_gradients(loss_per_module, **kwargs)
        return {ref: grad for ref, grad in gradients.items() if grad is not None}

    # Optimiser.

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """One optimiser under the module's own id: RLlib clips the gradients of no other."""
        params = [p for p in self.module[module_id].parameters() if p.requires_grad]
        if config.optim == "rmsprop":
            optimizer: torch.optim.Optimizer = torch.optim.RMSprop(
                params, lr=1.0, alpha=config.optim_alpha, eps=config.optim_eps, foreach=True
            )
        else:
            optimizer = torch.optim.Adam(params, lr=1.0, eps=config.optim_eps, foreach=True)
        # The learning rate (or its schedule) is set by register_optimizer.
        self.register_optimizer(
            module_id=module_id, optimizer=optimizer, params=params, lr_or_lr_schedule=config.lr
        )
        named = self.team_module.named_parameters()
        self._by_name = {name: parameter for name, parameter in named if parameter.requires_grad}
        self._names = {parameter: name for name, parameter in self._by_name.items()}

    def get_parameters(self, module: Any) -> list[torch.nn.Parameter]:
        """The parameters that learn: target networks do not."""
        return [p for p in module.parameters() if p.requires_grad]

    def apply_gradients(self, gradients_dict: dict) -> None:
        """One optimiser step; skipped, and counted, where a gradient is not finite.

        Raises:
            RuntimeError: ``MAX_SKIPPED_IN_A_ROW`` were skipped: nothing is learned any more.
        """
        optimizer = self.get_optimizer(TEAM)
        norm, self._global_norm = self._global_norm, None
        if norm is None:
            norm = global_norm(gradients_dict)
        if not norm.isfinite():
            self._skip_update()
            return
        self._skipped_in_a_row = 0
        self.engine.step(optimizer, gradients_dict)

    def _skip_update(self) -> None:
        """Counts an update whose gradient is not finite; too many in a row end the run."""
        self._num_skipped_updates += 1
        self._skipped_in_a_row += 1
        if self._skipped_in_a_row == 1:
            logger.warning("a gradient is not finite; this update is skipped")
        if self._skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW:
            raise diverged(self._num_updates + 1, self._skipped_in_a_row, self._logged, self.config)

    def _get_clip_function(self) -> Callable[..., Tensor | None]:
        return self._clip_gradients

    def _clip_gradients(
        self, gradients_dict: dict[Any, Tensor], *, grad_clip: float | None, grad_clip_by: str
    ) -> Tensor | None:
        """RLlib's; by the global norm, which is then returned, faster (method/gradients.py)."""
        if grad_clip is None or grad_clip_by != "global_norm" or not gradients_dict:
            return clip_one_by_one(gradients_dict, grad_clip=grad_clip, grad_clip_by=grad_clip_by)
        self._global_norm = clip(gradients_dict, grad_clip)
        return self._global_norm

    # After the update: the log, and the target networks.

    def log_tensors(self, values: dict[str, Tensor]) -> None:
        """Keeps scalars for the log; they leave the device together, once per update.

        What an update says nothing of is logged as it was: RLlib reports what is missing as NaN.
        """
        self._logged.update({name: value.detach() for name, value in values.items()})

    def after_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """Moves the target networks when they are due and writes the log."""
        super().after_gradient_based_update(timesteps=timesteps)
        self._num_updates += 1
        average_model(self.team_module)
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

    def sync_targets(self, tau: float) -> None:
        """target <- tau * network + (1 - tau) * target, buffers copied."""
        self._num_target_updates += 1
        for network, target in target_pairs(self.team_module):
            move(target, network, tau)

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


class MMSALearner(QLearner):
    """Minimises L_total = L_TD + L_KL + L_REC + L(f, g), each with a weight (1 in the paper)."""
