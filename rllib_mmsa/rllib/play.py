"""Plays whole episodes of a grouped environment, all sub-environments in one forward pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ray.rllib.core.columns import Columns

from env_registry.contract import (
    ACTION_MASK,
    OBS,
    TEAM,
    WIN,
    ContractError,
    EnvFailure,
    StepResult,
)
from rllib_mmsa.rllib import messages, stop
from rllib_mmsa.rllib.batch import Recording, TeamEpisode
from rllib_mmsa.rllib.metrics import (
    NUM_EPISODES_DROPPED_LIFETIME,
    NUM_EPISODES_NOT_FINITE_LIFETIME,
)
from rllib_mmsa.rllib.module import Q_VALUES
from rllib_mmsa.rllib.received import NotFinite, read_reset, read_step, unplayable
from rllib_mmsa.rllib.supervised import SupervisedRunner, TooManyFailures


class EpisodePlay(SupervisedRunner):
    """The loop of an env runner: every started episode is played to its end and returned.

    Each episode has a seed of its own, derived from the run's seed, the runner's index and the
    episodes played, so that a resumed run plays what an uninterrupted one would have played; with
    remote runners, whose counts are in no checkpoint, it plays others.
    ``EpisodeRunner`` (runner.py) sets what this reads.
    """

    engine: Any  # rllib_mmsa.engine.Engine
    _run_seed: int
    _episodes_started: int
    _episode_capacity: int
    _has_wins: bool
    _failures_in_a_row: int
    _not_finite: set[int]  # sub-environments whose last episode was not finite
    _not_finite_said: bool
    _has_episode_callbacks: bool
    _rllib_episodes: list[Any]  # those that have ended, for on_sample_end

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
        while slots:
            self.beat()
            self._give_up_if_stopped()
            seen = self._observations([recording for _, recording in slots])
            now = start + steps * max(1, self.num_workers)  # all runners sample at the same time
            actions, state = self._act(seen, state, now, explore, random_actions, rng)
            results = self._step([index for index, _ in slots], actions, seen[ACTION_MASK])
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

    def _give_up_if_stopped(self) -> None:
        """Raises `StopRequested` once that is due; runners in other processes play to the end."""
        if not self.worker_index:
            stop.listener.check()

    @staticmethod
    def _start_another(left: int | None, steps: int, num_timesteps: int | None) -> bool:
        return left > 0 if left is not None else steps < (num_timesteps or 0)

    def _next_seed(self, use: int) -> list[int]:
        """Entropy for the next episode; ``use`` keeps apart what draws from it."""
        runner = [self.worker_index or 0, int(self.config.in_evaluation)]
        progress = [self.num_env_steps_sampled_lifetime, self._episodes_started]
        return [self._run_seed, *runner, *progress, use]

    def _start(self, index: int) -> Recording:
        """Resets a sub-environment under a seed of its own, until an episode begins."""
        while True:
            seed = int(np.random.SeedSequence(self._next_seed(0)).generate_state(1)[0] >> 1)
            self._episodes_started += 1
            self.beat()
            try:
                first, observations, infos = read_reset(self.env.reset_slot(index, seed))
                recording = Recording(first, self._episode_capacity, self._shapes())
            except Exception as error:
                self._restart(index, error)
                continue
            if self._has_episode_callbacks:
                self._begin_rllib_episode(index, recording, observations, infos)
            return recording

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of a team's observation."""
        space = self.env.single_observation_space[TEAM]
        return {name: box.shape for name, box in space.spaces.items()}

    def _begin_rllib_episode(
        self, index: int, recording: Recording, observations: Any, infos: Any
    ) -> None:
        """RLlib's own episode, for callbacks that look at one."""
        self._ongoing_episodes = self._ongoing_episodes or [None] * self.num_envs
        self._new_episode(index)
        recording.rllib_episode = self._ongoing_episodes[index]
        recording.rllib_episode.add_env_reset(observations=observations, infos=infos)
        self._make_on_episode_callback("on_episode_start", index, self._ongoing_episodes)

    @staticmethod
    def _observations(recordings: list[Recording]) -> dict[str, np.ndarray]:
        """What all busy sub-environments show now: (E, N, D) and (E, N, A)."""
        return {
            name: np.stack([recording.observation(name) for recording in recordings])
            for name in (OBS, ACTION_MASK)
        }

    def _step(
        self, indices: list[int], actions: np.ndarray, masks: np.ndarray
    ) -> list[StepResult | Exception]:
        """Steps the busy sub-environments, except those whose masks nobody can act under."""
        wrong = unplayable(masks)
        if not wrong:
            return self.env.step_slots(indices, actions)
        rows = [row for row in range(len(indices)) if row not in wrong]
        results: dict[int, Any] = dict(wrong)
        if rows:
            stepped = self.env.step_slots([indices[row] for row in rows], actions[rows])
            results.update(zip(rows, stepped, strict=True))
        return [results[row] for row in range(len(indices))]

    def _act(
        self,
        seen: dict[str, np.ndarray],
        state: dict[str, torch.Tensor],
        env_steps: int,
        explore: bool,
        random_actions: bool,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, dict[str, torch.Tensor]]:
        """One forward pass for all busy sub-environments: actions (E, N) and the next state."""
        module = self.module[TEAM]
        batch = {
            Columns.OBS: {k: torch.from_numpy(v).to(self._device) for k, v in seen.items()},
            Columns.STATE_IN: state,
        }
        with torch.no_grad():
            obs = module.scale_observations(batch[Columns.OBS][OBS])
            batch[Q_VALUES], batch[Columns.STATE_OUT] = self.engine.act(obs, state)
            epsilon = self._epsilon(explore, random_actions)
            if epsilon == 0.0:
                out = module.forward_inference(batch)
            else:
                out = module.forward_exploration(batch, t=env_steps, rng=rng, epsilon=epsilon)
        return out[Columns.ACTIONS].cpu().numpy(), out[Columns.STATE_OUT]

    def _epsilon(self, explore: bool, random_actions: bool) -> float | None:
        """The share of random actions; None: that of the training's schedule."""
        if random_actions:
            return 1.0
        if explore:
            return None
        return self.config.evaluation_epsilon if self.config.in_evaluation else 0.0

    def _record(
        self, index: int, recording: Recording, actions: np.ndarray, result: StepResult | Exception
    ) -> tuple[TeamEpisode | None, bool]:
        """Records one slot's step: (the episode if it has ended, whether the game failed)."""
        try:
            if isinstance(result, Exception):
                raise result
            step = read_step(result)
            recording.add(actions, step.reward, step.observation, step.info)
            ended = step.terminated or step.truncated
            # Some games speak of a win only when there is one.
            has_wins = self._has_wins or (ended and WIN in step.info)
            win = bool(step.info.get(WIN, False)) if has_wins else None
            episode = recording.finish(step.terminated, win) if ended else None
        except Exception as error:
            self._restart(index, error)
            return None, True
        if recording.rllib_episode is not None:
            self._tell_callbacks(index, recording, actions, result, ended)
        if ended:
            self._has_wins = has_wins
            self._episode_capacity = max(self._episode_capacity, recording.length)
            self._failures_in_a_row = 0
            self._not_finite.discard(index)
        return episode, False

    def _tell_callbacks(
        self, index: int, recording: Recording, actions: np.ndarray, result: Any, ended: bool
    ) -> None:
        observations, rewards, terminateds, truncateds, infos = result
        recording.rllib_episode.add_env_step(
            observations, {TEAM: actions}, rewards, infos,
            terminateds=terminateds, truncateds=truncateds,
        )  # fmt: skip
        self._make_on_episode_callback("on_episode_step", index, self._ongoing_episodes)
        if ended:
            self._make_on_episode_callback("on_episode_end", index, self._ongoing_episodes)
            self._ongoing_episodes_for_metrics.clear()  # RLlib makes an entry for the callback
            self._rllib_episodes.append(recording.rllib_episode.to_numpy())

    def _restart(self, index: int, error: Exception) -> None:
        """Drops the episode of a sub-environment that failed, and makes it anew.

        One whose episode was not finite is first only reset; it is made anew if the next one is
        not finite either.

        Raises:
            Exception: the environment's own, where it is not to be replaced
                (an ``EnvFailure`` is nobody's mistake, and passes all the same).
            TooManyFailures: more than ``max_failures_in_a_row`` without an episode in between.
        """
        known = isinstance(error, EnvFailure)
        in_words = known or isinstance(error, ContractError)  # no line of code says more
        if not (known or self.replaces_failed_environments):
            raise error
        self._failures_in_a_row += 1
        if self._failures_in_a_row > self.config.max_failures_in_a_row:
            raise TooManyFailures(
                f"the environment {self.config.env!r} failed {self._failures_in_a_row} times in a "
                f"row{self.where} without finishing an episode; its last error: "
                f"{' '.join(str(error).split()) if in_words else messages.describe(error)}"
                f"{'; mend the environment' if isinstance(error, NotFinite) else ''}"
            ) from error
        self.metrics.log_value(NUM_EPISODES_DROPPED_LIFETIME, 1, reduce="lifetime_sum")
        if isinstance(error, NotFinite):
            self._note_not_finite(error)
            if index not in self._not_finite:
                self._not_finite.add(index)
                return
        else:
            self.say_failure(error, in_words)
        self._not_finite.discard(index)
        try:
            self.env.restart_slot(index)
        except Exception as again:
            self._restart(index, again)

    def _note_not_finite(self, error: NotFinite) -> None:
        """Counts an episode that is not finite; the first one is said."""
        self.metrics.log_value(NUM_EPISODES_NOT_FINITE_LIFETIME, 1, reduce="lifetime_sum")
        if self._not_finite_said:
            return
        self._not_finite_said = True
        note = (
            f"{error}. Such an episode is dropped: nothing is learned from it, and it counts in no "
            "return. Later ones are only counted"
        )
        messages.say(note, self._trial)

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
