"""The losses of section 4.4 as slow loops: one episode, one step, one agent, one action at a time.

Written from the equations, on plain vectors, without padding, without masks over batches and
without any of the product's tensor code but its layers' weights. Every reading that is a setting is
here, but for ``normaliser: batch``, which no single vector has.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

ILLEGAL = -1e9


def gru_cell(gru: Any, x: Tensor, h: Tensor) -> Tensor:
    """One step of a GRU by its equations (Cho et al., 2014, as PyTorch writes them)."""
    x_r, x_z, x_n = (gru.weight_ih_l0 @ x + gru.bias_ih_l0).chunk(3)
    h_r, h_z, h_n = (gru.weight_hh_l0 @ h + gru.bias_hh_l0).chunk(3)
    reset, update = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
    return (1 - update) * torch.tanh(x_n + reset * h_n) + update * h


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


class Reference:
    """Losses of a team module on a batch, by loops.

    Args:
        module: the team module, in float64.
        config: the algorithm's settings.
        batch: fields of common/batch.py, float64.
        noise: {"posterior", "prior"}, (B, T+1, J) each.
    """

    def __init__(self, module: Any, config: Any, batch: dict[str, Tensor], noise: dict):
        self.module, self.config = module, config
        self.use_sale = getattr(config, "use_sale", False)
        self.agents, self.num_actions = module.num_agents, module.num_actions
        self.episodes = [Episode(batch, row) for row in range(len(batch["rewards"]))]
        # The model losses go over every fourth episode, beginning with the first.
        self.model_episodes = self.episodes[:: round(1 / getattr(config, "model_batch_share", 1))]
        for row, episode in enumerate(self.model_episodes):
            episode.row = row
            episode.noise = {name: values[row] for name, values in noise.items()}

    # Agents.

    def hidden(self, agent: Any, episode: Episode) -> list[list[Tensor]]:
        """h[t][i]."""
        states: list[list[Tensor]] = []
        for t in episode.observations:
            row = []
            for i in range(self.agents):
                parts = [episode.obs[t, i]]
                if self.config.observe_last_action:
                    last = int(episode.actions[t - 1, i]) if t else None
                    parts.append(one_hot(last, self.num_actions))
                if self.config.observe_agent_id:
                    parts.append(one_hot(i, self.agents))
                x = F.relu(agent.input(torch.cat(parts)))
                zeros = torch.zeros(agent.hidden_dim, dtype=torch.float64)
                row.append(gru_cell(agent.rnn, x, states[-1][i] if t else zeros))
            states.append(row)
        return states

    def value(self, agent: Any, hidden: Tensor, obs: Tensor, action: int) -> Tensor:
        """Q_i(h, o, a)."""
        if not self.use_sale:
            return agent.head(hidden)[action]
        a = one_hot(action, self.num_actions)
        z = self.encode(agent.sale, obs).detach()
        z_a = agent.sale.g(torch.cat([z, a])).detach()
        phi = self.phi(agent.sale, torch.cat([obs, a]))
        per_state = agent.from_state(torch.cat([hidden, z]))
        of_both = agent.head(F.relu(per_state + agent.from_action(torch.cat([z_a, phi]))))[0]
        return of_both + agent.per_action(hidden)[action]

    def encode(self, sale: Any, x: Tensor) -> Tensor:
        """f(x)."""
        return normalise(self.config.normaliser, sale.f_norm, sale.f(x))

    def phi(self, sale: Any, pair: Tensor) -> Tensor:
        """phi of [x ; a]."""
        return normalise(self.config.normaliser, sale.phi_norm, sale.phi(pair))

    def greedy(self, agent: Any, hidden: Tensor, obs: Tensor, legal: Any) -> int:
        values = [
            self.value(agent, hidden, obs, a).item() if legal[a] else ILLEGAL
            for a in range(self.num_actions)
        ]
        return max(range(self.num_actions), key=values.__getitem__)

    def greedy_team(self, agent: Any, states: list, episode: Episode, t: int) -> list[int]:
        obs, legal = episode.obs[t], episode.mask[t]
        return [self.greedy(agent, states[t][i], obs[i], legal[i]) for i in range(self.agents)]

    def mix(self, mixer: Any, values: list[Tensor], state: Tensor) -> Tensor:
        """Q_tot, (1,); of independent Q-learning, (N,)."""
        if self.config.mixer is None:
            return torch.stack(values)
        if self.config.mixer == "vdn":
            return torch.stack(values).sum(0, keepdim=True)
        first = mixer.weights_1(state).abs().view(self.agents, mixer.embed_dim)
        hidden = mixer.bias_1(state)
        for i in range(self.agents):
            hidden = hidden + values[i] * first[i]
        return (F.elu(hidden) * mixer.weights_2(state).abs()).sum() + mixer.value(state)

    # L_TD.

    def td_loss(self) -> Tensor:
        errors = []
        for episode in self.episodes:
            online = self.hidden(self.module.agent, episode)
            with torch.no_grad():
                target = self.hidden(self.module.target_agent, episode)
            for t in range(episode.length):
                chosen = [
                    self.value(self.module.agent, h, episode.obs[t, i], int(episode.actions[t, i]))
                    for i, h in enumerate(online[t])
                ]
                state = self.mixer_state("", episode, online, target, t)
                value = self.mix(self.module.mixer, chosen, state)
                errors.append((value - self.target(episode, online, target, t)) ** 2)
        return torch.stack(errors).mean()

    def next_actions(self, episode: Episode, online: list, target: list, t: int) -> list[int]:
        """Whose value the target has, and with which imagination begins."""
        if self.config.double_q:
            return self.greedy_team(self.module.agent, online, episode, t)
        return self.greedy_team(self.module.target_agent, target, episode, t)

    @torch.no_grad()
    def target(self, episode: Episode, online: list, target: list, t: int) -> Tensor:
        """y^tot at step t."""
        limit = episode.truncated[t] and not self.config.bootstrap_truncated
        if episode.terminated[t] or limit:
            return episode.rewards[t]
        obs = episode.obs[t + 1]
        actions = self.next_actions(episode, online, target, t + 1)
        values = [
            self.value(self.module.target_agent, target[t + 1][i], obs[i], actions[i])
            for i in range(self.agents)
        ]
        state = self.mixer_state("target_", episode, online, target, t + 1)
        mixed = self.mix(self.module.target_mixer, values, state)
        return episode.rewards[t] + self.config.gamma * mixed

    def mixer_state(
        self, which: str, episode: Episode, online: list, target: list, t: int
    ) -> Tensor:
        """What the mixer ("") or the target mixer ("target_") reads at step t."""
        parts = [episode.state[t]] if getattr(self.config, "use_global_state", True) else []
        if self.module.world_model is not None:
            actions = self.next_actions(episode, online, target, t)
            latents = self.imagine(target[t], episode.obs[t], actions)
            linear = getattr(self.module, f"{which}aggregator").linear
            parts.append(torch.tanh(linear(torch.cat(latents))))
        return torch.cat(parts)

    # World model.

    @property
    def residual(self) -> bool:
        return self.config.world_model_form == "residual"

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
            z = self.encode(model.sale, latent)
            z_a = model.sale.g(torch.cat([z, action]))
        return torch.cat([z_a, z, self.phi(model.sale, torch.cat([latent, action]))])

    def prior(self, model: Any, embeddings: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log deviation; "residual": the network says how the latent before changes."""
        sees_before = self.residual and self.use_sale
        x = torch.cat([embeddings, before]) if sees_before else embeddings
        mean, log_std = model.prior_net(x).chunk(2)
        return (before + mean if self.residual else mean), log_std.clamp(-5, 2)

    def decode(self, model: Any, latent: Tensor) -> tuple[Tensor, list, list, list]:
        """Embeddings; h, o and mask logits per agent, h and o standardised."""
        embeddings = model.embeddings_decoder(latent)
        hidden = list(model.hidden_decoder(embeddings).chunk(self.agents))
        heads = [model.obs_decoder(part) for part in latent.chunk(self.agents)]
        size = model.obs_size
        return embeddings, hidden, [h[:size] for h in heads], [h[size:] for h in heads]

    @torch.no_grad()
    def imagine(self, hidden: list, obs: Any, actions: list[int]) -> list[Tensor]:
        """[s_t, ..., s_{t+K}] from the agents' states, observations and actions at step t."""
        model = self.module.target_world_model
        latents = [self.posterior(model, hidden, obs)[0]]
        for _ in range(self.config.rollout_horizon):
            embeddings = self.embed(model, latents[-1], actions)
            latents.append(self.prior(model, embeddings, latents[-1])[0])
            actions = [int(row.argmax()) for row in self.policy(model, latents[-1])]
        return latents

    def policy(self, model: Any, latent: Tensor) -> Any:
        """pi(z^s, phi^s): logits per agent."""
        latent = latent.detach()
        phi = normalise(self.config.normaliser, model.policy_norm, model.policy_phi(latent))
        z = [self.encode(model.sale, latent).detach()] if self.use_sale else []
        return model.policy_net(torch.cat([*z, phi])).chunk(self.agents)

    def model_losses(self) -> dict[str, Tensor]:
        """Each loss of the world model, unweighted."""
        terms: dict[str, list[Tensor]] = {}

        def add(name: str, value: Tensor) -> None:
            terms.setdefault(name, []).append(value)

        for episode in self.model_episodes:
            self.add_model_terms(episode, add)
        return {name: torch.stack(values).mean() for name, values in terms.items()}

    def add_model_terms(self, episode: Episode, add: Any) -> None:
        model, noise = self.module.world_model, episode.noise
        hidden = [[h.detach() for h in row] for row in self.hidden(self.module.agent, episode)]
        greedy = [
            self.greedy_team(self.module.agent, hidden, episode, t) for t in episode.observations
        ]
        embeddings = torch.zeros(model.embeddings_dim, dtype=torch.float64)
        before = torch.zeros(model.joint_dim, dtype=torch.float64)
        predicted = torch.zeros(())  # of the step before
        for t in episode.observations:
            prior = self.prior(model, embeddings, before)
            mean, log_std = self.posterior(model, hidden[t], episode.obs[t])
            latent = mean + log_std.exp() * noise["posterior"][t]
            self.add_kl(add, (mean, log_std), prior)
            from_prior = prior[0] + prior[1].exp() * noise["prior"][t]
            sample = from_prior if (episode.row + t) % 2 else latent
            decoded = self.decode(model, sample)
            self.add_decoded(add, episode, hidden[t], decoded, t)
            for i, logits in enumerate(self.policy(model, sample)):
                add("policy", -torch.log_softmax(logits, -1)[greedy[t][i]])
            if self.use_sale:
                z = self.encode(model.sale, latent.detach())
                if t:
                    add("sale_latents", ((predicted - z.detach()) ** 2).mean())
            if t == episode.length:
                return
            actions = [int(a) for a in episode.actions[t]]
            embeddings, before = self.embed(model, latent, actions), latent
            parts = 3 if self.use_sale else 1
            add("embeddings", parts * ((decoded[0] - embeddings.detach()) ** 2).mean())
            if self.use_sale:
                action = torch.cat([model.action_embedding.weight[:, a] for a in actions]).detach()
                predicted = model.sale.g(torch.cat([z, action]))

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

    def sale_loss_observations(self) -> Tensor:
        sale, errors = self.module.learned_sale, []
        for episode in self.model_episodes:
            for t in range(episode.length):
                for i in range(self.agents):
                    a = one_hot(int(episode.actions[t, i]), self.num_actions)
                    predicted = sale.g(torch.cat([self.encode(sale, episode.obs[t, i]), a]))
                    reached = self.encode(sale, episode.obs[t + 1, i]).detach()
                    errors.append(((predicted - reached) ** 2).mean())
        return torch.stack(errors).mean()

    def total(self) -> Tensor:
        """The sum that the learner minimises."""
        total, config = self.td_loss(), self.config
        if self.use_sale:
            total = total + config.sale_weight * self.sale_loss_observations()
        if self.module.world_model is None:
            return total
        losses = self.model_losses()
        if self.use_sale:
            total = total + config.sale_weight * losses["sale_latents"]
        total = total + config.kl_weight * losses["kl"] + config.policy_weight * losses["policy"]
        heads = losses["obs"] + losses["mask"]
        return total + config.reconstruction_weight * (
            losses["embeddings"] + losses["hidden"] + config.observation_weight * heads
        )
