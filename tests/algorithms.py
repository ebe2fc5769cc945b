"""Small algorithms for tests: built once per call, on toy environments, in this process."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import env_registry  # noqa: F401  (registers the environments)
from env_registry.contract import TEAM
from rllib_mmsa.method.inputs import draw_noise
from rllib_mmsa.method.update import Batch
from rllib_mmsa.rllib import ALGORITHMS
from rllib_mmsa.rllib.algorithm import QLearning
from rllib_mmsa.rllib.batch import NOISE, TeamEpisode, Window, to_train_batch

#: The algorithms that learn values; the others are PPO.
Q_LEARNERS = [name for name, algorithm in ALGORITHMS.items() if issubclass(algorithm, QLearning)]
SMALL = {
    "hidden_dim": 8,
    "train_batch_episodes": 4,
    "learning_starts_episodes": 4,
    "num_envs_per_env_runner": 2,
    "min_sample_timesteps_per_iteration": 20,
    "evaluation_interval_env_steps": None,
    "lr": 1e-3,
    "learner_threads": 1,
}
SMALL_MMSA = {
    "latent_dim": 3,
    "world_model_dim": 16,
    "sale_dim": 5,
    "sale_hidden_dim": 12,
    "rollout_horizon": 2,
    "model_quality_interval": 6,
}
#: Observations in [0, 1], episodes of different lengths.
FORAGING = {"env": "lbf", "env_config": {"task": "5x5-2p-1f-v2", "max_episode_steps": 12}}


def build(
    name: str, env: str = "counter", seed: int | None = 0, env_config: dict | None = None, **config
) -> QLearning:
    """Builds a small algorithm; ``config`` overrides its settings."""
    algorithm_config = ALGORITHMS[name].get_default_config()
    small = {**SMALL, **(SMALL_MMSA if name == "MMSA" else {})}
    known = {key: value for key, value in small.items() if hasattr(algorithm_config, key)}
    settings = {**known, **config}
    algorithm_config.environment(env, env_config=env_config or {}).debugging(seed=seed)
    return algorithm_config.update_from_dict(settings).build_algo()


def learner(algorithm: QLearning) -> Any:
    """The learner in this process."""
    return algorithm.learner_group._learner


def train_batch(episodes: list[TeamEpisode]) -> Any:
    """Whole episodes as a batch to learn from."""
    return to_train_batch([Window.whole(episode) for episode in episodes])


def batch_of(algorithm: QLearning, windows: list[TeamEpisode] | list[Window]) -> dict[str, dict]:
    """Whole episodes, or windows of them, as the learner's losses see them."""
    windows = [w if isinstance(w, Window) else Window.whole(w) for w in windows]
    batch = learner(algorithm)._convert_batch_type(to_train_batch(windows))
    return {TEAM: dict(batch.policy_batches[TEAM])}


def with_noise(algorithm: QLearning, fields: dict) -> dict:
    """The fields of a batch, with noise drawn under seed 0."""
    module = learner(algorithm).team_module
    noise = draw_noise(module, Batch.of(fields), module.settings, 0)
    return fields if noise is None else {**fields, NOISE: noise}


def losses(algorithm: QLearning, batch: dict[str, dict]) -> torch.Tensor:
    """The total loss of a batch by RLlib's hooks, under fixed noise."""
    own = learner(algorithm)
    batch = {TEAM: with_noise(algorithm, batch[TEAM])}
    return own.compute_losses(fwd_out=own.module.forward_train(batch), batch=batch)[TEAM]


def weights(module: Any) -> dict[str, np.ndarray]:
    """A module's state as arrays."""
    return {name: value.numpy().copy() for name, value in module.state_dict().items()}
