"""One update, from a batch of episodes to everything that its losses need.

``forward`` is the algorithm: read it first. ``losses.py`` has the equations of section 4.4 on what
it returns, and the engine (``rllib_mmsa/engine``) takes the gradient of their weighted sum.

Shapes: B episodes, T steps of the longest, N agents, A actions, D observation numbers, S state
numbers, H hidden size, M mixed values (1 with a mixer, N without), K roll-out horizon, J numbers of
the joint latent, E embedding size. An episode of L steps has L + 1 observations; what lies behind
its end is padding, which ``loss_mask`` leaves out of every mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rllib_mmsa.method import uses
from rllib_mmsa.method.mixers import RolloutAggregator
from rllib_mmsa.method.networks import TeamNetworks
from rllib_mmsa.method.qplex import mix
from rllib_mmsa.method.reduce import own_share
from rllib_mmsa.method.settings import MMSASettings, Settings
from rllib_mmsa.method.targets import StepMean, legal_values, td_targets
from rllib_mmsa.method.world_model import Decoded, Foretold, Gaussian, WorldModel


class Batch(NamedTuple):
    """The fields of a batch (rllib_mmsa/rllib/batch.py has the table), as tensors of one device.

    Attributes:
        obs: (B, T+1, N, D).
        action_mask: (B, T+1, N, A).
        state: (B, T+1, S).
        actions: (B, T, N) int64.
        rewards: (B, T).
        terminated: (B, T) bool.
        truncated: (B, T) bool.
        loss_mask: (B, T), 1 on the steps to learn from.
    """

    obs: Tensor
    action_mask: Tensor
    state: Tensor
    actions: Tensor
    rewards: Tensor
    terminated: Tensor
    truncated: Tensor
    loss_mask: Tensor

    @classmethod
    def of(cls, fields: Mapping[str, Tensor]) -> Batch:
        """The fields by their names; others are left out."""
        return cls(*(fields[name] for name in cls._fields))

    def every(self, nth: int) -> Batch:
        """Every ``nth`` episode, beginning with the first."""
        return Batch(*(values[::nth] for values in self))

    def ended(self, settings: Settings) -> Tensor:
        """(B, T) bool: the steps after which nothing is to come (``bootstrap_truncated``)."""
        if settings.bootstrap_truncated:
            return self.terminated
        return self.terminated | self.truncated

    @property
    def read_mask(self) -> Tensor:
        """(B, T+1): 1 on the observations around the steps to learn from."""
        return torch.maximum(F.pad(self.loss_mask, (0, 1)), F.pad(self.loss_mask, (1, 0)))


class SaleStep(NamedTuple):
    """Embeddings that L(f, g) goes over, with gradient into f and g alone.

    Attributes:
        z: (B', T+1, ..., E), f of each observation or latent.
        z_a: (B', T, ..., E), g of it and the action taken.
    """

    z: Tensor
    z_a: Tensor


class ModelStep(NamedTuple):
    """What the world model says of its share of the batch, B' episodes.

    Attributes:
        batch: that share.
        hidden: h_t, (B', T+1, N, H), detached.
        greedy: u_t, (B', T+1, N) int64.
        posterior: q(s_t | h_t), (B', T+1, J).
        priors: each p(s_t | ...), (B', T+1, J).
        embeddings: (z^sa, z^s, phi^sa)_t of the actions taken, (B', T, F).
        decoded: from samples of the posterior and of the prior in turn, (B', T+1, ...).
        policy: pi on the same samples, logits (B', T+1, N, A).
        sale: of the latents; None without SALE.
        foretold: along the actions taken; None where nothing learns from it.
    """

    batch: Batch
    hidden: Tensor
    greedy: Tensor
    posterior: Gaussian
    priors: list[Gaussian]
    embeddings: Tensor
    decoded: Decoded
    policy: Tensor
    sale: SaleStep | None
    foretold: Foretold | None


class Step(NamedTuple):
    """What the losses of one update need.

    Attributes:
        q_tot: Q_tot of the actions taken, (B, T, M), with gradient.
        target: y^tot, (B, T, M), without.
        steps: the mean over the steps to learn from.
        networks: whose update it is.
        next_q_tot: V_{t+1} of the target networks, (B, T, M).
        share_steps: the mean over the steps to learn from of the model's share.
        share_observations: the mean over the observations around them.
        sale: of the agents' observations; None without SALE.
        own: what agents foretell of their next embeddings, (B', T, N, E), or None.
        model: None without a world model.
    """

    q_tot: Tensor
    target: Tensor
    steps: StepMean
    networks: TeamNetworks
    next_q_tot: Tensor | None = None
    share_steps: StepMean | None = None
    share_observations: StepMean | None = None
    sale: SaleStep | None = None
    own: Tensor | None = None
    model: ModelStep | None = None


def forward(
    nets: TeamNetworks, batch: Batch, settings: Settings, noise: Tensor | None = None
) -> Step:
    """One update of MMSA, QMIX, VDN or independent Q-learning, up to its losses.

    Args:
        nets: the networks that learn and their target networks.
        batch: what was played; observations and states as the networks read them.
        noise: (2, B', T+1, J) standard normal, for the latents of posterior and prior.
    """
    o, s, a, legal = batch.obs, batch.state, batch.actions, batch.action_mask

    # Agents (section 4.2): hidden states, the values of the actions taken, greedy actions.
    h = nets.agent.unroll(o, a)
    q = nets.agent.q_value(h[:, :-1], o[:, :-1], a)
    values = legal_values(nets.agent, h, o, legal)
    u = values.argmax(-1)

    # Target agents: the value of the online agents' greedy actions, or their own maximum.
    with torch.no_grad():
        h_target = nets.target_agent.unroll(o, a)
        if settings.double_q:
            u_target, q_target = u, nets.target_agent.q_value(h_target, o, u)
        else:
            q_target, u_target = legal_values(nets.target_agent, h_target, o, legal).max(-1)

    # Imagination (section 4.3): roll-outs from every step, by target networks, for both mixers.
    rollout = None
    if isinstance(settings, MMSASettings) and settings.has_model:
        rollout = nets.target_world_model.imagine(h_target, o, u_target, settings.rollout_horizon)
    elif settings.reads_more:  # the control "hidden"
        rollout = h_target.flatten(-2).unsqueeze(-2)

    # Mixers and target (section 4.4): Q_tot(q, [s ; s^Rollout]) and y^tot.
    read = uses.gate(nets, rollout, u_target) if settings.gate_rollout else rollout
    state = mixer_state(nets.aggregator, s, read, settings)[:, :-1]
    q_tot = mix(nets.mixer, q, state, a, lambda: values[:, :-1])
    with torch.no_grad():
        state = mixer_state(nets.target_aggregator, s, read, settings)[:, 1:]
        every = lambda: legal_values(nets.target_agent, h_target, o, legal)[:, 1:]  # noqa: E731
        next_q_tot = mix(nets.target_mixer, q_target[:, 1:], state, u_target[:, 1:], every)
        reached = uses.expand(nets, batch, rollout, u_target, next_q_tot)
        ended, returns = batch.ended(settings), (settings.gamma, settings.td_lambda)
        y = td_targets(batch.rewards, ended, reached, *returns, batch.loss_mask, batch.truncated)

    step = Step(q_tot, y, StepMean(batch.loss_mask), nets, next_q_tot)
    return step if not isinstance(settings, MMSASettings) else add_model(step, batch, h, u, noise)


def add_model(step: Step, batch: Batch, h: Tensor, u: Tensor, noise: Tensor | None) -> Step:
    """The world model and the encoders of an update, which learn from a share of the episodes.

    The model losses move neither ``h`` nor ``u``, the agents' hidden states and greedy actions.
    """
    nets = step.networks
    settings: MMSASettings = nets.settings
    share, every = batch.every(settings.share_every), settings.share_every
    means = StepMean(share.loss_mask), StepMean(share.read_mask)
    step = step._replace(share_steps=means[0], share_observations=means[1])
    if settings.use_sale:
        step = step._replace(sale=embed_observations(nets, share))
    if settings.foretells_own:
        step = step._replace(own=uses.foretell_own(nets, share, h[::every]))
    if settings.has_model:
        hidden, greedy = h[::every].detach(), u[::every]
        step = step._replace(model=unroll_model(nets, share, hidden, greedy, noise))
    return step


def mixer_state(
    aggregator: RolloutAggregator | None, s: Tensor, rollout: Tensor | None, settings: Settings
) -> Tensor:
    """[s_t (No-GS drops it) ; s_t^Rollout (No-WM drops it)], (B, T+1, ...) (section 4.4)."""
    parts = [s] if settings.use_global_state else []
    if aggregator is not None and rollout is not None:
        parts.append(aggregator(rollout))
    return torch.cat(parts, -1)


def embed_observations(nets: TeamNetworks, share: Batch) -> SaleStep:
    """z^o and z^oa of the observations, by the encoders that learn (section 4.2)."""
    z, one_hot = nets.learned_sale.encode(share.obs), nets.agent.one_hot(share.actions)
    return SaleStep(z, nets.learned_sale.encode_action(z[:, :-1], one_hot))


def unroll_model(
    nets: TeamNetworks, share: Batch, h: Tensor, u: Tensor, noise: Tensor | None
) -> ModelStep:
    """Posterior, prior and decoders at every step of the share (Figure 2).

    At t = 0 the prior reads zeros.
    """
    if noise is None:
        raise ValueError("a world model learns from noise (2, B', T+1, J), which is missing")
    model, o, a = nets.world_model, share.obs, share.actions
    if nets.training:
        model.hidden_scale.update(h, share.read_mask)
        model.obs_scale.update(o, share.read_mask)
    posterior, latent, embeddings, priors = believe(model, share, h, noise[0])
    prior = uses.mixture(priors)

    # A sample of each VAE is decoded in every second step: half the price of both everywhere.
    sample = torch.where(_chequered(latent), latent, prior.sample(noise[1]))
    decoded, policy = model.decode(sample), model.policy(sample)
    sale = None
    if model.sale is not None:
        z = model.sale.encode(latent.detach())
        z_a = model.sale.encode_action(z[:, :-1], model.embed_actions(a).detach())
        sale = SaleStep(z, z_a)
    foretold = None
    if nets.settings.foretells:
        after, horizon = prior.mean[:, 1:], nets.settings.rollout_horizon
        foretold = model.follow(latent[:, :-1], after, a, horizon)
    made = posterior, priors, embeddings, decoded, policy, sale, foretold
    return ModelStep(share, h, u, *made)


def believe(
    model: WorldModel, share: Batch, h: Tensor, noise: Tensor
) -> tuple[Gaussian, Tensor, Tensor, list[Gaussian]]:
    """q(s_t | h_t), a sample of it, its embeddings with the action taken, and each p(s_t | ...)."""
    posterior = model.posterior(h, share.obs)
    latent = posterior.sample(noise)
    embeddings = model.embed(latent[:, :-1], share.actions)
    read = embeddings, latent[:, :-1], model.one_hot(share.actions)
    return posterior, latent, embeddings, model.priors(*map(_one_step_later, read))


def _one_step_later(x: Tensor) -> Tensor:
    """(B, T, ...) at t to (B, T+1, ...) at t + 1, zeros at the first step."""
    return F.pad(x, (0, 0, 1, 0))


def _chequered(latent: Tensor) -> Tensor:
    """Every second step of every episode, (B, T+1, 1) bool; odd episodes begin the other way.

    Episodes are counted over all learners, so that several do what one would.
    """
    steps = torch.arange(latent.shape[1], device=latent.device)
    count = own_share(latent[:, 0], lambda all_rows: torch.arange(len(all_rows)))
    return ((count.to(latent.device).unsqueeze(1) + steps) % 2 == 0).unsqueeze(-1)
