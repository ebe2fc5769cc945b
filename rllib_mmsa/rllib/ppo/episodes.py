"""Episodes of the team as RLlib's PPO learns from them: each agent's, with what it acted by.

Shapes: L steps of an episode, N agents, A actions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ray.rllib.core.columns import Columns
from ray.rllib.env.multi_agent_episode import MultiAgentEpisode
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer

from env_registry.contract import ACTION_MASK, AGENT_ID, OBS, STATE, TEAM
from rllib_mmsa.rllib.batch import TeamEpisode


@dataclass
class ActedEpisode(TeamEpisode):
    """An episode with the policy that played it.

    Attributes:
        logits: (L, N, A) float32, what the actions were drawn from.
    """

    logits: np.ndarray | None = None


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """Logarithms of the softmax over the last axis: (..., A) -> (..., A)."""
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def to_rllib(episode: ActedEpisode, bootstrap_truncated: bool) -> MultiAgentEpisode:
    """An episode in RLlib's form, whose N agents each earn an N-th of the team's reward.

    Args:
        episode: of the team.
        bootstrap_truncated: whether a time limit cuts the episode off; False: it is an end.

    Returns:
        N agents' episodes with the columns that PPO's loss reads.
    """
    steps, num_agents = episode.actions.shape
    assert episode.logits is not None
    actions = episode.actions.astype(np.int64)
    chosen = np.take_along_axis(log_probabilities(episode.logits), actions[..., None], -1)[..., 0]
    ended = episode.terminated or not bootstrap_truncated
    ids = np.eye(num_agents, dtype=np.float32)
    team = MultiAgentEpisode(len_lookback_buffer=0)
    team.env_t = steps
    team.is_terminated, team.is_truncated = ended, not ended
    for i in range(num_agents):
        agent = f"agent_{i}"
        seen = {
            OBS: episode.obs[:, i],
            ACTION_MASK: episode.action_mask[:, i],
            STATE: episode.state,
            AGENT_ID: np.tile(ids[i], (steps + 1, 1)),
        }
        team.agent_episodes[agent] = SingleAgentEpisode(
            agent_id=agent,
            module_id=TEAM,
            multi_agent_episode_id=team.id_,
            observations=InfiniteLookbackBuffer(seen, lookback=0),
            actions=InfiniteLookbackBuffer(actions[:, i], lookback=0),
            rewards=InfiniteLookbackBuffer(episode.rewards / num_agents, lookback=0),
            infos=InfiniteLookbackBuffer([{}] * (steps + 1), lookback=0),
            extra_model_outputs={
                Columns.ACTION_DIST_INPUTS: InfiniteLookbackBuffer(
                    episode.logits[:, i], lookback=0
                ),
                Columns.ACTION_LOGP: InfiniteLookbackBuffer(chosen[:, i], lookback=0),
            },
            terminated=ended,
            truncated=not ended,
            len_lookback_buffer=0,
        )
    return team
