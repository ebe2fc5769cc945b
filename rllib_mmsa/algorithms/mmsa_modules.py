"""MMSA's module: SALE agents, world model and roll-out state around the shared Q module."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from env_registry.contract import ACTION_MASK, OBS, STATE
from rllib_mmsa.common.batch import ACTIONS, LOSS_MASK
from rllib_mmsa.common.q_modules import QModule, frozen_copy
from rllib_mmsa.nets.agents import SALE_AGENTS, RecurrentAgent, Unrolled
from rllib_mmsa.nets.sale import SaleEncoder
from rllib_mmsa.nets.world_model import Decoded, Gaussian, RolloutAggregator, WorldModel

#: Keys of what ``forward_train`` returns beside the shared ones.
SALE_OBS = "sale_obs"  # (z^oa, z^o) of the agents' encoders
MODEL = "model"  # ModelOutputs


class ModelOutputs:
    """What the model losses need, steps 0..T unless said otherwise.

    Attributes:
        hidden: (B, T+1, N, H), the agents' hidden states.
        posterior: q(s_t | h_t), (B, T+1, J).
        prior: p(s_t | embeddings of t-1), (B, T+1, J).
        decoded: decoded from posterior samples, and from prior samples.
        embeddings: (B, T, F), (z^sa, z^s, phi^sa)_t of the actions taken.
        sale: (z^sa (B, T, J), z^s (B, T+1, J)) with gradient into f_s and g_s alone.
        rollout: (B, T+1, K+1, J) imagined latents.
    """

    def __init__(
        self,
        hidden: Tensor,
        posterior: Gaussian,
        prior: Gaussian,
        decoded: list[Decoded],
        embeddings: Tensor,
        sale: tuple[Tensor, Tensor] | None,
        rollout: Tensor,
    ):
        self.hidden, self.posterior, self.prior = hidden, posterior, prior
        self.decoded, self.embeddings, self.sale = decoded, embeddings, sale
        self.rollout = rollout


def observation_mask(loss_mask: Tensor) -> Tensor:
    """Valid observations of valid steps: (B, T) to (B, T+1)."""
    return F.pad(loss_mask, (1, 0), value=1.0)


class MMSAModule(QModule):
    """Joint agent network with SALE, world model and a mixer that sees the roll-out."""

    def make_agent(self) -> RecurrentAgent:
        config = self.model_config
        if not config["use_sale"]:
            return super().make_agent()
        agent = SALE_AGENTS[config["sale_action"]](
            sale_dim=config["sale_dim"],
            sale_hidden_dim=config["sale_hidden_dim"],
            normaliser=config["normaliser"],
            **self.agent_arguments(),
        )
        if config["sale_encoders"] == "fixed":
            for parameter in agent.sale.encoder_parameters():
                parameter.requires_grad_(False)
        return agent

    def setup_training(self) -> None:
        config = self.model_config
        state_size = self.state_size if config["use_global_state"] else 0
        if config["use_world_model"]:
            self.world_model = self._make_world_model()
            self.aggregator = RolloutAggregator(
                config["rollout_aggregation"],
                self.world_model.joint_dim,
                config["rollout_horizon"],
                self.state_size,
            )
            state_size += self.aggregator.out_size
        self.mixer = self.make_mixer(state_size)
        if config["use_sale"] and config["sale_encoders"] == "fixed":
            self.learned_sale = frozen_copy(self.agent.sale).requires_grad_(True)
            self.learned_sale.phi.requires_grad_(False)
            self.learned_sale.phi_norm.requires_grad_(False)
        self.target_agent = frozen_copy(self.agent)
        self.target_mixer = frozen_copy(self.mixer)
        if config["use_world_model"]:
            self.target_aggregator = frozen_copy(self.aggregator)
        self.noise = torch.Generator()

    def _make_world_model(self) -> WorldModel:
        config = self.model_config
        return WorldModel(
            num_agents=self.num_agents,
            num_actions=self.num_actions,
            obs_size=self.obs_size,
            hidden_dim=config["hidden_dim"],
            latent_dim=config["latent_dim"],
            action_embed_dim=config["action_embed_dim"],
            width=config["world_model_dim"],
            normaliser=config["normaliser"],
            use_sale=config["use_sale"],
            posterior_sees_obs=config["posterior_sees_obs"],
            rollout_latent=config["rollout_latent"],
        )

    def get_non_inference_attributes(self) -> list[str]:
        own = ["world_model", "aggregator", "target_aggregator", "learned_sale"]
        return [*super().get_non_inference_attributes(), *own]

    def target_pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        """The shared ones, the roll-out aggregator, and the encoders that act (TD7).

        The order matters: the target agent takes over the encoders that acted so far, then
        the acting ones take over what was learned since.
        """
        pairs = super().target_pairs()
        if self.model_config["use_world_model"]:
            pairs.append((self.aggregator, self.target_aggregator))
        if self.model_config["use_sale"] and self.model_config["sale_encoders"] == "fixed":
            learned, acting = self.learned_sale, self.agent.sale
            pairs += [(learned.f, acting.f), (learned.f_norm, acting.f_norm)]
            pairs += [(learned.g, acting.g)]
        return pairs

    def seed_noise(self, seed: int) -> None:
        """Seeds the latents drawn in the next forward pass."""
        device = self.agent.input.weight.device
        if self.noise.device != device:
            self.noise = torch.Generator(device)
        self.noise.manual_seed(seed)

    # Training.

    def mixer_states(
        self, batch: dict[str, Any], online: Unrolled
    ) -> tuple[Tensor, Tensor, dict[str, Any]]:
        """[s_t (No-GS drops it) ; s_t^Rollout (No-WM drops it)], section 4.4."""
        config = self.model_config
        extra: dict[str, Any] = {}
        if config["use_sale"]:
            extra[SALE_OBS] = self._sale_of_observations(batch)
        states, next_states = [], []
        if config["use_global_state"]:
            states.append(batch[STATE][:, :-1])
            next_states.append(batch[STATE][:, 1:])
        if config["use_world_model"]:
            outputs = extra[MODEL] = self._forward_model(batch, online)
            states.append(self.aggregator(outputs.rollout[:, :-1]))
            with torch.no_grad():
                next_states.append(self.target_aggregator(outputs.rollout[:, 1:]))
        return torch.cat(states, -1), torch.cat(next_states, -1), extra

    def _sale_of_observations(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """(z^oa (B, T, N, E), z^o (B, T+1, N, E)) with gradient into f and g."""
        fixed = self.model_config["sale_encoders"] == "fixed"
        sale: SaleEncoder = self.learned_sale if fixed else self.agent.sale
        z = sale.encode(batch[OBS])
        z_a = sale.encode_action(z[:, :-1], self.agent.one_hot(batch[ACTIONS]))
        return z_a, z

    def _forward_model(self, batch: dict[str, Any], online: Unrolled) -> ModelOutputs:
        """Posterior, prior, decoders and imagination for every step (Figure 2)."""
        config, model = self.model_config, self.world_model
        obs, actions = batch[OBS], batch[ACTIONS]
        hidden = online.hidden if config["model_gradient_to_agent"] else online.hidden.detach()
        if self.training:
            mask = observation_mask(batch[LOSS_MASK])
            model.hidden_scale.update(hidden.detach(), mask)
            model.obs_scale.update(obs, mask)
        posterior = model.posterior(hidden, obs)
        latent = posterior.sample(self.noise)
        embeddings = model.embed(latent[:, :-1], actions)
        prior = model.prior(F.pad(embeddings, (0, 0, 1, 0)))  # zeros before the first step
        decoded = [model.decode(latent), model.decode(prior.sample(self.noise))]
        flows = config["td_gradient_to_world_model"]
        with torch.set_grad_enabled(flows and torch.is_grad_enabled()):
            rollout = model.imagine(
                self.agent,
                hidden.detach(),
                obs,
                batch[ACTION_MASK],
                config["rollout_horizon"],
                sample=config["sample_rollout"],
                generator=self.noise,
            )
        sale = self._sale_of_latents(latent.detach(), actions)
        return ModelOutputs(hidden, posterior, prior, decoded, embeddings, sale, rollout)

    def _sale_of_latents(self, latent: Tensor, actions: Tensor) -> tuple[Tensor, Tensor] | None:
        """(z^sa (B, T, J), z^s (B, T+1, J)) with gradient into f_s and g_s alone."""
        model = self.world_model
        if model.sale is None:
            return None
        z = model.sale.encode(latent)
        action = model.embed_actions(actions).detach()
        return model.sale.encode_action(z[:, :-1], action), z
