"""Samples whole episodes of a grouped environment, all sub-environments in one forward pass."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.callbacks.utils import make_callback
from ray.rllib.core.columns import Columns
from ray.rllib.env import INPUT_ENV_SINGLE_SPACES, INPUT_ENV_SPACES
from ray.rllib.env.env_context import EnvContext
from ray.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner
from ray.rllib.utils.metrics import (
    NUM_ENV_STEPS_SAMPLED,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_EPISODES,
    NUM_EPISODES_LIFETIME,
    SAMPLE_TIMER,
    WEIGHTS_SEQ_NO,
)

from env_registry.contract import (
    ACTION_MASK,
    ALL,
    OBS,
    TEAM,
    WIN,
    EnvFailure,
    StepResult,
)
from rllib_mmsa.nets.kernels import use_kernels
from rllib_mmsa.rllib.batch import Recording, TeamEpisode
from rllib_mmsa.rllib.metrics import NUM_EPISODES_DROPPED_LIFETIME, WIN_RATE
from rllib_mmsa.rllib.vector_env import make_vector_env

logger = logging.getLogger(__name__)

_EPISODE_CALLBACKS = (
    "on_episode_created",
    "on_episode_start",
    "on_episode_step",
    "on_episode_end",
)


class EpisodeRunner(MultiAgentEnvRunner):
    """RLlib's MultiAgentEnvRunner, sampling ``TeamEpisode`` arrays.

    What differs from the parent: every started episode is played to its end and returned
    (none is thrown away, so short ones are not preferred); no connector runs between
    environment and module; each episode has a seed of its own, derived from the run's seed,
    the runner's index and the episodes played, so that a resumed run plays what an
    uninterrupted one would have played.
    """

    def __init__(self, config: Any, **kwargs: Any):
        self._episodes_started = 0
        self._finished: list[TeamEpisode] = []
        self._episode_capacity = 64
        self._has_wins = False
        self._failures_in_a_row = 0
        super().__init__(config, **kwargs)
        use_kernels(self.config.compiled_kernels)
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

    @property
    def env_backend(self) -> str | None:
        """The game engine, where an environment can play on several (its ``backend``)."""
        return getattr(self.env.envs[0], "backend", None) if self.env else None

    def get_spaces(self) -> dict[str, tuple[Space, Space]]:
        """The team module's spaces are the team agent's: no connector changes them."""
        if self.env is None:
            return self.spaces
        single = (self.env.single_observation_space, self.env.single_action_space)
        return {
            INPUT_ENV_SPACES: (self.env.observation_space, self.env.action_space),
            INPUT_ENV_SINGLE_SPACES: single,
            TEAM: (single[0][TEAM], single[1][TEAM]),
        }

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
            explore: epsilon-greedy (True), greedy (False), or as configured (None).
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
            episodes = self._play(num_episodes, num_timesteps, explore, random_actions)
        self._log_sampled(episodes)
        make_callback(
            "on_sample_end",
            callbacks_objects=self._callbacks,
            callbacks_functions=self.config.callbacks_on_sample_end,
            kwargs=dict(env_runner=self, metrics_logger=self.metrics, samples=episodes),
        )
        return episodes

    def _play(
        self,
        num_episodes: int | None,
        num_timesteps: int | None,
        explore: bool,
        random_actions: bool,
    ) -> list[TeamEpisode]:
        """Steps all busy sub-environments until enough episodes are finished."""
        sampled = self.num_env_steps_sampled_lifetime
        rng = np.random.default_rng(self._next_seed(1))
        limit = self.num_envs if num_episodes is None else min(num_episodes, self.num_envs)
        left = None if num_episodes is None else num_episodes - limit
        slots = [(index, self._start(index)) for index in range(limit)]
        state = self._initial_state(limit)
        done: list[TeamEpisode] = []
        steps = 0
        epsilon_step = max(1, self.num_workers)  # all runners sample at the same time
        while slots:
            actions, state = self._act(
                [recording for _, recording in slots],
                state,
                sampled + steps * epsilon_step,
                explore,
                random_actions,
                rng,
            )
            results = self.env.step_slots([index for index, _ in slots], actions)
            keep, fresh = [], []
            for row, (index, recording) in enumerate(slots):
                episode, failed = self._record(index, recording, actions[row], results[row])
                steps += not failed
                if episode is None and not failed:
                    keep.append(row)
                    fresh.append(False)
                    continue
                if episode is not None:
                    done.append(episode)
                if failed or self._start_another(left, steps, num_timesteps):
                    if left and not failed:
                        left -= 1
                    slots[row] = (index, self._start(index))
                    keep.append(row)
                    fresh.append(True)
            if len(keep) < len(slots) or any(fresh):
                slots = [slots[row] for row in keep]
                state = self._select_state(state, keep, fresh)
        return done

    @staticmethod
    def _start_another(left: int | None, steps: int, num_timesteps: int | None) -> bool:
        return left > 0 if left is not None else steps < (num_timesteps or 0)

    def _next_seed(self, use: int) -> list[int]:
        """Entropy for the next episode; ``use`` keeps apart what draws from it."""
        runner = [self.worker_index or 0, int(self.config.in_evaluation)]
        progress = [self.num_env_steps_sampled_lifetime, self._episodes_started]
        return [self._run_seed, *runner, *progress, use]

    def _start(self, index: int) -> Recording:
        """Resets a sub-environment under a seed of its own."""
        seed = int(np.random.SeedSequence(self._next_seed(0)).generate_state(1)[0] >> 1)
        self._episodes_started += 1
        try:
            observations, infos = self.env.reset_slot(index, seed)
        except Exception as error:
            self._restart(index, error)
            return self._start(index)
        recording = Recording(observations[TEAM], self._episode_capacity)
        if self._has_episode_callbacks:
            self._ongoing_episodes = self._ongoing_episodes or [None] * self.num_envs
            self._new_episode(index)
            recording.rllib_episode = self._ongoing_episodes[index]
            recording.rllib_episode.add_env_reset(observations=observations, infos=infos)
            self._make_on_episode_callback("on_episode_start", index, self._ongoing_episodes)
        return recording

    def _act(
        self,
        recordings: list[Recording],
        state: dict[str, torch.Tensor],
        env_steps: int,
        explore: bool,
        random_actions: bool,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, dict[str, torch.Tensor]]:
        """One forward pass for all busy sub-environments: actions (E, N) and the next state."""
        observation = {
            name: torch.from_numpy(np.stack([r.observation(name) for r in recordings]))
            for name in (OBS, ACTION_MASK)
        }
        module = self.module[TEAM]
        batch = {
            Columns.OBS: {k: v.to(self._device) for k, v in observation.items()},
            Columns.STATE_IN: state,
        }
        with torch.no_grad():
            if random_actions or explore:
                epsilon = 1.0 if random_actions else None
                out = module.forward_exploration(batch, t=env_steps, rng=rng, epsilon=epsilon)
            else:
                out = module.forward_inference(batch)
        return out[Columns.ACTIONS].cpu().numpy(), out[Columns.STATE_OUT]

    def _record(
        self, index: int, recording: Recording, actions: np.ndarray, result: StepResult | Exception
    ) -> tuple[TeamEpisode | None, bool]:
        """Records one slot's step: (the episode if it has ended, whether the game failed)."""
        if isinstance(result, Exception):
            self._restart(index, result)
            return None, True
        observations, rewards, terminateds, truncateds, infos = result
        info = infos.get(TEAM, {})
        recording.add(actions, rewards[TEAM], observations[TEAM], info)
        ended = terminateds[ALL] or truncateds[ALL]
        if recording.rllib_episode is not None:
            recording.rllib_episode.add_env_step(
                observations, {TEAM: actions}, rewards, infos,
                terminateds=terminateds, truncateds=truncateds,
            )  # fmt: skip
            self._make_on_episode_callback("on_episode_step", index, self._ongoing_episodes)
            if ended:
                self._make_on_episode_callback("on_episode_end", index, self._ongoing_episodes)
        if not ended:
            return None, False
        self._episode_capacity = max(self._episode_capacity, recording.length)
        self._failures_in_a_row = 0
        self._has_wins = self._has_wins or WIN in info
        # Some games speak of a win only when there is one.
        win = bool(info.get(WIN, False)) if self._has_wins else None
        return recording.finish(bool(terminateds[ALL]), win), False

    def _restart(self, index: int, error: Exception) -> None:
        """Replaces a sub-environment that raised; its episode is dropped.

        Raises:
            Exception: the environment's own, where ``restart_failed_sub_environments`` is off
                (an ``EnvFailure`` is nobody's mistake, and passes all the same).
            RuntimeError: more than ``max_failures_in_a_row`` without an episode in between.
        """
        known = isinstance(error, EnvFailure)
        if not (known or self.config.restart_failed_sub_environments):
            raise error
        self._failures_in_a_row += 1
        if self._failures_in_a_row > self.config.max_failures_in_a_row:
            raise RuntimeError(
                f"the environment {self.config.env!r} failed {self._failures_in_a_row} times in a "
                f"row without finishing an episode; its last error: {error}"
            ) from error
        logger.warning(
            "an environment failed; its episode is dropped and it is made anew: %s",
            error,
            exc_info=None if known else error,
        )
        self.metrics.log_value(NUM_EPISODES_DROPPED_LIFETIME, 1, reduce="lifetime_sum")
        self.env.restart_slot(index)

    def _initial_state(self, batch: int) -> dict[str, torch.Tensor]:
        return self.module[TEAM].agent.initial_state(batch, self._device)

    def _select_state(
        self, state: dict[str, torch.Tensor], keep: list[int], fresh: list[bool]
    ) -> dict[str, torch.Tensor]:
        """Drops the rows of finished episodes and resets those of episodes just begun."""
        rows = torch.tensor(keep, dtype=torch.int64, device=self._device)
        state = {name: values[rows] for name, values in state.items()}
        if any(fresh):
            begun = torch.tensor(fresh, device=self._device)
            for name, initial in self._initial_state(len(keep)).items():
                state[name][begun] = initial[begun]
        return state

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
        self.metrics.log_value(NUM_EPISODES_DROPPED_LIFETIME, 0, reduce="lifetime_sum")
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
            if episode.win is not None:
                self.metrics.log_value(WIN_RATE, float(episode.win), window=window)
        self._finished.clear()
        return self.metrics.reduce()

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The parent's state and what the seeds of the next episodes derive from."""
        state = super().get_state(*args, **kwargs)
        return {**state, "episodes_started": self._episodes_started, "run_seed": self._run_seed}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what ``get_state`` returned; entries may be missing."""
        super().set_state(state)
        self._episodes_started = state.get("episodes_started", self._episodes_started)
        self._run_seed = state.get("run_seed", self._run_seed)
