"""Samples whole episodes with a policy that all agents share.

Shapes: E environments, N agents, A actions, D observation numbers, L steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import Space, spaces
from ray.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner
from torch import Tensor

from env_registry.contract import ACTION_MASK, AGENT_ID, OBS, TEAM, agent_space
from rllib_mmsa.rllib.batch import TeamEpisode
from rllib_mmsa.rllib.exploration import epsilon_greedy
from rllib_mmsa.rllib.ppo.episodes import ActedEpisode
from rllib_mmsa.rllib.runner import EpisodeRunner


class PolicyRunner(EpisodeRunner):
    """The Q-learners' runner, acting by a policy: equal episodes, seeds, tests and numbers."""

    def make_module(self) -> None:
        """RLlib's; a policy is computed in PyTorch, there is no engine to choose."""
        MultiAgentEnvRunner.make_module(self)

    def get_spaces(self) -> dict[str, tuple[Space, Space]]:
        """The module's spaces are one agent's."""
        if self.env is None:
            return self.spaces
        team: Any = self.env.single_observation_space[TEAM]
        actions = spaces.Discrete(int(team[ACTION_MASK].shape[1]))
        return {**super().get_spaces(), TEAM: (agent_space(team, 0), actions)}

    def sample(self, **asked: Any) -> list[TeamEpisode]:
        """Plays whole episodes.

        Args:
            **asked: those of ``EpisodeRunner.sample``.

        Returns:
            The finished episodes. Neither number given: this runner's share of a train batch, as
            ``ActedEpisode`` with the logits that the actions were drawn from.
        """
        to_learn = asked.get("num_timesteps") is None and asked.get("num_episodes") is None
        if to_learn:
            share = -(-self.config.train_batch_episodes // max(1, self.num_workers))
            asked["num_episodes"] = share
        played = super().sample(**asked)
        return self._with_logits(played) if to_learn else played

    @torch.no_grad()
    def _with_logits(self, episodes: list[TeamEpisode]) -> list[TeamEpisode]:
        """Computes the policy of all steps again, at once: the weights are still those."""
        obs = np.concatenate([episode.obs[:-1] for episode in episodes])
        mask = np.concatenate([episode.action_mask[:-1] for episode in episodes])
        logits = self._logits(obs, mask).cpu().numpy()  # (steps of all, N, A)
        ends = np.cumsum([len(episode) for episode in episodes])[:-1]
        return [
            ActedEpisode(**vars(episode), logits=own)
            for episode, own in zip(episodes, np.split(logits, ends), strict=True)
        ]

    def _logits(self, obs: np.ndarray, action_mask: np.ndarray) -> Tensor:
        """The policy: obs (E, N, D), action_mask (E, N, A) -> (E, N, A)."""
        num_envs, num_agents, _ = obs.shape
        ids = torch.eye(num_agents, device=self._device).expand(num_envs, -1, -1)
        seen = {
            OBS: torch.from_numpy(obs).to(self._device),
            ACTION_MASK: torch.from_numpy(action_mask).to(self._device),
            AGENT_ID: ids,
        }
        return self.module[TEAM].logits(seen)

    @torch.no_grad()
    def _act(
        self,
        seen: dict[str, np.ndarray],
        state: dict[str, Tensor],
        env_steps: int,
        explore: bool,
        random_actions: bool,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, dict[str, Tensor]]:
        """One forward pass for all busy sub-environments: actions (E, N); there is no state."""
        logits = self._logits(seen[OBS], seen[ACTION_MASK]).cpu().numpy()
        if explore and not random_actions:
            # The largest of logits plus Gumbel noise is a draw from their softmax.
            return (logits + rng.gumbel(size=logits.shape)).argmax(-1), state
        greedy = logits.argmax(-1)
        epsilon = self._epsilon(explore, random_actions)
        return epsilon_greedy(greedy, seen[ACTION_MASK], epsilon or 0.0, rng), state

    def _initial_state(self, batch: int) -> dict[str, Tensor]:
        return {}
