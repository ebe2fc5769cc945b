"""Samples whole episodes of a grouped environment, all sub-environments in one forward pass."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from gymnasium import Space, spaces
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.callbacks.utils import make_callback
from ray.rllib.env import INPUT_ENV_SINGLE_SPACES, INPUT_ENV_SPACES
from ray.rllib.env.env_context import EnvContext
from ray.rllib.env.multi_agent_episode import MultiAgentEpisode
from ray.rllib.utils.metrics import (
    NUM_ENV_STEPS_SAMPLED,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_EPISODES,
    NUM_EPISODES_LIFETIME,
    SAMPLE_TIMER,
    WEIGHTS_SEQ_NO,
)

from env_registry.contract import OBS, TEAM, LaidOut, Layout, broken, checked_layout
from rllib_mmsa import engine
from rllib_mmsa.rllib import stop
from rllib_mmsa.rllib.batch import TeamEpisode
from rllib_mmsa.rllib.meaning import describe
from rllib_mmsa.rllib.metrics import (
    NUM_EPISODES_DROPPED_LIFETIME,
    NUM_EPISODES_NOT_FINITE_LIFETIME,
    WIN_RATE,
)
from rllib_mmsa.rllib.play import EpisodePlay
from rllib_mmsa.rllib.vector_env import make_vector_env

logger = logging.getLogger(__name__)

#: Callbacks that look at RLlib's own episodes, which are built for them alone.
_EPISODE_CALLBACKS = (
    "on_episode_created",
    "on_episode_start",
    "on_episode_step",
    "on_episode_end",
    "on_sample_end",
)


class EpisodeRunner(EpisodePlay):
    """RLlib's MultiAgentEnvRunner, sampling ``TeamEpisode`` arrays.

    What differs from the parent: every started episode is played to its end and returned
    (none is thrown away, so short ones are not preferred); no connector runs between
    environment and module; each episode has a seed of its own (``EpisodePlay``).
    """

    def __init__(self, config: Any, **kwargs: Any):
        self._episodes_started = 0
        self._finished: list[TeamEpisode] = []
        self._rllib_episodes: list[MultiAgentEpisode] = []
        self._episode_capacity = 64
        self._has_wins = False
        self._failures_in_a_row = 0
        self._not_finite: set[int] = set()
        self._not_finite_said = False
        super().__init__(config, **kwargs)
        if self.worker_index:
            # OMP_NUM_THREADS may ask for more, and these would keep the learner's cores busy.
            cores = max(int(self.config.num_cpus_per_env_runner), 1)
            torch.set_num_threads(min(torch.get_num_threads(), cores))
        seed = self.config.seed
        self._run_seed = np.random.SeedSequence().entropy if seed is None else int(seed)
        custom = any(
            getattr(type(callback), name) is not getattr(RLlibCallback, name)
            for callback in self._callbacks
            for name in _EPISODE_CALLBACKS
        )
        self._has_episode_callbacks = custom or any(
            getattr(self.config, f"callbacks_{name}") for name in _EPISODE_CALLBACKS
        )

    # Environment and spaces.

    def make_env(self) -> None:
        """Creates the sub-environments, each brought under the contract."""
        if self.env is not None:
            self.env.close()
        context = self.config.env_config
        if not isinstance(context, EnvContext):
            context = EnvContext(
                context, worker_index=self.worker_index or 0, num_workers=self.num_workers
            )
        self.env = make_vector_env(self.config.env, context, self.config.num_envs_per_env_runner)
        self.num_envs = self.env.num_envs
        make_callback(
            "on_environment_created",
            callbacks_objects=self._callbacks,
            callbacks_functions=self.config.callbacks_on_environment_created,
            kwargs=dict(
                env_runner=self, metrics_logger=self.metrics, env=self.env, env_context=context
            ),
        )

    def make_module(self) -> None:
        """RLlib's; and how it acts."""
        super().make_module()
        self.engine = engine.choose(self.module[TEAM], None, self.config, self._device)

    @property
    def env_backend(self) -> str | None:
        """The game engine, where an environment can play on several (its ``backend``)."""
        return getattr(self.env.envs[0], "backend", None) if self.env else None

    @property
    def meaning(self) -> dict[str, Any] | None:
        """What the numbers of the environment mean (meaning.py)."""
        if not self.env:
            return None
        return describe(self.env.envs[0], self.config.env, self.config.env_config)

    @property
    def observation_layout(self) -> Layout | None:
        """How the environment's observations are laid out, where it says so."""
        return checked_layout(self.env.envs[0]) if self.env else None

    def get_spaces(self) -> dict[str, tuple[Space, Space]]:
        """The team module's spaces are the team agent's: no connector changes them.

        With ``agent: hpn``, that of the observations has their layout.

        Raises:
            ContractError: the environment says none.
        """
        if self.env is None:
            return self.spaces
        single = (self.env.single_observation_space, self.env.single_action_space)
        return {
            INPUT_ENV_SPACES: (self.env.observation_space, self.env.action_space),
            INPUT_ENV_SINGLE_SPACES: single,
            TEAM: (self._observed(single[0][TEAM]), single[1][TEAM]),
        }

    def _observed(self, observed: spaces.Dict) -> spaces.Dict:
        """The team's observation space as its module needs it."""
        if not self.config.reads_things:
            return observed
        layout = self.observation_layout
        if layout is None:
            raise broken(
                f"agent is 'hpn', and the environment '{self.config.env}' does not say which "
                "numbers of an observation are of which thing",
                "agent: hpn reads things, by the environment's observation_layout",
                "agent: rnn takes any observation; how to say a layout: `rllib docs environments`, "
                "Things in an observation",
            )
        return spaces.Dict({**observed.spaces, OBS: LaidOut(observed[OBS], layout)})

    # Sampling.

    def sample(
        self,
        *,
        num_timesteps: int | None = None,
        num_episodes: int | None = None,
        explore: bool | None = None,
        random_actions: bool = False,
        force_reset: bool = False,
    ) -> list[TeamEpisode]:
        """Plays whole episodes.

        Args:
            num_timesteps: play episodes until at least so many environment steps are done.
            num_episodes: play so many episodes. Neither: one per sub-environment.
            explore: epsilon-greedy (True), greedy (False; an evaluation's runner takes
                ``evaluation_epsilon``), or as configured (None).
            random_actions: legal actions at random, without the module.
            force_reset: every call starts new episodes anyway.

        Returns:
            The finished episodes, in the order they ended.
        """
        if self.env is None:
            raise ValueError(f"{self} has no environment to sample from")
        if num_timesteps is not None and num_episodes is not None:
            raise ValueError("give num_timesteps or num_episodes, not both")
        if num_timesteps is None and num_episodes is None:
            num_episodes = self.num_envs
        explore = self.config.explore if explore is None else explore
        self.metrics.log_value(WEIGHTS_SEQ_NO, self._weights_seq_no, window=1)
        with self.metrics.log_time(SAMPLE_TIMER):
            started = self._episodes_started
            try:
                episodes = self._play(num_episodes, num_timesteps, explore, random_actions)
            except stop.StopRequested:
                self._episodes_started = started  # they are played again, under the same seeds
                self._rllib_episodes.clear()
                raise
        self._log_sampled(episodes)
        sampled, self._rllib_episodes = self._rllib_episodes, []
        make_callback(
            "on_sample_end",
            callbacks_objects=self._callbacks,
            callbacks_functions=self.config.callbacks_on_sample_end,
            kwargs=dict(env_runner=self, metrics_logger=self.metrics, samples=sampled),
        )
        return episodes

    # Metrics and state.

    def _log_sampled(self, episodes: list[TeamEpisode]) -> None:
        steps = sum(len(episode) for episode in episodes)
        self.num_env_steps_sampled_lifetime += steps * max(1, self.num_workers)
        self.metrics.log_value(NUM_ENV_STEPS_SAMPLED, steps, reduce="sum")
        self.metrics.log_value(
            NUM_ENV_STEPS_SAMPLED_LIFETIME, steps, reduce="lifetime_sum", with_throughput=True
        )
        self.metrics.log_value(NUM_EPISODES, len(episodes), reduce="sum")
        self.metrics.log_value(NUM_EPISODES_LIFETIME, len(episodes), reduce="lifetime_sum")
        # A column of progress.csv is there from the first result on, or never.
        for name in (NUM_EPISODES_DROPPED_LIFETIME, NUM_EPISODES_NOT_FINITE_LIFETIME):
            self.metrics.log_value(name, 0, reduce="lifetime_sum")
        if steps:
            self._log_env_steps(self._metrics_num_env_steps_sampled, steps)
        self._finished.extend(episodes)

    def get_metrics(self) -> dict[str, Any]:
        """RLlib's episode metrics of the episodes since the last call, and the win rate."""
        window = max(
            1, -(-self.config.metrics_num_episodes_for_smoothing // max(1, self.num_workers))
        )
        for episode in self._finished:
            returns = episode.episode_return
            agents = {f"agent_{i}": float(r) for i, r in enumerate(episode.agent_returns)}
            steps = {TEAM: len(episode)}
            self._log_episode_metrics(
                len(episode), returns, episode.duration_s, agents, {TEAM: returns}, steps
            )
            if episode.win is not None or self._has_wins:  # some games tell of wins alone
                self.metrics.log_value(WIN_RATE, float(episode.win or False), window=window)
        self._finished.clear()
        return self.metrics.reduce()

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The parent's state and what the seeds of the next episodes derive from."""
        state = super().get_state(*args, **kwargs)
        own = {"episodes_started": self._episodes_started, "run_seed": self._run_seed}
        return {**state, **own, "has_wins": self._has_wins}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what ``get_state`` returned; entries may be missing."""
        super().set_state(state)
        self._episodes_started = state.get("episodes_started", self._episodes_started)
        self._run_seed = state.get("run_seed", self._run_seed)
        self._has_wins = state.get("has_wins", self._has_wins)
