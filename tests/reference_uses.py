"""The options of method/uses.py as slow loops; tests/reference.py says how they are written."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.reference_model import Episode, encode, one_hot


def gated(agents: int, latents: list[Tensor], variances: list[Tensor]) -> list[Tensor]:
    """``gate_rollout``: each agent's imagined change, times signal / (signal + spread)."""
    now, spread, shrunk = latents[0], torch.zeros_like(latents[0]), [latents[0]]
    for later, variance in zip(latents[1:], variances, strict=True):
        spread = spread + variance
        parts = []
        for change, noise in zip((later - now).chunk(agents), spread.chunk(agents), strict=True):
            signal = (change**2).sum()
            parts.append(signal / (signal + noise.sum()) * change)
        shrunk.append(now + torch.cat(parts))
    return shrunk


class UsesReference:
    """Value expansion and self-prediction; a part of ``tests.reference.Reference``."""

    module: Any
    config: Any
    agents: int
    num_actions: int
    model: Any
    episodes: list
    model_episodes: list
    _shares: list | None = None

    def k_steps(self, latents: list[Tensor], actions: list[list[int]], k: int) -> Tensor:
        """k rewards foretold along latents, and the value of the last."""
        model, total, discount = self.module.target_world_model, 0.0, 1.0
        for j in range(k):
            pair = torch.cat([latents[j], self.model.one_hots(actions[j]), latents[j + 1]])
            reward, end = model.outcome_net(pair)
            total = total + discount * reward
            discount = discount * self.config.gamma * (1 - torch.sigmoid(end))
        return total + discount * model.value_net(latents[k])[0]

    def ended(self, episode: Episode, t: int) -> bool:
        limit = episode.truncated[t] and not self.config.bootstrap_truncated
        return bool(episode.terminated[t] or limit)

    def came(self, episode: Episode, nets: tuple, t: int, k: int) -> Tensor:
        """What came of k steps from step t: rewards, and the value that the last one reached."""
        if k == 0:
            return self.next_value(episode, *nets, t - 1)[0]
        if self.ended(episode, t):
            return episode.rewards[t]
        return episode.rewards[t] + self.config.gamma * self.came(episode, nets, t + 1, k - 1)

    def shares(self) -> list[float]:
        """What depth 0..H counts: 1 / (E_0 + E_k), then as shares."""
        if self._shares is None:
            depth, model = self.config.value_expansion, self.module.target_world_model
            errors: list[list[float]] = [[] for _ in range(depth + 1)]
            for episode in self.episodes:
                online = self.hidden(self.module.agent, episode)
                nets = online, self.hidden(self.module.target_agent, episode)
                for t in range(1, episode.length):
                    now = self.came(episode, nets, t, 0)
                    errors[0].append(float(self.came(episode, nets, t, 1) - now) ** 2)
                    latents = [self.model.posterior(model, nets[1][t], episode.obs[t])[0]]
                    for k in range(1, min(depth, episode.length - t) + 1):
                        actions = [[int(a) for a in row] for row in episode.actions[t : t + k]]
                        latents.append(self.model.after(model, latents[-1], actions[-1]))
                        told = self.k_steps(latents, actions, k)
                        errors[k].append(float(told - self.came(episode, nets, t, k)) ** 2)
            means = [sum(each) / len(each) for each in errors]
            counts = [1 / (means[0] + other) for other in (0.0, *means[1:])]
            self._shares = [count / sum(counts) for count in counts]
        return self._shares

    @torch.no_grad()
    def expanded(self, episode: Episode, online: list, target: list, t: int) -> Tensor:
        """V_{t+1}, averaged over depths."""
        actions = self.next_actions(episode, online, target, t + 1)
        latents, _, taken = self.model.imagine_all(target[t + 1], episode.obs[t + 1], actions)
        depth = self.config.value_expansion
        values = [self.next_value(episode, online, target, t)]
        values += [self.k_steps(latents, taken, k)[None] for k in range(1, depth + 1)]
        return sum(share * value for share, value in zip(self.shares(), values, strict=True))

    def value_loss(self) -> Tensor:
        """Of the value head, on what the world model learns from."""
        model, errors = self.module.world_model, []
        for episode, states, _ in self.played():
            with torch.no_grad():
                target = self.hidden(self.module.target_agent, episode)
            for t in range(episode.length):
                if self.ended(episode, t):
                    errors.append(torch.zeros(()))
                    continue
                still = [h.detach() for h in states[t + 1]]
                latent, _ = self.model.posterior(model, still, episode.obs[t + 1])
                with torch.no_grad():
                    value = self.next_value(episode, states, target, t)[0]
                errors.append((model.value_net(latent)[0] - value) ** 2)
        return torch.stack(errors).mean()

    def self_prediction_loss(self) -> Tensor:
        """Each agent's next embedding, foretold from its own state and action."""
        errors = []
        for episode in self.model_episodes:
            states = self.hidden(self.module.agent, episode)
            for t in range(episode.length):
                for i in range(self.agents):
                    a = one_hot(int(episode.actions[t, i]), self.num_actions)
                    told = self.module.self_predictor(torch.cat([states[t][i], a]))
                    sale = self.module.learned_sale
                    z = encode(self.config.normaliser, sale, episode.obs[t + 1, i]).detach()
                    errors.append(((told - z) ** 2).mean())
        return torch.stack(errors).mean()
