"""The losses of section 4.4 as slow loops: one episode, one step, one agent, one action at a time.

Written from the equations, on plain vectors, without padding, without masks over batches and
without any of the product's tensor code but its layers' weights. Every reading that is a setting is
here, but for ``normaliser: batch``, which no single vector has. The world model is in
tests/reference_model.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.reference_model import Episode, ModelReference, direct, encode, one_hot
from tests.reference_uses import UsesReference, gated

ILLEGAL = -1e9


def gru_cell(gru: Any, x: Tensor, h: Tensor) -> Tensor:
    """One step of a GRU by its equations (Cho et al., 2014, as PyTorch writes them)."""
    x_r, x_z, x_n = (gru.weight_ih_l0 @ x + gru.bias_ih_l0).chunk(3)
    h_r, h_z, h_n = (gru.weight_hh_l0 @ h + gru.bias_hh_l0).chunk(3)
    reset, update = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
    return (1 - update) * torch.tanh(x_n + reset * h_n) + update * h


class Reference(UsesReference):
    """Losses of a team module on a batch, by loops.

    Args:
        module: the team module, in float64.
        config: the algorithm's settings.
        batch: fields of rllib_mmsa/rllib/batch.py, float64.
        noise: {"posterior", "prior"}, (B, T+1, J) each.
    """

    def __init__(self, module: Any, config: Any, batch: dict[str, Tensor], noise: dict):
        self.module, self.config = module, config
        self.use_sale = getattr(config, "use_sale", False)
        self.agents, self.num_actions = module.num_agents, module.num_actions
        if module.world_model is not None:
            self.model = ModelReference(module, config)
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
        z = encode(self.config.normaliser, agent.sale, obs).detach()
        z_a = agent.sale.g(torch.cat([z, a])).detach()
        phi = direct(self.config.normaliser, agent.sale, torch.cat([obs, a]))
        per_state = agent.from_state(torch.cat([hidden, z]))
        of_both = agent.head(F.relu(per_state + agent.from_action(torch.cat([z_a, phi]))))[0]
        return of_both + agent.per_action(hidden)[action]

    def greedy(self, agent: Any, hidden: Tensor, obs: Tensor, legal: Any) -> int:
        values = [
            self.value(agent, hidden, obs, a).item() if legal[a] else ILLEGAL
            for a in range(self.num_actions)
        ]
        return max(range(self.num_actions), key=values.__getitem__)

    def greedy_team(self, agent: Any, states: list, episode: Episode, t: int) -> list[int]:
        obs, legal = episode.obs[t], episode.mask[t]
        return [self.greedy(agent, states[t][i], obs[i], legal[i]) for i in range(self.agents)]

    def best(self, agent: Any, states: list, episode: Episode, t: int) -> list[Tensor]:
        """Each agent's value of its best legal action."""
        greedy = self.greedy_team(agent, states, episode, t)
        obs = episode.obs[t]
        return [self.value(agent, states[t][i], obs[i], a) for i, a in enumerate(greedy)]

    def duplex(self, mixer: Any, values: list, state: Tensor, actions: list, best: list) -> Tensor:
        """QPLEX's Q_tot, (1,)."""
        taken = torch.zeros(self.agents, self.num_actions, dtype=state.dtype)
        taken[torch.arange(self.agents), actions] = 1
        keys, of_state = mixer.keys(state), mixer.of_state(state)
        of_actions = mixer.of_actions(torch.cat([state, taken.flatten()]))
        total = torch.zeros(1, dtype=state.dtype)
        for i, q in enumerate(values):
            weight, advantage = mixer.weights(state)[i].abs(), (q - best[i]).detach()
            importance = sum(
                keys[k].abs()
                * torch.sigmoid(of_state[k * self.agents + i])
                * torch.sigmoid(of_actions[k * self.agents + i])
                for k in range(mixer.heads)
            )
            total = total + weight * q + mixer.bias(state)[i]
            total = total + (importance - 1) * weight.detach() * advantage
        return total

    def mix(self, mixer: Any, values: list, state: Tensor, actions: list, best: list) -> Tensor:
        """Q_tot, (1,); of independent Q-learning, (N,)."""
        if self.config.mixer is None:
            return torch.stack(values)
        if self.config.mixer == "qplex":
            return self.duplex(mixer, values, state, actions, best)
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
                best = self.best(self.module.agent, online, episode, t)
                taken = episode.actions[t].tolist()
                value = self.mix(self.module.mixer, chosen, state, taken, best)
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
        share = self.config.td_lambda if t + 1 < episode.length else 0.0
        expands = getattr(self.config, "value_expansion", 0)
        reached = self.expanded if expands else self.next_value
        value = (1 - share) * reached(episode, online, target, t)
        if share:
            value = value + share * self.target(episode, online, target, t + 1)
        return episode.rewards[t] + self.config.gamma * value

    def next_value(self, episode: Episode, online: list, target: list, t: int) -> Tensor:
        """The target mixer's value of the state that step t reaches."""
        obs = episode.obs[t + 1]
        actions = self.next_actions(episode, online, target, t + 1)
        values = [
            self.value(self.module.target_agent, target[t + 1][i], obs[i], actions[i])
            for i in range(self.agents)
        ]
        state = self.mixer_state("target_", episode, online, target, t + 1)
        best = self.best(self.module.target_agent, target, episode, t + 1)
        return self.mix(self.module.target_mixer, values, state, actions, best)

    def mixer_state(
        self, which: str, episode: Episode, online: list, target: list, t: int
    ) -> Tensor:
        """What the mixer ("") or the target mixer ("target_") reads at step t."""
        parts = [episode.state[t]] if getattr(self.config, "use_global_state", True) else []
        if self.module.world_model is not None:
            actions = self.next_actions(episode, online, target, t)
            latents, variances, _ = self.model.imagine_all(target[t], episode.obs[t], actions)
            if self.config.gate_rollout:
                latents = gated(self.agents, latents, variances)
            linear = getattr(self.module, f"{which}aggregator").linear
            parts.append(torch.tanh(linear(torch.cat(latents))))
        elif getattr(self.config, "mixer_reads", None) == "hidden":
            linear = getattr(self.module, f"{which}aggregator").linear
            parts.append(torch.tanh(linear(torch.cat(target[t]))))
        return torch.cat(parts)

    # The other losses, and all of them.

    def played(self) -> Iterator[tuple[Episode, list, list]]:
        """What the world model learns from: episodes, hidden states and greedy actions."""
        agent = self.module.agent
        for episode in self.model_episodes:
            states = self.hidden(agent, episode)
            steps = episode.observations
            yield episode, states, [self.greedy_team(agent, states, episode, t) for t in steps]

    def sale_loss_observations(self) -> Tensor:
        sale, errors = self.module.learned_sale, []
        for episode in self.model_episodes:
            for t in range(episode.length):
                for i in range(self.agents):
                    a = one_hot(int(episode.actions[t, i]), self.num_actions)
                    z = encode(self.config.normaliser, sale, episode.obs[t, i])
                    reached = encode(self.config.normaliser, sale, episode.obs[t + 1, i])
                    predicted = sale.g(torch.cat([z, a]))
                    errors.append(((predicted - reached.detach()) ** 2).mean())
        return torch.stack(errors).mean()

    def total(self) -> Tensor:
        """The sum that the learner minimises."""
        total, config = self.td_loss(), self.config
        if self.use_sale:
            total = total + config.sale_weight * self.sale_loss_observations()
            if config.self_prediction_weight:
                total = total + config.self_prediction_weight * self.self_prediction_loss()
        if self.module.world_model is None or config.mixer_reads == "untrained":
            return total
        losses = self.model.losses(self.played())
        if config.value_expansion:
            total = total + self.value_loss()
        if self.use_sale:
            total = total + config.sale_weight * losses["sale_latents"]
        total = total + config.kl_weight * losses["kl"] + config.policy_weight * losses["policy"]
        for name in ("reward", "end"):
            total = total + getattr(config, f"{name}_weight") * losses.get(name, 0.0)
        heads = losses["obs"] + losses["mask"]
        ahead = config.open_loop_weight * losses.get("open_loop", 0.0)
        return total + config.reconstruction_weight * (
            losses["embeddings"] + losses["hidden"] + config.observation_weight * heads + ahead
        )
