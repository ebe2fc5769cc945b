"""Plays whole episodes of a grouped environment, all sub-environments in one forward pass."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner

from env_registry.contract import ACTION_MASK, ALL, OBS, TEAM, WIN, EnvFailure, StepResult
from rllib_mmsa.rllib.batch import Recording, TeamEpisode
from rllib_mmsa.rllib.metrics import NUM_EPISODES_DROPPED_LIFETIME
from rllib_mmsa.rllib.module import Q_VALUES

logger = logging.getLogger(__name__)


class EpisodePlay(MultiAgentEnvRunner):
    """The loop of an env runner: every started episode is played to its end and returned.

    Each episode has a seed of its own, derived from the run's seed, the runner's index and the
    episodes played, so that a resumed run plays what an uninterrupted one would have played.
    ``EpisodeRunner`` (runner.py) sets what this reads.
    """

    engine: Any  # rllib_mmsa.engine.Engine
    _run_seed: int
    _episodes_started: int
    _episode_capacity: int
    _has_wins: bool
    _failures_in_a_row: int
    _has_episode_callbacks: bool

    def _play(
        self,
        num_episodes: int | None,
        num_timesteps: int | None,
        explore: bool,
        random_actions: bool,
    ) -> list[TeamEpisode]:
        """Steps all busy sub-environments until enough episodes are finished."""
        start = self.num_env_steps_sampled_lifetime
        rng = np.random.default_rng(self._next_seed(1))
        limit = self.num_envs if num_episodes is None else min(num_episodes, self.num_envs)
        left = None if num_episodes is None else num_episodes - limit
        slots = [(index, self._start(index)) for index in range(limit)]
        state = self._initial_state(limit)
        done: list[TeamEpisode] = []
        steps = 0
        everybody = max(1, self.num_workers)  # all runners sample at the same time
        while slots:
            recordings = [recording for _, recording in slots]
            now = start + steps * everybody
            actions, state = self._act(recordings, state, now, explore, random_actions, rng)
            results = self.env.step_slots([index for index, _ in slots], actions)
            keep, fresh = [], []
            for row, (index, recording) in enumerate(slots):
                episode, failed = self._record(index, recording, actions[row], results[row])
                steps += not failed
                again = failed  # an episode that failed is played anew
                if episode is not None:
                    done.append(episode)
                    again = self._start_another(left, steps, num_timesteps)
                    left = left - 1 if left and again else left
                if again:
                    slots[row] = (index, self._start(index))
                if again or episode is None:
                    keep.append(row)
                    fresh.append(again)
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
            obs = module.scale_observations(batch[Columns.OBS][OBS])
            batch[Q_VALUES], batch[Columns.STATE_OUT] = self.engine.act(obs, state)
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
