"""What the world model foresaw beside what happened, as observations.

Shapes: L steps of an episode, N agents, D observation numbers, K depth (steps ahead), E episodes.
Observations and errors are in the environment's units.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from env_registry.contract import OBS, STATE
from rllib_mmsa.rllib.batch import TeamEpisode
from rllib_mmsa.rllib.mmsa_modules import MMSAModule
from rllib_mmsa.td import greedy_actions


class Foresight(NamedTuple):
    """One episode as the world model foresaw it.

    Attributes:
        seen: (L+1, N, D) float32, what happened.
        imagined: (L+1, K+1, N, D) float32; [t, k] is what step t foresaw for step t + k while the
            agents acted in the imagination; [t, 0] is the present, encoded and decoded.
        told: (L, K, N, D) float32; [t, k-1] is the same under the actions really taken. Where
            t + k > L there were none, and the numbers mean nothing (NaN where K > L).
    """

    seen: np.ndarray
    imagined: np.ndarray
    told: np.ndarray


class DepthErrors(NamedTuple):
    """Squared errors by depth 1..K, for each episode; means over N and D, sums over steps.

    Attributes:
        imagined: (E, K) float64, of ``Foresight.imagined``.
        told: (E, K), of ``Foresight.told``.
        nothing_changes: (E, K), of the forecast that every observation stays as it is.
        steps: (E, K) int, over how many steps each sum goes; 0 in episodes shorter than the depth.
    """

    imagined: np.ndarray
    told: np.ndarray
    nothing_changes: np.ndarray
    steps: np.ndarray

    def mean(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The mean over all steps and half its 95 % interval.

        Args:
            name: "imagined", "told" or "nothing_changes".

        Returns:
            (K,) each; NaN at depths that no episode reached. The interval is 1.96 standard errors
            of a ratio of sums over episodes (Cochran, 1977, section 6.3): steps of one episode
            are not independent. NaN with one episode.
        """
        sums, counts = getattr(self, name), self.steps
        total = counts.sum(0)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = sums.sum(0) / total
            scatter = ((sums - mean * counts) ** 2).sum(0)
            episodes = len(sums)
            half = 1.96 * np.sqrt(scatter * episodes / (episodes - 1 or np.nan)) / total
        return mean, half


@torch.no_grad()
def foresee(module: MMSAModule, episode: TeamEpisode, horizon: int) -> Foresight:
    """Imagines ``horizon`` steps from every step of an episode.

    The means of the latents are followed, as ``sample_rollout=False`` does.

    Args:
        module: the team module with a world model, on any device.
        episode: a whole episode.
        horizon: K, 1 or more; need not be the one that was trained with.

    Returns:
        What was foreseen.
    """
    # The mixers may be handed embeddings, which nothing decodes; this copy shares all weights.
    model = copy.copy(module.world_model)
    model.rollout_latent = "prior"
    obs, actions, hidden = _read(module, episode)
    mask = torch.from_numpy(episode.action_mask[None]).to(obs.device)
    greedy = greedy_actions(module.agent.q_values(hidden, obs), mask)
    latents = model.imagine(hidden, obs, greedy, horizon=horizon, agent=module.agent)
    present = model.posterior_mean(hidden, obs)
    reach = min(horizon, len(episode))
    told = torch.stack(model.predict(present[:, :-1], actions, reach), 2)
    told = F.pad(told, (0, 0, 0, horizon - reach), value=torch.nan)
    return Foresight(episode.obs, _observations(module, latents), _observations(module, told))


def _read(module: MMSAModule, episode: TeamEpisode) -> tuple[Tensor, Tensor, Tensor]:
    """An episode as the networks read it, with a leading 1: obs, actions, agents' hidden states."""
    device = module.agent.input.weight.device
    fields = {
        OBS: torch.from_numpy(episode.obs[None]).to(device),
        STATE: torch.from_numpy(episode.state[None]).to(device),
    }
    obs = module.scale_inputs(fields)[OBS]
    actions = torch.from_numpy(episode.actions[None].astype(np.int64)).to(device)
    return obs, actions, module.agent.unroll(obs, actions)


def _observations(module: MMSAModule, latents: Tensor) -> np.ndarray:
    """Latents (1, ..., J) decoded into the environment's units, (..., N, D)."""
    model = module.world_model
    obs = model.obs_scale.invert(model.decode(latents[0]).obs)
    if module.model_config["normalise_observations"]:
        obs = module.obs_scale.invert(obs)
    return obs.cpu().numpy()


def depth_errors(module: MMSAModule, episodes: Sequence[TeamEpisode], depth: int) -> DepthErrors:
    """Errors of every depth over whole episodes.

    Args:
        module: the team module with a world model.
        episodes: E of them, such as greedy ones that nothing was learned from.
        depth: K.

    Returns:
        See ``DepthErrors``.
    """
    sums = np.zeros((3, len(episodes), depth))
    steps = np.zeros((len(episodes), depth), int)
    for e, episode in enumerate(episodes):
        foresight = foresee(module, episode, depth)
        for k in range(1, min(depth, len(episode)) + 1):
            later = episode.obs[k:].astype(np.float64)
            reach = len(later)  # steps t with an observation at t + k
            forecasts = (
                foresight.imagined[:reach, k],
                foresight.told[:reach, k - 1],
                episode.obs[:reach],
            )
            for row, forecast in enumerate(forecasts):
                sums[row, e, k - 1] = ((forecast - later) ** 2).mean((1, 2)).sum()
            steps[e, k - 1] = reach
    return DepthErrors(*sums, steps)
