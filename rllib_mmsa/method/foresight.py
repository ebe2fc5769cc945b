"""What the world model foresaw beside what happened, as observations.

Shapes: L steps of an episode, N agents, D observation numbers, K depth (steps ahead), E episodes,
P places and M measures of kinds.py.
Observations and errors are in the environment's units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rllib_mmsa.method.kinds import MEASURES, Places, auc, places_of, r2, tally, typical
from rllib_mmsa.method.networks import TeamNetworks
from rllib_mmsa.method.quality import Forecast, foretold_rewards, observations
from rllib_mmsa.method.targets import legal_values


class Played(Protocol):
    """A whole episode of L steps.

    Attributes:
        obs: (L+1, N, D) float32, in the environment's units.
        action_mask: (L+1, N, A), 1 where legal.
        actions: (L, N), integers.
        rewards: (L,).
    """

    obs: np.ndarray
    action_mask: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray

    def __len__(self) -> int: ...


class Foresight(NamedTuple):
    """One episode as the world model foresaw it.

    Attributes:
        seen: (L+1, N, D) float32, what happened.
        imagined: (L+1, K+1, N, D) float32; [t, k] is what step t foresaw for step t + k while the
            agents acted in the imagination; [t, 0] is the present, encoded and decoded.
        told: (L, K, N, D) float32; [t, k-1] is the same under the actions really taken. Where
            t + k > L there were none, and the numbers mean nothing (NaN where K > L).
        rewards: (L, K) float32; [t, k-1] is what step t foretold of the reward of step t + k - 1,
            as ``told``, in the unit that is learned from. NaN without a reward head.
    """

    seen: np.ndarray
    imagined: np.ndarray
    told: np.ndarray
    rewards: np.ndarray


class DepthErrors(NamedTuple):
    """Squared errors by depth 1..K, for each episode; means over N and D, sums over steps.

    Attributes:
        imagined: (E, K) float64, of ``Foresight.imagined``.
        told: (E, K), of ``Foresight.told``.
        nothing_changes: (E, K), of the forecast that every observation stays as it is.
        steps: (E, K) int, over how many steps each sum goes; 0 in episodes shorter than the depth.
        kinds: "imagined" and "told" -> (E, K, P, M, 2), the sums of ``kinds.tally``.
        entities: (P,) what stands in each place.
        rewards: "auc" and "r2" -> (K,), those of kinds.py for the rewards foretold; NaN where there
            is nothing to tell.
    """

    imagined: np.ndarray
    told: np.ndarray
    nothing_changes: np.ndarray
    steps: np.ndarray
    kinds: dict[str, np.ndarray]
    entities: tuple[str, ...]
    rewards: dict[str, np.ndarray]

    def mean(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The mean over all steps and half its 95 % interval.

        Args:
            name: "imagined", "told" or "nothing_changes".

        Returns:
            (K,) each; NaN at depths that no episode reached. The interval is 1.96 standard errors
            of a ratio of sums over episodes (Cochran, 1977, section 6.3): steps of one episode
            are not independent. NaN with one episode.
        """
        return _ratio(getattr(self, name), self.steps)

    def kind(
        self, name: str, measure: str, entity: str | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """One of ``kinds.MEASURES`` and half its 95 % interval.

        Args:
            name: "imagined" or "told".
            measure: its name.
            entity: of these alone; None: of all.

        Returns:
            (K,) each, as ``mean``; NaN at depths where nothing of that kind happened.
        """
        those = [entity in (None, each) for each in self.entities]
        sums = self.kinds[name][:, :, those, MEASURES.index(measure)].sum(2)  # (E, K, 2)
        return _ratio(sums[..., 0], sums[..., 1])


def _ratio(sums: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums over counts, both (E, K), and half a 95 % interval; NaN where nothing was counted."""
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
    device = next(nets.agent.parameters()).device
    obs = nets.scale_observations(torch.from_numpy(episode.obs[None]).to(device))
    actions = torch.from_numpy(episode.actions[None].astype(np.int64)).to(device)
    mask = torch.from_numpy(episode.action_mask[None]).to(device)
    hidden = nets.agent.unroll(obs, actions)
    greedy = legal_values(nets.agent, hidden, obs, mask).argmax(-1)
    latents = model.imagine(hidden, obs, greedy, horizon)
    present = model.posterior(hidden, obs).mean
    reach = min(horizon, len(episode))
    forecast = Forecast(present, model.predict(present[:, :-1], actions, reach))
    ahead = F.pad(torch.stack(forecast.ahead, 2), (0, 0, 0, horizon - reach), value=torch.nan)
    imagined, told = (observations(nets, each[0]).cpu().numpy() for each in (latents, ahead))
    rewards = np.full((len(episode), horizon), np.nan, np.float32)
    for k in range(1, reach + 1) if model.outcome_net is not None else ():
        foretold = foretold_rewards(model, forecast, actions, k)[0]
        rewards[: len(foretold), k - 1] = foretold.cpu().numpy()
    return Foresight(episode.obs, imagined, told, rewards)


def depth_errors(
    nets: TeamNetworks, episodes: Sequence[Played], depth: int, places: Places | None = None
) -> DepthErrors:
    """Errors of every depth over whole episodes.

    Args:
        nets: networks with a world model.
        episodes: E of them, such as greedy ones that nothing was learned from.
        depth: K.
        places: how observations are laid out; None: every number by itself.

    Returns:
        See ``DepthErrors``.
    """
    places = places or places_of(None, episodes[0].obs.shape[-1])
    usual = usual_of(places, episodes)
    kinds = np.zeros((2, len(episodes), depth, len(places.kinds), len(MEASURES), 2))
    sums = np.zeros((3, len(episodes), depth))
    steps = np.zeros((len(episodes), depth), int)
    foretold = []
    for e, episode in enumerate(episodes):
        foresight = foresee(nets, episode, depth)
        foretold.append(foresight.rewards)
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
            for row in range(2):
                kinds[row, e, k - 1] = tally_numpy(
                    places, episode.obs[:reach], episode.obs[k:], forecasts[row], usual
                )
            steps[e, k - 1] = reach
    by_name = dict(zip(("imagined", "told"), kinds, strict=True))
    scores = reward_scores(foretold, [episode.rewards for episode in episodes])
    return DepthErrors(sums[0], sums[1], sums[2], steps, by_name, places.kinds, scores)


def reward_scores(
    foretold: Sequence[np.ndarray], paid: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:
    """How well rewards are foretold, by depth; of each episode (L, K) and (L,).

    Returns:
        "auc", of whether a step paid, and "r2", (K,) each: see ``DepthErrors.rewards``.
    """
    depth = foretold[0].shape[1]
    scores = {name: np.full(depth, np.nan) for name in ("auc", "r2")}
    for k in range(depth):
        known = [each[: max(len(each) - k, 0), k] for each in foretold]
        told = torch.from_numpy(np.concatenate(known))
        rewards = torch.from_numpy(np.concatenate([each[k:] for each in paid]))
        if len(told) == 0 or told.isnan().any():
            continue
        found = {"auc": auc(told, rewards > 0), "r2": r2(told, rewards)}
        for name, score in found.items():
            scores[name][k] = np.nan if score is None else score.item()
    return scores


def usual_of(places: Places, episodes: Sequence[Played]) -> Tensor:
    """``kinds.typical`` of whole episodes, (P, W)."""
    seen = torch.from_numpy(np.concatenate([episode.obs for episode in episodes]))
    return typical(places, places.pick(seen)[None], torch.ones(1, len(seen)))


def tally_numpy(
    places: Places, before: np.ndarray, after: np.ndarray, foreseen: np.ndarray, usual: Tensor
) -> np.ndarray:
    """``kinds.tally`` of steps (T, N, D) that all count, (P, M, 2)."""
    b, a, f = (places.pick(torch.from_numpy(x))[None] for x in (before, after, foreseen))
    return tally(places, b, a, f, usual, torch.ones(1, len(before))).numpy()
