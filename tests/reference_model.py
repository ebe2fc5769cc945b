"""The world model's losses of section 4.4 as slow loops, one episode and one step at a time.

tests/reference.py says how they are written, and has the agents, mixers and targets.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


def one_hot(index: int | None, size: int) -> Tensor:
    return torch.tensor([float(i == index) for i in range(size)], dtype=torch.float64)


def normalise(name: str, layer: Any, x: Tensor) -> Tensor:
    """The normalisers of Figure 7; ``layer`` has LayerNorm's weights."""
    if name == "avg_l1":
        return x / x.abs().mean()
    if name == "softmax":
        return x.exp() / x.exp().sum()
    if name == "l2":
        return x / (x**2).sum().sqrt()
    if name == "layer":
        deviation = ((x - x.mean()) ** 2).mean() + layer.eps
        return (x - x.mean()) / deviation.sqrt() * layer.weight + layer.bias
    assert name == "none"
    return x


def encode(normaliser: str, sale: Any, x: Tensor) -> Tensor:
    """f(x)."""
    return normalise(normaliser, sale.f_norm, sale.f(x))


def direct(normaliser: str, sale: Any, pair: Tensor) -> Tensor:
    """phi of [x ; a]."""
    return normalise(normaliser, sale.phi_norm, sale.phi(pair))


def mixture(members: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Mean and variance of a mixture of Gaussians, each a mean and a log deviation."""
    mean = sum(m for m, _ in members) / len(members)
    variance = sum(s.exp() ** 2 + (m - mean) ** 2 for m, s in members) / len(members)
    return mean, variance


class Episode:
    """One episode of a padded batch, at its own length; some have noise for the world model."""

    noise: dict[str, Tensor]
    row: int  # among those that the world model learns from

    def __init__(self, batch: dict[str, Tensor], row: int):
        self.length = int(batch["loss_mask"][row].sum())
        fields = {name: values[row] for name, values in batch.items()}
        self.obs, self.state, self.mask = fields["obs"], fields["state"], fields["action_mask"]
        self.actions, self.rewards = fields["actions"], fields["rewards"]
        self.terminated, self.truncated = fields["terminated"], fields["truncated"]

    @property
    def observations(self) -> range:
        return range(self.length + 1)


class ModelReference:
    """What the world model of a team module says, by loops.

    Args:
        module: the team module, in float64.
        config: the algorithm's settings.
    """

    def __init__(self, module: Any, config: Any):
        self.module, self.config = module, config
        self.use_sale, self.agents = config.use_sale, module.num_agents

    @property
    def residual(self) -> bool:
        return self.config.world_model_form != "printed"

    def posterior(self, model: Any, hidden: list[Tensor], obs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log deviation of the joint latent, agent after agent."""
        parts = []
        for i, h in enumerate(hidden):
            x = [model.hidden_scale(h)]
            if self.residual:
                x.append(model.obs_scale(obs[i]))
            parts.append(model.posterior_net(torch.cat(x)).chunk(2))
        return torch.cat([m for m, _ in parts]), torch.cat([s for _, s in parts]).clamp(-5, 2)

    def embed(self, model: Any, latent: Tensor, actions: list[int]) -> Tensor:
        """(z^sa, z^s, phi^sa); f_s and g_s get no gradient. Without SALE, (s, e(a))."""
        action = torch.cat([model.action_embedding.weight[:, a] for a in actions])
        if not self.use_sale:
            return torch.cat([latent, action])
        with torch.no_grad():
            z = encode(self.config.normaliser, model.sale, latent)
            z_a = model.sale.g(torch.cat([z, action]))
        phi = direct(self.config.normaliser, model.sale, torch.cat([latent, action]))
        return torch.cat([z_a, z, phi])

    def one_hots(self, actions: list[int]) -> Tensor:
        """The agents' one-hot actions side by side."""
        return torch.cat([one_hot(a, self.module.num_actions) for a in actions])

    def priors(
        self, model: Any, embeddings: Tensor, before: Tensor, actions: Tensor
    ) -> list[tuple[Tensor, Tensor]]:
        """Each mean and log deviation; "residual": the network says how the latent changes."""
        sees_before = self.residual and self.use_sale
        x = torch.cat([embeddings, before]) if sees_before else embeddings
        x = torch.cat([x, actions]) if self.config.world_model_form == "direct" else x
        told = []
        for net in (model.prior_net, *model.other_priors):
            mean, log_std = net(x).chunk(2)
            told.append((before + mean if self.residual else mean, log_std.clamp(-5, 2)))
        return told

    def decode(self, model: Any, latent: Tensor) -> tuple[Tensor, list, list, list]:
        """Embeddings; h, o and mask logits per agent, h and o standardised."""
        embeddings = model.embeddings_decoder(latent)
        hidden = list(model.hidden_decoder(embeddings).chunk(self.agents))
        return embeddings, hidden, *self.heads(model, latent)

    def heads(self, model: Any, latent: Tensor) -> tuple[list, list]:
        """Observation and mask logits of each agent, from the joint latent or its own part."""
        size, agents = model.obs_size, self.agents
        if self.config.observation_head == "joint":
            heads = list(model.obs_decoder(latent).chunk(agents))
        else:
            heads = [model.obs_decoder(part) for part in latent.chunk(agents)]
        return [h[:size] for h in heads], [h[size:] for h in heads]

    @torch.no_grad()
    def imagine(self, hidden: list, obs: Any, actions: list[int]) -> list[Tensor]:
        """[s_t, ..., s_{t+K}] from the agents' states, observations and actions at step t."""
        return self.imagine_all(hidden, obs, actions)[0]

    @torch.no_grad()
    def imagine_all(self, hidden: list, obs: Any, actions: list[int]) -> tuple[list, list, list]:
        """``imagine``'s latents, and the K variances and actions that led from one to the next."""
        model = self.module.target_world_model
        latents, variances, taken = [self.posterior(model, hidden, obs)[0]], [], []
        for _ in range(self.config.rollout_horizon):
            mean, variance = self.next(model, latents[-1], actions)
            latents.append(mean)
            variances.append(variance)
            taken.append(actions)
            actions = [int(row.argmax()) for row in self.policy(model, latents[-1])]
        return latents, variances, taken

    def next(self, model: Any, latent: Tensor, actions: list[int]) -> tuple[Tensor, Tensor]:
        """Mean and variance of the next step, over all priors."""
        embeddings = self.embed(model, latent, actions)
        return mixture(self.priors(model, embeddings, latent, self.one_hots(actions)))

    def after(self, model: Any, latent: Tensor, actions: list[int]) -> Tensor:
        """The mean of the next step."""
        return self.next(model, latent, actions)[0]

    def policy(self, model: Any, latent: Tensor) -> Any:
        """pi(z^s, phi^s): logits per agent."""
        latent = latent.detach()
        phi = normalise(self.config.normaliser, model.policy_norm, model.policy_phi(latent))
        z = [encode(self.config.normaliser, model.sale, latent).detach()] if self.use_sale else []
        return model.policy_net(torch.cat([*z, phi])).chunk(self.agents)

    def losses(self, played: Iterable[tuple[Episode, list, list]]) -> dict[str, Tensor]:
        """Each loss of the world model, unweighted.

        Args:
            played: episodes, the agents' hidden states h[t][i] and their greedy actions u[t][i].
        """
        terms: dict[str, list[Tensor]] = {}

        def add(name: str, value: Tensor) -> None:
            terms.setdefault(name, []).append(value)

        for episode, hidden, greedy in played:
            still = [[h.detach() for h in row] for row in hidden]
            self.add_terms(add, episode, still, greedy)
        return {name: torch.stack(values).mean() for name, values in terms.items()}

    def add_terms(self, add: Any, episode: Episode, hidden: list, greedy: list) -> None:
        model, noise = self.module.world_model, episode.noise
        embeddings = torch.zeros(model.embeddings_dim, dtype=torch.float64)
        taken = torch.zeros(self.agents * self.module.num_actions, dtype=torch.float64)
        before = torch.zeros(model.joint_dim, dtype=torch.float64)
        predicted = torch.zeros(())  # of the step before
        for t in episode.observations:
            priors = self.priors(model, embeddings, before, taken)
            mean, log_std = self.posterior(model, hidden[t], episode.obs[t])
            latent = mean + log_std.exp() * noise["posterior"][t]
            for prior in priors:
                self.add_kl(add, (mean, log_std), prior)
            told, variance = mixture(priors)
            from_prior = told + variance.sqrt() * noise["prior"][t]
            sample = from_prior if (episode.row + t) % 2 else latent
            decoded = self.decode(model, sample)
            self.add_decoded(add, episode, hidden[t], decoded, t)
            for i, logits in enumerate(self.policy(model, sample)):
                add("policy", -torch.log_softmax(logits, -1)[greedy[t][i]])
            if self.use_sale:
                z = encode(self.config.normaliser, model.sale, latent.detach())
                if t:
                    add("sale_latents", ((predicted - z.detach()) ** 2).mean())
            if t == episode.length:
                return
            actions = [int(a) for a in episode.actions[t]]
            embeddings, before, taken = (
                self.embed(model, latent, actions),
                latent,
                self.one_hots(actions),
            )
            if self.config.open_loop_weight or self.config.reward_weight or self.config.end_weight:
                self.add_foretold(add, episode, latent, t)
            parts = 3 if self.use_sale else 1
            add("embeddings", parts * ((decoded[0] - embeddings.detach()) ** 2).mean())
            if self.use_sale:
                action = torch.cat([model.action_embedding.weight[:, a] for a in actions]).detach()
                predicted = model.sale.g(torch.cat([z, action]))

    def add_foretold(self, add: Any, episode: Episode, latent: Tensor, t: int) -> None:
        """What is foretold from step t, as far as the episode goes."""
        model = self.module.world_model
        for k in range(t, min(t + self.config.rollout_horizon, episode.length)):
            actions = [int(a) for a in episode.actions[k]]
            after = self.after(model, latent, actions)
            for i, told in enumerate(self.heads(model, after)[0]):
                obs = model.obs_scale(episode.obs[k + 1, i])
                add("open_loop", ((told - obs) ** 2).mean())
            pair = torch.cat([latent, self.one_hots(actions), after])
            reward, end = model.outcome_net(pair)
            add("reward", (reward - episode.rewards[k]) ** 2)
            ended = torch.sigmoid(end)
            add("end", -(ended if episode.terminated[k] else 1 - ended).log())
            latent = after

    def add_kl(self, add: Any, posterior: tuple, prior: tuple) -> None:
        def kl(p: tuple, q: tuple) -> Tensor:
            p, q = (torch.distributions.Normal(m, s.exp()) for m, s in (p, q))
            return torch.distributions.kl_divergence(p, q).mean()

        def still(pair: tuple) -> tuple:
            return tuple(value.detach() for value in pair)

        zeros = torch.zeros_like(prior[0])
        alpha, balance = self.config.kl_balance_alpha, self.config.kl_balance
        on_prior = alpha if balance == "prior" else 1 - alpha
        balanced = on_prior * kl(still(posterior), prior)
        balanced = balanced + (1 - on_prior) * kl(posterior, still(prior))
        if balance is None:
            balanced = kl(posterior, prior)
        add("kl", kl(prior, (zeros, zeros)) + balanced)

    def add_decoded(
        self, add: Any, episode: Episode, hidden: list[Tensor], decoded: tuple, t: int
    ) -> None:
        model = self.module.world_model
        for i in range(self.agents):
            scaled, obs = model.hidden_scale(hidden[i]), model.obs_scale(episode.obs[t, i])
            add("hidden", ((decoded[1][i] - scaled) ** 2).mean())
            add("obs", ((decoded[2][i] - obs) ** 2).mean())
            legal = episode.mask[t, i].double()
            p = torch.sigmoid(decoded[3][i])
            add("mask", -(legal * p.log() + (1 - legal) * (1 - p).log()).mean())
