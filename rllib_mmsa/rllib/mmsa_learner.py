"""MMSA's losses, one method per equation of section 4.4."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from ray.rllib.policy.sample_batch import MultiAgentBatch
from torch import Tensor

from env_registry.contract import OBS, TEAM
from rllib_mmsa.nets.beside import beside, two_threads
from rllib_mmsa.nets.kernels import kernels_for
from rllib_mmsa.nets.reduce import num_learners
from rllib_mmsa.nets.sale import sale_prediction_error
from rllib_mmsa.nets.world_model import Gaussian
from rllib_mmsa.rllib.batch import ACTIONS
from rllib_mmsa.rllib.compiled_losses import CompiledLosses, are_compiled
from rllib_mmsa.rllib.learner import QLearner
from rllib_mmsa.rllib.mmsa_modules import MODEL, SALE_OBS
from rllib_mmsa.rllib.model_data import ModelInputs, ModelOutputs, SaleOutputs
from rllib_mmsa.rllib.model_quality import model_quality, prediction_errors
from rllib_mmsa.td import StepMean, gaussian_kl, kl_shares, squared_error, standard_normal_kl


class MMSALearner(QLearner):
    """L_total = L_KL + L_REC + L_TD + L(f, g), each with a weight (1 in the paper)."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self._model_quality: dict[str, Tensor] = {}
        self._compiled_losses: CompiledLosses | None = None  # made when it is first asked

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict, fwd_out: dict
    ) -> Tensor:
        """The weighted sum of the losses, a scalar."""
        return self.td_loss(config, batch, fwd_out) + self.model_loss(config, fwd_out)

    def model_loss(self, config: Any, fwd_out: dict) -> Tensor | float:
        """The weighted sum of all losses but L_TD, a scalar; 0 where there is none."""
        total: Tensor | float = 0.0
        if SALE_OBS in fwd_out:
            total = total + config.sale_weight * self.sale_loss_observations(fwd_out)
        if MODEL in fwd_out:
            outputs: ModelOutputs = fwd_out[MODEL]
            total = total + config.kl_weight * self.kl_loss(config, outputs)
            total = total + config.reconstruction_weight * self.reconstruction_loss(config, outputs)
            if outputs.sale is not None:
                total = total + config.sale_weight * self.sale_loss_latents(outputs)
            if outputs.policy is not None:
                total = total + config.policy_weight * self.policy_loss(outputs)
            self._measure_model(config, outputs)
        return total

    def _learn_model(self, inputs: ModelInputs) -> tuple[Tensor, dict[Any, Tensor]]:
        """The model losses apart from L_TD: their sum, and gradients of what they reach."""
        compiled = self.team_module.compiled_losses
        if compiled is not None:
            loss, losses, found = compiled(inputs)
            self.log_tensors({**losses, **self._model_quality})
            names = {id(parameter): name for name, parameter in self._params.items()}
            learned = zip(compiled.parameters, found, strict=True)
            return loss, {names[id(parameter)]: gradient for parameter, gradient in learned}
        config = self.config.get_config_for_module(TEAM)
        loss = self.model_loss(config, self.team_module.forward_model(inputs))
        gradients = torch.autograd.grad(loss, list(self._params.values()), allow_unused=True)
        reached = zip(self._params, gradients, strict=True)
        return loss.detach(), {name: grad for name, grad in reached if grad is not None}

    def compute_gradients(self, loss_per_module: dict, **kwargs: Any) -> dict:
        """The parent's, and those of the model losses where they are learned from apart."""
        module = self.team_module
        inputs, module.model_inputs = module.model_inputs, None
        if inputs is None:
            return super().compute_gradients(loss_per_module, **kwargs)
        # Not before: going backwards, this thread leaves Python to the other one.
        learned = beside(lambda: self._learn_model(inputs()))
        gradients = super().compute_gradients(loss_per_module, **kwargs)
        loss, others = learned()
        loss_per_module[TEAM] = loss_per_module[TEAM].detach() + loss
        return {**gradients, **others}

    def _measures_model(self, config: Any) -> bool:
        return self._num_updates % config.model_quality_interval == 0

    def _measure_model(self, config: Any, outputs: ModelOutputs) -> None:
        """The quality of the world model, at intervals."""
        if self._measures_model(config):
            horizon = config.rollout_horizon
            self._model_quality = model_quality(self.team_module, outputs, horizon)
        self.log_tensors(self._model_quality)

    def kl_loss(self, config: Any, outputs: ModelOutputs) -> Tensor:
        """L_KL = KL[prior || N(0, I)] + balanced KL[posterior || prior].

        Means over batch, time and latent dimensions. ``free_bits`` is the KL (nats per
        dimension) below which a dimension is left alone.
        """
        prior, posterior = outputs.prior, outputs.posterior
        prior_kl = outputs.observation_mean(standard_normal_kl(*prior))
        balanced = self._balanced_kl(config, outputs.observation_mean, posterior, prior)
        self.log_tensors({"kl_prior_loss": prior_kl, "kl_balanced_loss": balanced})
        return config.kl_prior_weight * prior_kl + balanced

    @staticmethod
    def _balanced_kl(config: Any, mean: StepMean, posterior: Gaussian, prior: Gaussian) -> Tensor:
        """alpha KL[q || sg(p)] + (1 - alpha) KL[sg(q) || p], or which side alpha is on.

        ``kl_balance="posterior"`` is the equation as printed; ``"prior"`` (default) puts alpha
        on the term that trains the prior, as its prose and DreamerV2 do; None is No-KLB.
        """
        if config.kl_balance is not None:
            # The two terms differ in who gets a gradient alone: one, with each side's gradient
            # scaled, is their sum.
            of_posterior, of_prior = kl_shares(config.kl_balance, config.kl_balance_alpha)
            posterior = posterior.scale_gradient(of_posterior)
            prior = prior.scale_gradient(of_prior)
        per_latent = mean.weights @ gaussian_kl(*posterior, *prior)  # (J,)
        return per_latent.clamp(min=config.free_bits).mean()

    def reconstruction_loss(self, config: Any, outputs: ModelOutputs) -> Tensor:
        """L_REC = MSE(z^sa) + MSE(z^s) + MSE(phi^sa) + MSE(h), and the heads of Eq. 1.

        Targets are detached. Samples of both VAEs are decoded, each in half of the steps. h and
        o are standardised first.
        """
        model, decoded = self.team_module.world_model, outputs.decoded
        mean = outputs.observation_mean
        hidden = model.hidden_scale(outputs.inputs.hidden)
        obs = model.obs_scale(outputs.inputs.obs)
        mask_errors = F.binary_cross_entropy_with_logits(
            decoded.mask_logits, outputs.legal, reduction="none"
        )
        embedding_errors = squared_error(decoded.embeddings, outputs.embeddings)
        # Three MSEs of one size each are three times the MSE of the three side by side.
        parts = 3.0 if model.sale is not None else 1.0
        losses = {
            "embeddings": parts * outputs.step_mean(embedding_errors),
            "hidden": mean(squared_error(decoded.hidden, hidden)),
            "obs": mean(squared_error(decoded.obs, obs)),
            "mask": mean(mask_errors),
        }
        self.log_tensors({f"reconstruction_{name}_loss": loss for name, loss in losses.items()})
        return (
            losses["embeddings"]
            + config.hidden_weight * losses["hidden"]
            + config.observation_weight * losses["obs"]
            + config.observation_weight * losses["mask"]
        )

    def sale_loss_latents(self, outputs: ModelOutputs) -> Tensor:
        """L(f, g) = (g(f(s_t), a_t) - sg(f(s_{t+1})))^2 for the world model's encoders."""
        loss = self._sale_loss(outputs.sale)
        self.log_tensors({"sale_latent_loss": loss})
        return loss

    def sale_loss_observations(self, fwd_out: dict) -> Tensor:
        """The same loss for the agents' encoders, on observations (section 4.2)."""
        loss = self._sale_loss(fwd_out[SALE_OBS])
        self.log_tensors({"sale_observation_loss": loss})
        return loss

    @staticmethod
    def _sale_loss(sale: SaleOutputs) -> Tensor:
        return sale.mean(sale_prediction_error(sale.z_a, sale.z, sale.packing))

    def policy_loss(self, outputs: ModelOutputs) -> Tensor:
        """-log pi(a_t), a_t the agents' greedy actions: the imagination's policy follows them.

        Section 4.4 has no loss for the policy network of section 4.2.
        """
        mean = outputs.observation_mean
        logits, actions = outputs.policy, outputs.inputs.greedy
        errors = F.cross_entropy(logits.flatten(0, -2), actions.flatten(), reduction="none")
        loss = mean(errors.view_as(actions))
        same = (logits.argmax(-1) == actions).to(errors.dtype)
        self.log_tensors({"policy_loss": loss, "policy_agreement": mean(same)})
        return loss

    def before_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        super().before_gradient_based_update(timesteps=timesteps)
        # Noise derived from the update's number: a resumed run draws what it would have drawn.
        self.team_module.seed_noise((self.config.seed or 0) * 1_000_003 + self._num_updates)
        module = self.team_module
        module.learns_model = self._num_updates % self.config.model_updates_every == 0
        # A learner among several finds out what it shares with them in one pass.
        alone = module.model_stands_alone and num_learners() == 1
        module.compiled_losses = self._losses_for_this_update() if alone else None
        module.learns_apart = alone and (module.compiled_losses is not None or two_threads())

    def _losses_for_this_update(self) -> CompiledLosses | None:
        """The model losses, compiled; None where PyTorch is to compute them."""
        config = self.config.get_config_for_module(TEAM)
        kernels = kernels_for(self.team_module.agent.input.weight, with_gradient=True)
        if kernels is None or not are_compiled(config) or self._measures_model(config):
            return None
        if self._compiled_losses is None:
            self._compiled_losses = CompiledLosses(kernels, self.team_module, config)
        return self._compiled_losses

    @torch.no_grad()
    def prediction_errors(self, batch: MultiAgentBatch) -> dict[str, float]:
        """Errors of the world model on a batch that is not learned from (model_quality.py)."""
        fields = self._convert_batch_type(batch).policy_batches[TEAM]
        fields = self.team_module.scale_inputs(fields)
        hidden = self.team_module.agent.unroll(fields[OBS], fields[ACTIONS])
        horizon = self.config.rollout_horizon
        errors = prediction_errors(self.team_module, fields, hidden, horizon)
        return {name: error.item() for name, error in errors.items()}
