"""The team's RLModule: the agents act; mixer and target networks stay with the learner.

Shapes: B episodes, T steps, N agents, A actions, H hidden, S state numbers, M mixed values
(1 with a mixer, N without), E environments of a runner; P, R and L as in ``packed.Packed``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis import InferenceOnlyAPI
from ray.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule
from ray.rllib.utils.numpy import convert_to_numpy
from torch import Tensor, nn

from env_registry.contract import ACTION_MASK, OBS, STATE
from rllib_mmsa.common.packed import Packed
from rllib_mmsa.nets.agents import RecurrentAgent
from rllib_mmsa.nets.beside import beside
from rllib_mmsa.nets.mixers import IndependentMixer, QMixer, VDNMixer
from rllib_mmsa.nets.standardiser import Standardiser
from rllib_mmsa.rllib.batch import ACTIONS, LOSS_MASK, observation_mask
from rllib_mmsa.rllib.exploration import epsilon_at, epsilon_greedy
from rllib_mmsa.td import greedy_actions, mask_illegal

#: Keys of what ``forward_train`` returns: values of the actions taken (B, T, M) and the
#: target networks' values of the next step (B, T, M).
CHOSEN_Q_TOT = "chosen_q_tot"
NEXT_Q_TOT = "next_q_tot"


class Unrolled(NamedTuple):
    """What agents make of whole episodes.

    Attributes:
        hidden: (R, N, H), recurrent state after each observation.
        greedy: (R, N) int64, the legal actions that follow; the target agents follow those of the
            online agents under ``double_q``, as their values do.
    """

    hidden: Tensor
    greedy: Tensor


def frozen_copy(network: nn.Module) -> nn.Module:
    """A copy that no optimiser moves: a target network."""
    return copy.deepcopy(network).requires_grad_(False)


class QModule(TorchRLModule, InferenceOnlyAPI):
    """Recurrent agents with shared weights, a mixer and their target networks.

    Acting needs ``agent`` alone. Its recurrent state travels as RLlib's ``state_in`` /
    ``state_out``: {"hidden": (E, N, H), "last_action": (E, N), ...}.

    ``model_config`` keys are those of ``QLearningConfig``.
    """

    def setup(self) -> None:
        spaces = self.observation_space
        self.num_agents, self.obs_size = spaces[OBS].shape
        self.num_actions = spaces[ACTION_MASK].shape[1]
        self.state_size = spaces[STATE].shape[0]
        self.agent = self.make_agent()
        if self.model_config["normalise_observations"]:
            self.obs_scale = Standardiser(self.num_agents, self.obs_size)
            self.state_scale = Standardiser(self.state_size)
        if self.inference_only:
            self.eval()
        else:
            self.setup_training()

    def make_agent(self) -> RecurrentAgent:
        """The network that acts."""
        return RecurrentAgent(**self.agent_arguments())

    def agent_arguments(self) -> dict[str, Any]:
        """Arguments every agent network has."""
        config = self.model_config
        return {
            "num_agents": self.num_agents,
            "num_actions": self.num_actions,
            "obs_size": self.obs_size,
            "hidden_dim": config["hidden_dim"],
            "observe_last_action": config["observe_last_action"],
            "observe_agent_id": config["observe_agent_id"],
        }

    def setup_training(self) -> None:
        """What only the learner has."""
        self.mixer = self.make_mixer(self.state_size)
        self.target_agent = frozen_copy(self.agent)
        self.target_mixer = frozen_copy(self.mixer)

    def make_mixer(self, state_size: int) -> nn.Module:
        """The mixer for a state of ``state_size`` numbers."""
        config = self.model_config
        if config["mixer"] == "qmix":
            return QMixer(
                self.num_agents,
                state_size,
                config["mixing_embed_dim"],
                config["hypernet_embed_dim"],
            )
        return VDNMixer() if config["mixer"] == "vdn" else IndependentMixer()

    def get_non_inference_attributes(self) -> list[str]:
        return ["mixer", "target_agent", "target_mixer", "state_scale"]

    def get_state(self, *args: Any, inference_only: bool = False, **kwargs: Any) -> dict[str, Any]:
        """RLlib's; for those who act, without walking through all that they do not need."""
        if not inference_only or self.inference_only:
            return super().get_state(*args, inference_only=inference_only, **kwargs)
        left_out = self.get_non_inference_attributes()
        state: dict[str, Any] = {}
        self._save_to_state_dict(state, "", False)  # a subclass's own parameters
        for name, network in self.named_children():
            if name not in left_out:
                network.state_dict(destination=state, prefix=f"{name}.")
        return convert_to_numpy(state)

    def target_pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        """(network, its target network)."""
        return [(self.agent, self.target_agent), (self.mixer, self.target_mixer)]

    def train(self, mode: bool = True) -> QModule:
        """PyTorch's, which walks through every network: RLlib asks in every step and update."""
        return self if self.training == mode else super().train(mode)

    # What the networks read.

    def scale_inputs(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The batch with standardised observations and states (``normalise_observations``)."""
        if not self.model_config["normalise_observations"]:
            return batch
        return {**batch, OBS: self.obs_scale(batch[OBS]), STATE: self.state_scale(batch[STATE])}

    def _update_scales(self, batch: dict[str, Any]) -> None:
        """Moves the statistics towards a batch.

        They are part of the weights: acting, evaluation and checkpoints have those of the last
        update.
        """
        if self.model_config["normalise_observations"] and self.training:
            mask = observation_mask(batch[LOSS_MASK])
            self.obs_scale.update(batch[OBS], mask)
            self.state_scale.update(batch[STATE], mask)

    def _q_values(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Values of every action (E, N, A) and the next recurrent state."""
        obs = batch[Columns.OBS][OBS]
        if self.model_config["normalise_observations"]:
            obs = self.obs_scale(obs)
        return self.agent.step(obs, batch[Columns.STATE_IN])

    # Acting.

    def get_initial_state(self) -> dict[str, Tensor]:
        """Recurrent state of one environment, without the batch dimension."""
        return {name: value[0] for name, value in self.agent.initial_state(1).items()}

    def _forward_inference(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Greedy legal actions (E, N)."""
        q_values, state = self._q_values(batch)
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
            batch: {"obs": {"obs", "action_mask"}, "state_in": recurrent state}.
            t: environment steps sampled by all runners, for the schedule of epsilon.
            rng: source of randomness; None draws a new one.
            epsilon: instead of the schedule.
        """
        mask = batch[Columns.OBS][ACTION_MASK]
        q_values, state = self._q_values(batch)
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

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        """Values of the actions taken and of the next steps (batch contract: batch.py).

        Returns:
            ``CHOSEN_Q_TOT`` (B, T, M), with gradient, and ``NEXT_Q_TOT`` (B, T, M), without.
        """
        self._update_scales(batch)
        batch = self.scale_inputs(batch)
        packed = Packed(batch[LOSS_MASK])
        obs, actions = packed.pack(batch[OBS]), packed.pack_steps(batch[ACTIONS])
        read_obs = packed.pick_read(obs)
        encoded = beside(lambda: self.agent.encode_obs(read_obs))
        target = beside(lambda: self._run_target(obs, read_obs, actions, packed))
        more = self.prepare_more(batch, packed)
        hidden = self.agent.run(obs, actions, packed.packing)
        read_hidden = packed.pick_read(hidden)
        prepared = self.agent.prepare(read_hidden, encoded())
        legal = packed.pick_read(packed.pack(batch[ACTION_MASK])).bool()
        taken = packed.pick_read(actions)
        legal_q, taken_q = self.agent.legal_and_chosen_q(prepared, legal, taken)
        greedy, chosen = greedy_actions(legal_q, legal), packed.starts(taken_q)
        target_hidden, prepared_target = target()
        next_values = beside(lambda: self._target_values(prepared_target, greedy, legal))
        followed = greedy if self.model_config["double_q"] else next_values()[1]
        online, followers = Unrolled(read_hidden, greedy), Unrolled(target_hidden, followed)
        read = self.look_ahead(read_obs, online, followers)
        next_q, _ = next_values()
        next_q_tot = beside(lambda: self._mix_target(batch, packed, next_q, read))
        extra = self.learn_more(packed, hidden, greedy, more)
        q_tot = self.mixer(chosen, *self.mixer_state(batch, packed, read))
        return {
            CHOSEN_Q_TOT: packed.spread_steps(q_tot),
            NEXT_Q_TOT: packed.spread_steps(next_q_tot()),
            **extra,
        }

    @torch.no_grad()
    def _run_target(
        self, obs: Tensor, read_obs: Tensor, actions: Tensor, packed: Packed
    ) -> tuple[Tensor, Any]:
        """The target agents' hidden states (R, N, H), and what their values are made of."""
        hidden = packed.pick_read(self.target_agent.run(obs, actions, packed.packing))
        return hidden, self.target_agent.prepare(hidden, self.target_agent.encode_obs(read_obs))

    @torch.no_grad()
    def _target_values(self, prepared: Any, greedy: Tensor, legal: Tensor) -> tuple[Tensor, Tensor]:
        """The target agents' values of R observations, and the actions that have them.

        Args:
            prepared: what ``_run_target`` returned.
            greedy: (R, N) int64, the online agents' actions (double Q).
            legal: (R, N, A) bool.

        Returns:
            (R, N) and (R, N) int64.
        """
        if self.model_config["double_q"]:
            return self.target_agent.chosen_q(prepared, greedy), greedy
        values = mask_illegal(self.target_agent.legal_q(prepared, legal), legal)
        best = values.max(-1)
        return best.values, best.indices

    @torch.no_grad()
    def _mix_target(
        self, batch: dict[str, Any], packed: Packed, next_q: Tensor, read: Any
    ) -> Tensor:
        """The target mixer's value of the next steps, (L, M), of the agents' (R, N)."""
        next_state = self.next_mixer_state(batch, packed, read)
        return self.target_mixer(packed.ends(next_q), *next_state)

    # What an algorithm may add.

    def look_ahead(self, obs: Tensor, online: Unrolled, target: Unrolled) -> Any:
        """What the mixers read besides the state.

        Args:
            obs: (R, N, D), as the networks read them.
            online, target: what the agents make of it.
        """
        return None

    def mixer_state(self, batch: dict[str, Any], packed: Packed, read: Any) -> tuple[Tensor, ...]:
        """What the mixer reads where a step to learn from begins, (L, S) in parts.

        Args:
            batch: what the networks read.
            packed: its played steps.
            read: what ``look_ahead`` returned.
        """
        return (packed.pack_starts(batch[STATE]),)

    def next_mixer_state(
        self, batch: dict[str, Any], packed: Packed, read: Any
    ) -> tuple[Tensor, ...]:
        """What the target mixer reads where it ends, (L, S) in parts."""
        return (packed.pack_ends(batch[STATE]),)

    def prepare_more(self, batch: dict[str, Any], packed: Packed) -> Callable[[], Any]:
        """Begins what ``learn_more`` needs of the batch alone, and returns what waits for it."""
        return lambda: None

    def learn_more(
        self, packed: Packed, hidden: Tensor, greedy: Tensor, prepared: Callable[[], Any]
    ) -> dict[str, Any]:
        """What losses besides L_TD need of the online agents: (P, N, H) and (R, N).

        Args:
            prepared: what ``prepare_more`` returned.
        """
        return {}
