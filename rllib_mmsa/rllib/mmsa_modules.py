"""MMSA's module: SALE agents, world model and roll-out state around the shared Q module."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from env_registry.contract import ACTION_MASK, OBS
from rllib_mmsa.common.packed import Packed
from rllib_mmsa.nets.agents import RecurrentAgent
from rllib_mmsa.nets.aggregator import RolloutAggregator
from rllib_mmsa.nets.beside import at_once, beside, in_parts
from rllib_mmsa.nets.frozen_imagination import ROLLOUTS_AT_A_TIME, FrozenImagination
from rllib_mmsa.nets.packing import Packing
from rllib_mmsa.nets.sale import SaleEncoder
from rllib_mmsa.nets.sale_agents import SALE_AGENTS
from rllib_mmsa.nets.world_model import WorldModel, standard_normal
from rllib_mmsa.rllib.batch import ACTIONS, LOSS_MASK
from rllib_mmsa.rllib.model_data import (
    Imagined,
    ModelBatch,
    ModelInputs,
    ModelOutputs,
    SaleOutputs,
    chequered,
)
from rllib_mmsa.rllib.module import QModule, Unrolled, frozen_copy
from rllib_mmsa.td import StepMean

if TYPE_CHECKING:
    from rllib_mmsa.rllib.compiled_losses import CompiledLosses

#: Keys of what ``forward_train`` returns beside the shared ones.
SALE_OBS = "sale_obs"  # SaleOutputs of the agents' encoders
MODEL = "model"  # ModelOutputs


class MMSAModule(QModule):
    """Joint agent network with SALE, world model and a mixer that sees the roll-out."""

    def make_agent(self) -> RecurrentAgent:
        config = self.model_config
        if not config["use_sale"]:
            return super().make_agent()
        head = {}
        if config["sale_action"] == "candidate":
            head["sale_head_dim"] = config["sale_head_dim"]
        agent = SALE_AGENTS[config["sale_action"]](
            **head,
            sale_dim=config["sale_dim"],
            sale_hidden_dim=config["sale_hidden_dim"],
            normaliser=config["normaliser"],
            **self.agent_arguments(),
        )
        if self._fixes_encoders:
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
                config["rollout_state_dim"] or self.state_size,
            )
            state_size += self.aggregator.out_size
        self.mixer = self.make_mixer(state_size)
        if self._fixes_encoders:
            self.learned_sale = frozen_copy(self.agent.sale)
            for parameter in self.learned_sale.encoder_parameters():
                parameter.requires_grad_(True)
        self.target_agent = frozen_copy(self.agent)
        self.target_mixer = frozen_copy(self.mixer)
        if config["use_world_model"]:
            self.target_aggregator = frozen_copy(self.aggregator)
        if self._freezes_world_model:
            self.target_world_model = frozen_copy(self.world_model)
        self._frozen_imagination = self._freeze_imagination()
        self.noise = torch.Generator()
        # The learner says whether this update trains the world model, and whether it does so apart
        # from all else: then it finds here what that needs.
        self.learns_model, self.learns_apart = True, False
        self.model_inputs: Callable[[], ModelInputs] | None = None
        self.compiled_losses: CompiledLosses | None = None  # for this update; the learner sets it

    def _freeze_imagination(self) -> FrozenImagination | None:
        """The frozen model's imagination without Python, where nothing in it is drawn or asked."""
        config = self.model_config
        policy = config["imagined_actions"] == "policy"
        if not self._freezes_world_model or not policy or config["sample_rollout"]:
            return None
        return FrozenImagination(self.target_world_model, config["rollout_horizon"])

    @property
    def _fixes_encoders(self) -> bool:
        return self.model_config["use_sale"] and self.model_config["sale_encoders"] == "fixed"

    @property
    def _freezes_world_model(self) -> bool:
        config = self.model_config
        return config["use_world_model"] and config["rollout_model"] != "online"

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
            prior_residual=config["prior_residual"],
            prior_sees_latent=config["prior_sees_latent"],
            imagined_actions=config["imagined_actions"],
            rollout_latent=config["rollout_latent"],
        )

    def get_non_inference_attributes(self) -> list[str]:
        own = ["world_model", "aggregator", "learned_sale"]
        targets = ["target_world_model", "target_aggregator"]
        return [*super().get_non_inference_attributes(), *own, *targets]

    def target_pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        """The shared ones, world model, roll-out aggregator, and the encoders that act (TD7).

        The order matters: the target agent takes over the encoders that acted so far, then
        the acting ones take over what was learned since.
        """
        pairs = super().target_pairs()
        if self.model_config["use_world_model"]:
            pairs.append((self.aggregator, self.target_aggregator))
        if self._freezes_world_model:
            pairs.append((self.world_model, self.target_world_model))
        if self._fixes_encoders:
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

    def look_ahead(self, obs: Tensor, online: Unrolled, target: Unrolled) -> Imagined | None:
        """The roll-outs that the mixers read.

        ``rollout_model`` says whose imagination each reads. Where it is the same one's, one
        imagination serves both: that of step t+1 is the target's at step t.
        """
        kind = self.model_config["rollout_model"]
        if not self.model_config["use_world_model"]:
            return None
        if kind == "own":
            live = self._imagine(obs, online, frozen=False)
            return Imagined(live, self._imagine(obs, target, frozen=True))
        frozen = kind == "target"
        rollouts = self._imagine(obs, target if frozen else online, frozen)
        return Imagined(rollouts, rollouts)

    def mixer_state(
        self, batch: dict[str, Any], packed: Packed, read: Imagined | None
    ) -> tuple[Tensor, ...]:
        """s_t (No-GS drops it) and s_t^Rollout (No-WM drops it), section 4.4."""
        rollout = None if read is None else packed.starts(self.aggregator(read.rollouts))
        return self._augmented(super().mixer_state(batch, packed, read), rollout)

    def next_mixer_state(
        self, batch: dict[str, Any], packed: Packed, read: Imagined | None
    ) -> tuple[Tensor, ...]:
        """The same where steps end, for the target mixer."""
        rollout = None
        if read is not None:
            rollout = packed.ends(self.target_aggregator(read.next_rollouts))
        return self._augmented(super().next_mixer_state(batch, packed, read), rollout)

    def _augmented(self, state: tuple[Tensor, ...], rollout: Tensor | None) -> tuple[Tensor, ...]:
        parts = state if self.model_config["use_global_state"] else ()
        return parts if rollout is None else (*parts, rollout)

    @property
    def model_stands_alone(self) -> bool:
        """Whether what the model losses need and move is read and moved by nothing else."""
        config = self.model_config
        return (
            (config["use_sale"] or config["use_world_model"])
            and config["rollout_model"] == "target"
            and not config["model_gradient_to_agent"]
            and not config["sample_rollout"]  # one source of noise for both
        )

    def prepare_more(self, batch: dict[str, Any], packed: Packed) -> Callable[[], Any]:
        """What the model losses need of the batch alone, made while the GRU runs."""
        return beside(lambda: self._share(batch, packed)) if self.learns_model else lambda: None

    def _share(self, batch: dict[str, Any], packed: Packed) -> tuple[ModelBatch, Any]:
        """The episodes that the model losses go over, and what compiled ones make of them."""
        every = round(1 / self.model_config["model_batch_share"])
        some = {name: values[::every] for name, values in batch.items()}
        rows = (packed.episode % every == 0).nonzero().squeeze(1)
        own = Packed(some[LOSS_MASK])
        share = ModelBatch(some, own, rows, own.pack(some[OBS]), own.pack_steps(some[ACTIONS]))
        compiled = self.compiled_losses
        return share, None if compiled is None else compiled.prepare(share)

    def learn_more(
        self, packed: Packed, hidden: Tensor, greedy: Tensor, prepared: Callable[[], Any]
    ) -> dict[str, Any]:
        """What the model losses need; nothing where they are learned from apart."""
        if not self.learns_model:
            return {}
        inputs = partial(self._model_inputs, packed, hidden, greedy, prepared)
        if not self.learns_apart:
            return self.forward_model(inputs())
        self.model_inputs = inputs
        return {}

    def _model_inputs(
        self, packed: Packed, hidden: Tensor, greedy: Tensor, prepared: Callable[[], Any]
    ) -> ModelInputs:
        """The share's, of hidden states (P, N, H) and greedy actions (R, N) of the whole batch."""
        (some, own, rows, obs, actions), of_losses = prepared()
        if not self.model_config["model_gradient_to_agent"]:
            hidden = hidden.detach()
        read = hidden[rows], packed.unpick_read(greedy)[rows]
        return ModelInputs(some, own, obs, actions, *read, of_losses)

    def forward_model(self, inputs: ModelInputs) -> dict[str, Any]:
        """What the losses of the world model and of SALE need: ``SALE_OBS`` and ``MODEL``."""
        packed = inputs.packed
        ends = packed.packing, StepMean(packed.packing.before(packed.learned))
        outputs: dict[str, Any] = {}
        if self.model_config["use_sale"]:
            of_obs = self._sale_of_observations(inputs.obs, inputs.actions)
            outputs[SALE_OBS] = SaleOutputs(*of_obs, *ends)
        if self.model_config["use_world_model"]:
            outputs[MODEL] = self._forward_model(inputs, *ends)
        return outputs

    def _sale_of_observations(self, obs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """z^oa and z^o, (P, N, E), with gradient into f and g."""
        z = self.learning_sale.encode(obs)
        return self.learning_sale.encode_action(z, self.agent.one_hot(actions)), z

    @property
    def learning_sale(self) -> SaleEncoder:
        """The encoders of observations that learn."""
        return self.learned_sale if self._fixes_encoders else self.agent.sale

    def _forward_model(
        self, inputs: ModelInputs, packing: Packing, sale_mean: StepMean
    ) -> ModelOutputs:
        """Posterior, prior and decoders for every step (Figure 2)."""
        model, packed, hidden = self.world_model, inputs.packed, inputs.hidden
        obs, actions = inputs.obs, inputs.actions
        if self.training:
            model.hidden_scale.update(hidden.detach(), packed.read)
            model.obs_scale.update(obs, packed.read)
        posterior = model.posterior(hidden, obs)
        latent = posterior.sample(self.latent_noise(packed))
        sale = self._sale_of_latents(latent.detach(), actions)
        z_a, z = (None, None) if sale is None else (part.detach() for part in sale)
        embeddings = torch.cat(model.embed(latent, actions, z, z_a), -1)
        # Zeros before the first step.
        prior = model.prior((packing.shift(embeddings),), packing.shift(latent))
        # Each sample would be half of every loss below; taken in turn, it is so on average.
        first = packed.pack(chequered(inputs.batch[LOSS_MASK]))
        latents = torch.where(first, latent, prior.sample(self.latent_noise(packed)))
        return ModelOutputs(
            inputs=inputs,
            legal=packed.pack(inputs.batch[ACTION_MASK]).to(obs.dtype),
            posterior=posterior,
            prior=prior,
            decoded=model.decode(latents),
            embeddings=embeddings,
            sale=None if sale is None else SaleOutputs(*sale, packing, sale_mean),
            policy=model.policy(latents) if model.imagined_actions == "policy" else None,
            step_mean=StepMean(packed.learned),
            observation_mean=StepMean(packed.read),
        )

    def latent_noise(self, packed: Packed) -> Tensor:
        """Standard normal numbers for the latents of P observations, (P, J).

        Drawn with those of the padding: several learners then have what one would.
        """
        like = packed.learned.new_empty(*packed.shape, self.world_model.joint_dim)
        return packed.pack(standard_normal(like, self.noise))

    def _imagine(self, obs: Tensor, agents: Unrolled, frozen: bool) -> Tensor:
        """The roll-outs that begin at R observations, (R, K+1, J)."""
        config = self.model_config
        model, agent = self.world_model, self.agent
        if frozen:
            model, agent = self.target_world_model, self.target_agent
        flows = config["td_gradient_to_world_model"] and torch.is_grad_enabled() and not frozen
        horizon, sample = config["rollout_horizon"], config["sample_rollout"]
        read = agents.hidden.detach(), obs, agents.greedy
        if frozen and self._frozen_imagination is not None:
            with torch.no_grad():
                return self._frozen_imagination(*read)

        def imagine(part: tuple[Tensor, ...]) -> Tensor:
            with torch.set_grad_enabled(flows):
                return model.imagine(
                    *part, horizon=horizon, agent=agent, sample=sample, generator=self.noise
                )

        if sample:  # in one go: the noise has an order
            return imagine(read)
        return torch.cat(at_once(imagine, in_parts(read, ROLLOUTS_AT_A_TIME)))

    def _sale_of_latents(self, latent: Tensor, actions: Tensor) -> tuple[Tensor, Tensor] | None:
        """z^sa and z^s, (P, J), with gradient into f_s and g_s alone."""
        model = self.world_model
        if model.sale is None:
            return None
        z = model.sale.encode(latent)
        return model.sale.encode_action(z, model.embed_actions(actions).detach()), z
