"""What the world model foresaw beside what happened, as observations.

Shapes: L steps of an episode, N agents, D observation numbers, K depth (steps ahead), E episodes.
Observations and errors are in the environment's units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rllib_mmsa.method.networks import TeamNetworks
from rllib_mmsa.method.targets import greedy_actions


class Played(Protocol):
    """A whole episode of L steps.

    Attributes:
        obs: (L+1, N, D) float32, in the environment's units.
        action_mask: (L+1, N, A), 1 where legal.
        actions: (L, N), integers.
    """

    obs: np.ndarray
    action_mask: np.ndarray
    actions: np.ndarray

    def __len__(self) -> int: ...


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
def foresee(nets: TeamNetworks, episode: Played, horizon: int) -> Foresight:
    """Imagines ``horizon`` steps from every step of an episode, following the latents' means.

    Args:
        nets: networks with a world model, on any device.
        episode: a whole episode.
        horizon: K, 1 or more; need not be the one that was trained with.

    Returns:
        What was foreseen.
    """
    model = nets.world_model
    device = nets.agent.input.weight.device
    obs = torch.from_numpy(episode.obs[None]).to(device)
    if nets.obs_scale is not None:
        obs = nets.obs_scale(obs)
    actions = torch.from_numpy(episode.actions[None].astype(np.int64)).to(device)
    mask = torch.from_numpy(episode.action_mask[None]).to(device)
    hidden = nets.agent.unroll(obs, actions)
    greedy = greedy_actions(nets.agent.q_values(hidden, obs), mask)
    latents = model.imagine(hidden, obs, greedy, horizon)
    present = model.posterior(hidden, obs).mean
    reach = min(horizon, len(episode))
    told = torch.stack(model.predict(present[:, :-1], actions, reach), 2)
    told = F.pad(told, (0, 0, 0, horizon - reach), value=torch.nan)
    return Foresight(episode.obs, _observations(nets, latents), _observations(nets, told))


def _observations(nets: TeamNetworks, latents: Tensor) -> np.ndarray:
    """Latents (1, ..., J) decoded into the environment's units, (..., N, D)."""
    model = nets.world_model
    obs = model.obs_scale.invert(model.decode(latents[0]).obs)
    if nets.obs_scale is not None:
        obs = nets.obs_scale.invert(obs)
    return obs.cpu().numpy()


def depth_errors(nets: TeamNetworks, episodes: Sequence[Played], depth: int) -> DepthErrors:
    """Errors of every depth over whole episodes.

    Args:
        nets: networks with a world model.
        episodes: E of them, such as greedy ones that nothing was learned from.
        depth: K.

    Returns:
        See ``DepthErrors``.
    """
    sums = np.zeros((3, len(episodes), depth))
    steps = np.zeros((len(episodes), depth), int)
    for e, episode in enumerate(episodes):
        foresight = foresee(nets, episode, depth)
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
    return DepthErrors(sums[0], sums[1], sums[2], steps)
