"""The world model: a posterior VAE, a prior VAE and imagination in latent space (section 4.3).

Training only; it is never shipped to the actors. Shapes: B episodes, T steps, N agents, A actions,
D observation numbers, H hidden size of the agents, L latent numbers per agent, J = N L (the joint
latent), F size of the embeddings that the prior reads, K roll-out horizon.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rllib_mmsa.method.sale import MAKE_NORMALISER, SaleEncoder, perceptron
from rllib_mmsa.method.settings import MMSASettings
from rllib_mmsa.method.standardiser import Standardiser
from rllib_mmsa.method.targets import ahead
from rllib_mmsa.method.uses import mixture

#: Width of the hidden layer that foretells rewards and ends.
OUTCOME_DIM = 64
#: Range of a latent's log deviation.
LOG_STD_RANGE = (-5.0, 2.0)


class Gaussian(NamedTuple):
    """A diagonal Gaussian over joint latents, mean and log_std (..., J)."""

    mean: Tensor
    log_std: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """A reparameterised sample, (..., J), of standard normal noise (..., J)."""
        return self.mean + self.log_std.exp() * noise

    def scale_gradient(self, scale: float) -> Gaussian:
        """The same distribution, whose gradient is ``scale`` times what it would be."""
        return Gaussian(*(torch.lerp(value.detach(), value, scale) for value in self))


class Decoded(NamedTuple):
    """What a joint latent is decoded into.

    Attributes:
        embeddings: (..., F), VAE-1's decoder: (z^sa, z^s, phi^sa) of this step.
        hidden: (..., N, H), VAE-2's decoder, in standardised units.
        obs: (..., N, D), observation head, in standardised units.
        mask_logits: (..., N, A), action-mask head.
    """

    embeddings: Tensor
    hidden: Tensor
    obs: Tensor
    mask_logits: Tensor


class Foretold(NamedTuple):
    """What was foretold at step t of step t + k: entry [:, t, k - 1], k = 1..K.

    Attributes:
        obs: (B, T, K, N, D), in standardised units.
        rewards: (B, T, K), of the step that leads there.
        ends: (B, T, K), logits that the episode ends with that step.
    """

    obs: Tensor
    rewards: Tensor
    ends: Tensor


class ResidualNet(nn.Module):
    """Linear(x) + perceptron(x).

    Most of what these networks carry over (positions, levels, hidden states) is linear in their
    input; the linear path halves the error of one-step predictions after 500 updates.
    """

    def __init__(self, inputs: int, width: int, outputs: int, hidden_layers: int = 1):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.correction = perceptron(inputs, width, outputs, hidden_layers)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        return self.linear(x) + self.correction(x)


class WorldModel(nn.Module):
    """Posterior q(s_t | h_t), prior p(s_t | z^sa, z^s, phi^sa of t-1) and their decoders.

    Args:
        num_agents: N.
        num_actions: A.
        obs_size: D.
        settings: sizes, ``use_sale`` (False: the prior reads [s ; e(a)]), ``world_model_form``.
    """

    def __init__(self, num_agents: int, num_actions: int, obs_size: int, settings: MMSASettings):
        super().__init__()
        self.num_agents, self.num_actions, self.obs_size = num_agents, num_actions, obs_size
        self.hidden_dim, self.latent_dim = settings.hidden_dim, settings.latent_dim
        self.residual = settings.world_model_form != "printed"
        self.prior_reads_actions = settings.world_model_form == "direct"
        width, normaliser = settings.world_model_dim, settings.normaliser
        dynamics = {"width": settings.dynamics_dim, "hidden_layers": settings.dynamics_layers}
        joint = self.joint_dim = num_agents * settings.latent_dim
        actions = num_agents * settings.action_embed_dim
        self.action_embedding = nn.Linear(num_actions, settings.action_embed_dim, bias=False)
        self.sale = (
            SaleEncoder(joint, actions, joint, width, normaliser) if settings.use_sale else None
        )
        self.embeddings_dim = 3 * joint if settings.use_sale else joint + actions
        seen = self.hidden_dim + obs_size * self.residual
        self.posterior_net = ResidualNet(seen, outputs=2 * self.latent_dim, **dynamics)
        self.prior_reads_latent = self.residual and settings.use_sale  # else the embeddings hold it
        prior_inputs = self.embeddings_dim + joint * self.prior_reads_latent
        one_hots = num_agents * num_actions
        prior_inputs += one_hots * self.prior_reads_actions
        prior: dict[str, int] = {"inputs": prior_inputs, "outputs": 2 * joint, **dynamics}
        self.prior_net = ResidualNet(**prior)
        self.embeddings_decoder = ResidualNet(joint, width, self.embeddings_dim)
        self.hidden_decoder = ResidualNet(self.embeddings_dim, width, num_agents * self.hidden_dim)
        self.joint_heads = settings.observation_head == "joint"
        read, told = (joint, num_agents) if self.joint_heads else (self.latent_dim, 1)
        self.obs_decoder = ResidualNet(read, outputs=told * (obs_size + num_actions), **dynamics)
        self.outcome_net = None
        if settings.foretells:
            self.outcome_net = perceptron(2 * joint + one_hots, OUTCOME_DIM, 2)
        self.policy_phi = nn.Linear(joint, joint)
        self.policy_norm = MAKE_NORMALISER[normaliser](joint)
        self.policy_net = ResidualNet(joint * (2 if settings.use_sale else 1), width, one_hots)
        # The variance of a GRU state is about 0.005: a plain squared error on it asks for nothing,
        # and the posterior collapses.
        self.hidden_scale, self.obs_scale = Standardiser(self.hidden_dim), Standardiser(obs_size)
        others = range(1, settings.num_models)
        self.other_priors = nn.ModuleList(ResidualNet(**prior) for _ in others)
        self.value_net = perceptron(joint, OUTCOME_DIM, 1) if settings.value_expansion else None

    def posterior(self, hidden: Tensor, obs: Tensor) -> Gaussian:
        """q(s_t | h_t), per agent with shared weights: (..., N, H), (..., N, D) to (..., J)."""
        x = self.hidden_scale(hidden)
        if self.residual:
            x = torch.cat([x, self.obs_scale(obs)], -1)
        mean, log_std = self.posterior_net(x).chunk(2, -1)
        return Gaussian(mean.flatten(-2), log_std.flatten(-2).clamp(*LOG_STD_RANGE))

    def prior(
        self, embeddings: Tensor, before: Tensor, actions: Tensor, member: int = 0
    ) -> Gaussian:
        """p(s_t | z^sa_{t-1}, z^s_{t-1}, phi^sa_{t-1}), (..., J).

        Args:
            embeddings: (..., F), what ``embed`` returned of the step before.
            before: s_{t-1}, (..., J), from which all forms but the printed one start.
            actions: a_{t-1}, (..., N A), what ``one_hot`` returned; the "direct" form reads it:
                embeddings that are still being learned blur which action it was.
            member: whose, of ``num_models``.
        """
        x = torch.cat([embeddings, before], -1) if self.prior_reads_latent else embeddings
        if self.prior_reads_actions:
            x = torch.cat([x, actions], -1)
        net = self.other_priors[member - 1] if member else self.prior_net
        mean, log_std = net(x).chunk(2, -1)
        return Gaussian(before + mean if self.residual else mean, log_std.clamp(*LOG_STD_RANGE))

    def priors(self, *read: Any) -> list[Gaussian]:
        """``prior`` of every member."""
        which: list[Any] = [{"member": 1 + m} for m in range(len(self.other_priors))]
        return [self.prior(*read, **member) for member in ({}, *which)]

    def one_hot(self, actions: Tensor) -> Tensor:
        """(..., N) int64 to (..., N A), the agents' one-hot actions side by side."""
        return F.one_hot(actions, self.num_actions).flatten(-2).to(self.policy_phi.weight.dtype)

    def embed_actions(self, actions: Tensor) -> Tensor:
        """e(a): (..., N) int64 to (..., N * action_embed_dim)."""
        return F.embedding(actions, self.action_embedding.weight.t()).flatten(-2)

    def encode(self, latent: Tensor) -> tuple[Tensor, ...]:
        """(z^s,), z^s = f_s(s_t), (..., J); () without SALE. No gradient reaches f_s or s_t."""
        if self.sale is None:
            return ()
        with torch.no_grad():
            return (self.sale.encode(latent),)

    def embed(self, latent: Tensor, actions: Tensor) -> Tensor:
        """(z^sa, z^s, phi^sa) of s_t and a_t side by side: (..., J), (..., N) to (..., F).

        Without SALE, [s_t ; e(a_t)]. f_s and g_s get no gradient here: they learn from their SALE
        loss alone.
        """
        action = self.embed_actions(actions)
        if self.sale is None:
            return torch.cat([latent, action], -1)
        with torch.no_grad():
            z = self.sale.encode(latent)
            z_a = self.sale.encode_action(z, action)
        return torch.cat([z_a, z, self.sale.direct(latent, action)], -1)

    def policy(self, latent: Tensor) -> Tensor:
        """pi(z^s, phi^s), phi^s = normalise(Linear(s)) (section 4.2, Figure 1): logits (..., N, A).

        The latent gets no gradient: the policy learns what the agents do, and moves nothing else.
        """
        phi = self.policy_norm(self.policy_phi(latent.detach()))
        logits = self.policy_net(torch.cat([*self.encode(latent), phi], -1))
        return logits.unflatten(-1, (self.num_agents, self.num_actions))

    def next(self, latent: Tensor, actions: Tensor) -> Gaussian:
        """p(s_{t+1} | s_t, a_t), over all priors: (..., J), (..., N) to (..., J)."""
        return mixture(self.priors(self.embed(latent, actions), latent, self.one_hot(actions)))

    def go_on(self, latent: Tensor, actions: Tensor) -> Tensor:
        """Its mean, (..., J)."""
        return self.next(latent, actions).mean

    def foretell(self, before: Tensor, actions: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """r_t in the unit that is learned from, and the logit of the end at t, (...) each.

        Dreamer has both heads. They read s_t and s_{t+1}, (..., J), and a_t, (..., N) int64.
        """
        assert self.outcome_net is not None
        told = self.outcome_net(torch.cat([before, self.one_hot(actions), after], -1))
        return told[..., 0], told[..., 1]

    def heads(self, latent: Tensor) -> Tensor:
        """The observation and action-mask heads: (..., J) to (..., N, D + A)."""
        each = latent.unflatten(-1, (self.num_agents, self.latent_dim))
        told = self.obs_decoder(latent if self.joint_heads else each)
        return told.reshape(*each.shape[:-1], -1)

    def decode(self, latent: Tensor) -> Decoded:
        """Both decoders and both heads: (..., J) to ``Decoded``."""
        embeddings = self.embeddings_decoder(latent)
        hidden = self.hidden_decoder(embeddings)
        hidden = hidden.unflatten(-1, (self.num_agents, self.hidden_dim))
        heads = self.heads(latent)
        return Decoded(embeddings, hidden, heads[..., : self.obs_size], heads[..., self.obs_size :])

    @torch.no_grad()
    def imagine(self, hidden: Tensor, obs: Tensor, actions: Tensor, horizon: int) -> Tensor:
        """Imagines ``horizon`` steps from every real step in parallel (Figure 2), no gradient.

        It follows the means: s_t = mean q(s_t | h_t), then s_{t+k} = mean p(s_{t+k} | embeddings
        of s_{t+k-1} and its actions). The policy pi acts from the second step on.

        Args:
            hidden: (..., N, H), the agents' real hidden states.
            obs: (..., N, D).
            actions: (..., N) int64, the agents' greedy actions there.
            horizon: K.

        Returns:
            [s_t, s_{t+1}, ..., s_{t+K}], (..., K+1, J).
        """
        latents = [self.posterior(hidden, obs).mean]
        for depth in range(horizon):
            if depth > 0:
                actions = self.policy(latents[-1]).argmax(-1)
            latents.append(self.go_on(latents[-1], actions))
        return torch.stack(latents, -2)

    def follow(self, latent: Tensor, after: Tensor, actions: Tensor, horizon: int) -> Foretold:
        """Goes on from its own predictions along the actions taken, as it does when it imagines.

        A model that only ever predicts one step from a posterior learns little of what lies
        further ahead (latent overshooting: Hafner et al., 2019, "PlaNet", section 4).

        Args:
            latent: s_t, (B, T, J), samples of the posterior.
            after: the mean of p(s_{t+1} | s_t, a_t), (B, T, J).
            actions: (B, T, N) int64.
            horizon: K.
        """
        obs, outcomes = [], []
        for depth, taken in enumerate(ahead(actions, horizon).unbind(2)):
            if depth > 0:
                latent, after = after, self.go_on(after, taken)
            obs.append(self.heads(after)[..., : self.obs_size])
            outcomes.append(torch.stack(self.foretell(latent, taken, after), -1))
        return Foretold(torch.stack(obs, 2), *torch.stack(outcomes, 2).unbind(-1))

    def predict(self, latent: Tensor, actions: Tensor, horizon: int) -> list[Tensor]:
        """Follows the actions really taken, open loop, from every step.

        Args:
            latent: (B, T, J), posterior means of the steps.
            actions: (B, T, N) int64; past the end of an episode any value.
            horizon: K.

        Returns:
            K tensors (B, T, J): entry k-1 at step t foresees step t + k.
        """
        steps = ahead(actions, horizon).unbind(2)
        return list(accumulate(steps, self.go_on, initial=latent))[1:]
