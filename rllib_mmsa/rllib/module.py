"""The team's RLModule: the agents act; all other networks stay with the learner.

Shapes: B episodes, T steps, N agents, A actions, D observation numbers, H hidden, S state numbers,
E environments of a runner.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis import InferenceOnlyAPI
from ray.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule
from ray.rllib.utils.numpy import convert_to_numpy
from torch import Tensor, nn

from env_registry.contract import ACTION_MASK, OBS, STATE
from rllib_mmsa.method import inputs, networks, update
from rllib_mmsa.method.agents import RecurrentAgent
from rllib_mmsa.method.mixers import RolloutAggregator
from rllib_mmsa.method.settings import MMSASettings, Settings, names
from rllib_mmsa.method.standardiser import Standardiser
from rllib_mmsa.method.targets import greedy_actions
from rllib_mmsa.method.world_model import WorldModel
from rllib_mmsa.older.options import from_older
from rllib_mmsa.rllib.batch import NOISE
from rllib_mmsa.rllib.exploration import epsilon_at, epsilon_greedy

logger = logging.getLogger(__name__)

#: Key of what ``forward_train`` returns: the ``update.Step`` that the losses go over.
STEP = "step"
#: Key of a batch to act on: values of all actions, where an engine has computed them.
Q_VALUES = "q_values"


class NotFiniteWeights(ValueError):
    """A module's weights hold NaN or infinite numbers; the message says which and what to do."""


def require_finite(module: nn.Module, what_then: str) -> None:
    """Checks a module's weights.

    Raises:
        NotFiniteWeights: some are not finite; ``what_then`` says what that forbids.
    """
    values = {k: v for k, v in module.state_dict().items() if v.is_floating_point()}
    if torch.stack(torch._foreach_norm(list(values.values()))).isfinite().all():
        return
    bad = [name for name, value in values.items() if not value.isfinite().all()]
    if bad:
        others = f" and {len(bad) - 1} others" if len(bad) > 1 else ""
        raise NotFiniteWeights(
            f"the weights {bad[0]}{others} are not finite and {what_then}: training had "
            "diverged. Take an earlier checkpoint, and lower lr or set grad_clip"
        )


class QModule(TorchRLModule, InferenceOnlyAPI):
    """Recurrent agents with shared weights, a mixer and their target networks.

    Acting needs ``agent`` alone. Its recurrent state travels as RLlib's ``state_in`` /
    ``state_out``: {"hidden": (E, N, H), "last_action": (E, N)}.

    ``model_config`` has the names of ``settings_class``, and ``epsilon``. ``make_agent``,
    ``make_mixer`` and ``make_world_model`` may be overridden.
    """

    settings_class: type[Settings] = Settings
    #: Statistics that were not finite when the last state was read, and were put back.
    num_repaired = 0

    def setup(self) -> None:
        spaces = self.observation_space
        self.num_agents, self.obs_size = spaces[OBS].shape
        self.observation_layout = getattr(spaces[OBS], "layout", None)
        self.num_actions = spaces[ACTION_MASK].shape[1]
        self.state_size = spaces[STATE].shape[0]
        config = from_older(self.model_config)
        known = {name: config[name] for name in names(self.settings_class) if name in config}
        self.settings = self.settings_class(**known)
        self.agent = self.make_agent()
        self.obs_scale = self.state_scale = None
        if self.settings.normalise_observations:
            self.obs_scale = Standardiser(self.num_agents, self.obs_size)
            self.state_scale = Standardiser(self.state_size)
        if self.inference_only:
            self.eval()
        else:
            self.setup_training()

    def make_agent(self) -> RecurrentAgent:
        """The network that acts."""
        return networks.make_agent(self, self.settings)

    def make_mixer(self, state_size: int) -> nn.Module:
        """The mixer for a state of ``state_size`` numbers, the roll-out's among them."""
        return networks.make_mixer(self, state_size, self.settings)

    def make_world_model(self) -> WorldModel:
        """The world model (MMSA)."""
        assert isinstance(self.settings, MMSASettings)
        return networks.make_world_model(self, self.settings)

    def setup_training(self) -> None:
        """What only the learner has. Checkpoints keep the networks in this order."""
        settings, frozen_copy = self.settings, networks.frozen_copy
        self.world_model = self.aggregator = self.learned_sale = self.self_predictor = None
        self.target_world_model = self.target_aggregator = None
        state_size = self.state_size if settings.use_global_state else 0
        joint, horizon = self.num_agents * settings.hidden_dim, 0
        if settings.has_model:
            self.world_model = self.make_world_model()
            joint, horizon = self.world_model.joint_dim, settings.rollout_horizon
        if settings.reads_more:
            self.aggregator = RolloutAggregator(joint, horizon, self.state_size)
            state_size += self.aggregator.out_size
        self.mixer = self.make_mixer(state_size)
        if settings.use_sale:
            self.learned_sale = networks.learning_copy(self.agent.sale)
        self.target_agent = frozen_copy(self.agent)
        self.target_mixer = frozen_copy(self.mixer)
        if settings.reads_more:
            self.target_aggregator = frozen_copy(self.aggregator)
        if settings.has_model:
            self.target_world_model = frozen_copy(self.world_model)
        if settings.use_sale:
            self.self_predictor = networks.make_self_predictor(self, settings)

    def get_non_inference_attributes(self) -> list[str]:
        learned = ["mixer", "world_model", "aggregator", "learned_sale", "self_predictor"]
        targets = ["target_agent", "target_mixer", "target_world_model", "target_aggregator"]
        return [*learned, "state_scale", *targets]

    def get_state(self, *args: Any, inference_only: bool = False, **kwargs: Any) -> dict[str, Any]:
        """RLlib's; for those who act, without walking through all that they do not need.

        Raises:
            NotFiniteWeights: a checkpoint of these would be of no use, and push out a good one.
        """
        if not inference_only or self.inference_only:
            require_finite(self, "cannot be saved")
            return super().get_state(*args, inference_only=inference_only, **kwargs)
        left_out = self.get_non_inference_attributes()
        state: dict[str, Any] = {}
        self._save_to_state_dict(state, "", False)  # a subclass's parameters
        for name, network in self.named_children():
            if name not in left_out:
                network.state_dict(destination=state, prefix=f"{name}.")
        return convert_to_numpy(state)

    def set_state(self, state: dict[str, Any]) -> None:
        """RLlib's; statistics that are not finite begin anew (``num_repaired``).

        Raises:
            NotFiniteWeights: the weights are not finite.
        """
        super().set_state(state)
        scales = [part for part in self.modules() if isinstance(part, Standardiser)]
        self.num_repaired = sum(scale.repair() for scale in scales)
        if self.num_repaired:
            logger.warning(
                "%d running statistics of observations were not finite, and begin anew",
                self.num_repaired,
            )
        require_finite(self, "cannot be read")

    def train(self, mode: bool = True) -> QModule:
        """PyTorch's, which walks through every network: RLlib asks in every step and update."""
        return self if self.training == mode else super().train(mode)

    # Acting.

    def get_initial_state(self) -> dict[str, Tensor]:
        """Recurrent state of one environment, without the batch dimension."""
        return {name: value[0] for name, value in self.agent.initial_state(1).items()}

    def scale_observations(self, obs: Tensor) -> Tensor:
        """Observations (..., N, D) as the networks read them (``normalise_observations``).

        An override acts where actions are chosen and where they are learned from.
        """
        return obs if self.obs_scale is None else self.obs_scale(obs)

    def _values_and_state(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Values of every action (E, N, A) and the next recurrent state."""
        if Q_VALUES in batch:
            return batch[Q_VALUES], batch[Columns.STATE_OUT]
        obs = self.scale_observations(batch[Columns.OBS][OBS])
        return self.agent.step(obs, batch[Columns.STATE_IN])

    def _forward_inference(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Greedy legal actions (E, N).

        Args:
            batch: {"obs": {"obs", "action_mask"}, "state_in": recurrent state}; "q_values" and
                "state_out" where an engine has computed them.
        """
        q_values, state = self._values_and_state(batch)
        actions = greedy_actions(q_values, batch[Columns.OBS][ACTION_MASK])
        return self._acted(actions, state)

    def _forward_exploration(
        self,
        batch: dict[str, Any],
        t: int = 0,
        rng: np.random.Generator | None = None,
        epsilon: float | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Epsilon-greedy legal actions (E, N).

        Args:
            batch: see ``_forward_inference``.
            t: environment steps sampled by all runners, for the schedule of epsilon.
            rng: source of randomness; None draws a new one.
            epsilon: instead of the schedule.
        """
        mask = batch[Columns.OBS][ACTION_MASK]
        q_values, state = self._values_and_state(batch)
        if epsilon is None:
            epsilon = epsilon_at(self.model_config["epsilon"], t)
        actions = epsilon_greedy(
            greedy_actions(q_values, mask).cpu().numpy(),
            mask.cpu().numpy(),
            epsilon,
            rng or np.random.default_rng(),
        )
        return self._acted(torch.from_numpy(actions).to(q_values.device), state)

    @staticmethod
    def _acted(actions: Tensor, state: dict[str, Tensor]) -> dict[str, Any]:
        return {Columns.ACTIONS: actions, Columns.STATE_OUT: {**state, "last_action": actions}}

    # Training.

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """One update up to its losses (batch contract: batch.py).

        Returns:
            {``STEP``: ``update.Step``}.
        """
        played = inputs.observe(self, update.Batch.of(batch))
        return {STEP: update.forward(self, played, self.settings, batch.get(NOISE))}


class MMSAModule(QModule):
    """Agents with SALE, a world model, and a mixer that sees its roll-out."""

    settings_class = MMSASettings
