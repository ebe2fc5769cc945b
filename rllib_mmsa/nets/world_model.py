"""The world model: a posterior VAE, a prior VAE and imagination in latent space (section 4.3).

Training only; it is never shipped to the actors.

Shapes: B episodes, T steps, N agents, A actions, D observation numbers, H hidden size of the
agents, L latent numbers per agent, J = N L (the joint latent), F size of the embeddings that
the prior reads, K roll-out horizon.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rllib_mmsa.nets.agents import RecurrentAgent
from rllib_mmsa.nets.linear import as_rows
from rllib_mmsa.nets.mlp import of, two_layers
from rllib_mmsa.nets.reduce import own_share
from rllib_mmsa.nets.sale import SaleEncoder, make_normaliser
from rllib_mmsa.nets.standardiser import Standardiser
from rllib_mmsa.td import greedy_actions

_LOG_STD_RANGE = (-5.0, 2.0)


def standard_normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Noise of the shape of ``like``, another one for each learner."""
    return own_share(like, lambda whole: whole.normal_(generator=generator))


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
        mask_logits: (..., N, A), availability head.
    """

    embeddings: Tensor
    hidden: Tensor
    obs: Tensor
    mask_logits: Tensor


class _Net(nn.Module):
    """A linear map plus a two-layer correction.

    Most of what these networks carry over (positions, levels, hidden states) is linear in their
    input; the linear path halves the error of one-step predictions after 500 updates.
    """

    def __init__(self, inputs: int, width: int, outputs: int):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.correction = nn.Sequential(
            nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, outputs)
        )

    def forward(self, *parts: Tensor, outputs: int | None = None) -> Tensor:
        """(..., I_1), (..., I_2), ..., side by side, to (..., outputs), the first ones (all)."""
        first, last = of(self.correction[0]), of(self.correction[2], outputs)
        out = two_layers(as_rows(*parts), first, last, of(self.linear, outputs))
        return out.view(*parts[0].shape[:-1], -1)


class WorldModel(nn.Module):
    """Posterior q(s_t | h_t), prior p(s_t | z^sa, z^s, phi^sa of t-1) and their decoders.

    Args:
        num_agents, num_actions, obs_size, hidden_dim: N, A, D, H.
        latent_dim: L (16, Table 6).
        action_embed_dim: numbers an action is embedded in (4, Table 6).
        width: hidden width of every network.
        normaliser: a key of ``NORMALISERS``.
        use_sale: False is the No-SALE ablation: the prior reads [s ; e(a)].
        posterior_sees_obs: q(s_t | h_t, o_t) instead of q(s_t | h_t).
        prior_residual: the prior's mean is s_{t-1} plus what its network says.
        prior_sees_latent: the prior's network reads s_{t-1} beside the embeddings.
        imagined_actions: who acts in the imagination. "policy": pi(z^s, phi^s), the policy network
            of section 4.2, which learns what the agents do; "values": the agents, whose values of
            a decoded h and o are asked.
        rollout_latent: "prior" hands the mixer the imagined latents; "embedding" their
            embeddings z^s, {s_t, z^s_{t+1}, ..., z^s_{t+K}} as section 4.4 writes it.
    """

    def __init__(
        self,
        num_agents: int,
        num_actions: int,
        obs_size: int,
        hidden_dim: int,
        latent_dim: int = 16,
        action_embed_dim: int = 4,
        width: int = 32,
        normaliser: str = "avg_l1",
        use_sale: bool = True,
        posterior_sees_obs: bool = True,
        prior_residual: bool = True,
        prior_sees_latent: bool = True,
        imagined_actions: str = "policy",
        rollout_latent: str = "prior",
    ):
        super().__init__()
        self.num_agents, self.num_actions = num_agents, num_actions
        self.obs_size, self.hidden_dim, self.latent_dim = obs_size, hidden_dim, latent_dim
        self.joint_dim, self.width = num_agents * latent_dim, width
        self.posterior_sees_obs, self.rollout_latent = posterior_sees_obs, rollout_latent
        actions = num_agents * action_embed_dim
        self.action_embedding = nn.Linear(num_actions, action_embed_dim, bias=False)
        self.sale = (
            SaleEncoder(self.joint_dim, actions, self.joint_dim, width, normaliser)
            if use_sale
            else None
        )
        self.embeddings_dim = 3 * self.joint_dim if use_sale else self.joint_dim + actions
        self.posterior_net = _Net(hidden_dim + obs_size * posterior_sees_obs, width, 2 * latent_dim)
        self.prior_sees_latent = prior_sees_latent and use_sale  # without SALE it does anyway
        inputs = self.embeddings_dim + self.joint_dim * self.prior_sees_latent
        self.prior_net = _Net(inputs, width, 2 * self.joint_dim)
        self.embeddings_decoder = _Net(self.joint_dim, width, self.embeddings_dim)
        self.hidden_decoder = _Net(self.embeddings_dim, width, num_agents * hidden_dim)
        self.obs_decoder = _Net(latent_dim, width, obs_size + num_actions)
        self.prior_residual, self.imagined_actions = prior_residual, imagined_actions
        if imagined_actions == "policy":
            self.policy_phi = nn.Linear(self.joint_dim, self.joint_dim)
            self.policy_norm = make_normaliser(normaliser, self.joint_dim)
            inputs = self.joint_dim * (2 if use_sale else 1)
            self.policy_net = _Net(inputs, width, num_agents * num_actions)
        # The variance of a GRU state is about 0.005: a plain squared error on it asks for nothing,
        # and the posterior collapses.
        self.hidden_scale = Standardiser(hidden_dim)
        self.obs_scale = Standardiser(obs_size)

    @property
    def sizes(self) -> tuple[int, ...]:
        """N, A, D, H, L, numbers of an embedded action, width: what compiled functions are told."""
        given = self.num_agents, self.num_actions, self.obs_size, self.hidden_dim, self.latent_dim
        return *given, self.action_embedding.out_features, self.width

    def posterior(self, hidden: Tensor, obs: Tensor) -> Gaussian:
        """q(s_t | h_t), per agent with shared weights: (..., N, H), (..., N, D) to (..., J)."""
        mean, log_std = self.posterior_net(*self._seen(hidden, obs)).chunk(2, -1)
        return Gaussian(mean.flatten(-2), log_std.flatten(-2).clamp(*_LOG_STD_RANGE))

    def posterior_mean(self, hidden: Tensor, obs: Tensor) -> Tensor:
        """The mean of ``posterior`` alone, (..., J)."""
        seen = self._seen(hidden, obs)
        return self.posterior_net(*seen, outputs=self.latent_dim).flatten(-2)

    def _seen(self, hidden: Tensor, obs: Tensor) -> tuple[Tensor, ...]:
        x = self.hidden_scale(hidden)
        return (x, self.obs_scale(obs)) if self.posterior_sees_obs else (x,)

    def prior(self, embeddings: tuple[Tensor, ...], before: Tensor) -> Gaussian:
        """p(s_t | z^sa_{t-1}, z^s_{t-1}, phi^sa_{t-1}), as ``embed`` gives them, (..., J).

        With ``prior_residual`` the network says how s_{t-1}, (..., J), changes.
        """
        mean, log_std = self.prior_net(*self._prior_inputs(embeddings, before)).chunk(2, -1)
        return Gaussian(self._reached(mean, before), log_std.clamp(*_LOG_STD_RANGE))

    def prior_mean(self, embeddings: tuple[Tensor, ...], before: Tensor) -> Tensor:
        """The mean of ``prior`` alone, (..., J)."""
        read = self._prior_inputs(embeddings, before)
        return self._reached(self.prior_net(*read, outputs=self.joint_dim), before)

    def _prior_inputs(self, embeddings: tuple[Tensor, ...], before: Tensor) -> tuple[Tensor, ...]:
        return (*embeddings, before) if self.prior_sees_latent else embeddings

    def _reached(self, mean: Tensor, before: Tensor) -> Tensor:
        return before + mean if self.prior_residual else mean

    def embed_actions(self, actions: Tensor) -> Tensor:
        """e(a): (..., N) int64 to (..., N * action_embed_dim)."""
        # Contiguous: picking rows out of a transposed matrix is slow.
        return F.embedding(actions, self.action_embedding.weight.t().contiguous()).flatten(-2)

    @torch.no_grad()
    def encode(self, latent: Tensor) -> Tensor | None:
        """z^s = f_s(s_t) without gradient, (..., J); None without SALE."""
        return None if self.sale is None else self.sale.encode(latent)

    def embed(
        self, latent: Tensor, actions: Tensor, z: Tensor | None = None, z_a: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """(z^sa, z^s, phi^sa) of s_t and a_t: (..., J), (..., N) to (..., J) each, F together.

        Without SALE, (s_t, e(a_t)).

        f_s and g_s get no gradient here; they learn from their SALE loss alone. ``z`` and ``z_a``
        are z^s and z^sa, where they are known already.
        """
        action = self.embed_actions(actions)
        if self.sale is None:
            return latent, action
        with torch.no_grad():
            z = self.sale.encode(latent) if z is None else z
            z_a = self.sale.encode_action(z, action) if z_a is None else z_a
        return z_a, z, self.sale.direct(latent, action)

    def policy(self, latent: Tensor, z: Tensor | None = None) -> Tensor:
        """pi(z^s, phi^s), phi^s = normalise(Linear(s)) (section 4.2, Figure 1): logits (..., N, A).

        The latent gets no gradient: the policy learns what the agents do, and moves nothing else.
        """
        phi = self.policy_norm(self.policy_phi(latent.detach()))
        z = self.encode(latent) if z is None else z
        logits = self.policy_net(phi) if z is None else self.policy_net(z, phi)
        return logits.unflatten(-1, (self.num_agents, self.num_actions))

    def decode(self, latent: Tensor) -> Decoded:
        """Both decoders and both heads: (..., J) to ``Decoded``."""
        embeddings = self.embeddings_decoder(latent)
        hidden = self.hidden_decoder(embeddings)
        hidden = hidden.unflatten(-1, (self.num_agents, self.hidden_dim))
        per_agent = latent.unflatten(-1, (self.num_agents, self.latent_dim))
        heads = self.obs_decoder(per_agent)
        return Decoded(embeddings, hidden, heads[..., : self.obs_size], heads[..., self.obs_size :])

    def imagine(
        self,
        hidden: Tensor,
        obs: Tensor,
        actions: Tensor,
        *,
        horizon: int,
        agent: RecurrentAgent | None = None,
        sample: bool = False,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Imagines ``horizon`` steps from every given step in parallel (Figure 2).

        Per step: embed, prior, act (``imagined_actions``).

        Args:
            hidden: (..., N, H), the agents' real hidden states.
            obs: (..., N, D).
            actions: (..., N) int64, the agents' greedy actions there.
            horizon: K.
            agent: the agents' network, where it acts (``imagined_actions`` is "values"); it gets no
                gradient.
            sample: draw latents instead of following their means.

        Returns:
            [s_t, s_{t+1}, ..., s_{t+K}], (..., K+1, J).
        """

        def draw(latent: Gaussian) -> Tensor:
            return latent.sample(standard_normal(latent.mean, generator))

        def pick(embeddings: tuple[Tensor, ...], before: Tensor) -> Tensor:
            if sample:
                return draw(self.prior(embeddings, before))
            return self.prior_mean(embeddings, before)

        if sample:
            latent = draw(self.posterior(hidden, obs))
        else:
            latent = self.posterior_mean(hidden, obs)
        z, latents = self.encode(latent), [latent]
        for depth in range(horizon):
            latents.append(pick(self.embed(latents[-1], actions, z), latents[-1]))
            if depth + 1 < horizon:
                z = self.encode(latents[-1])
                actions = self.act(agent, latents[-1], z)
        rollout = torch.stack(latents, -2)
        if self.rollout_latent == "prior" or self.sale is None:
            return rollout
        with torch.no_grad():
            return torch.cat([rollout[..., :1, :], self.sale.encode(rollout[..., 1:, :])], -2)

    @torch.no_grad()
    def act(self, agent: RecurrentAgent | None, latent: Tensor, z: Tensor | None = None) -> Tensor:
        """What the agents do in an imagined state: (..., J) to (..., N) int64."""
        if self.imagined_actions == "policy":
            return self.policy(latent, z).argmax(-1)
        if agent is None:
            raise ValueError("imagined_actions is 'values': the agents' network must be given")
        decoded = self.decode(latent)
        hidden = self.hidden_scale.invert(decoded.hidden)
        obs = self.obs_scale.invert(decoded.obs)
        return greedy_actions(agent.q_values(hidden, obs), self._likely_mask(decoded.mask_logits))

    @staticmethod
    def _likely_mask(logits: Tensor) -> Tensor:
        """Predicted mask, never empty: likely actions and the likeliest, (..., N, A) bool."""
        return (logits > 0) | (logits == logits.amax(-1, keepdim=True))

    def predict(self, latent: Tensor, actions: Tensor, horizon: int) -> list[Tensor]:
        """Follows the actions really taken, open loop, from every step.

        Args:
            latent: (B, T, J), posterior means of the steps.
            actions: (B, T, N) int64; past the end of an episode any value.
            horizon: K.

        Returns:
            K tensors (B, T, J): entry k-1 at step t foresees step t + k.
        """
        predictions = []
        for depth in range(horizon):
            shifted = F.pad(actions[:, depth:], (0, 0, 0, depth))  # a_{t+depth} at step t
            latent = self.prior_mean(self.embed(latent, shifted), latent)
            predictions.append(latent)
        return predictions
