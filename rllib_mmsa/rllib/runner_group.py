"""The env runners of an algorithm, whose failures are told, counted, and in the end end the run.

RLlib's group logs what its runners raise, which nobody sees, and goes on with those that are left,
with none if need be. It waits for a runner that hangs in every round anew, and does not restart it.
"""

from __future__ import annotations

import math
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import ray
from ray.exceptions import RayActorError
from ray.rllib.core import COMPONENT_ENV_TO_MODULE_CONNECTOR, COMPONENT_MODULE_TO_ENV_CONNECTOR
from ray.rllib.env.env_runner_group import EnvRunnerGroup

from rllib_mmsa.rllib import messages, stop
from rllib_mmsa.rllib.supervised import TooManyFailures

_PLAY, _PING, _BUILD = "play", "ping", "build"  # kinds of requests
_CONNECTORS = (COMPONENT_ENV_TO_MODULE_CONNECTOR, COMPONENT_MODULE_TO_ENV_CONNECTOR)
_POLL_S, _STOP_S = 1.0, 10.0
#: Seconds after which somebody who waits is told for what.
PATIENCE_S = 60.0


class RunnerGroup(EnvRunnerGroup):
    """RLlib's EnvRunnerGroup, under supervision.

    A runner fails where it raises, where its process dies, and where it plays no step for the
    time limit of ``fetch``. It is then started anew, if ``restart_failed_env_runners`` says so;
    otherwise the first failure ends the run. So do more than ``max_failures_in_a_row`` failures
    of one runner without a finished episode in between.
    """

    def add_workers(self, num_workers: int, validate: bool = False) -> None:
        """Makes remote runners and waits until they are made.

        Raises:
            Exception: what the environment's creator raised, in the first runner it did.
        """
        # Ray restarts an actor without a word, and again and again where it dies at its start.
        self._remote_args["max_restarts"] = 0
        super().add_workers(num_workers, validate=False)
        self._name = uuid.uuid4().hex  # of these runners, for signs of life
        self._in_a_row: Counter[int] = Counter()
        self._restarts: Counter[int] = Counter()
        self._given_up: set[int] = set()
        self._playing: set[int] = set()
        manager = self._worker_manager
        manager.foreach_actor_async("assert_healthy", tag=_BUILD)
        while waiting := manager.num_outstanding_async_reqs(_BUILD):
            results = manager.fetch_ready_async_reqs(tags=_BUILD, timeout_seconds=PATIENCE_S)
            for result in results:
                if not result.ok:
                    raise messages.users_error(result.get()) from None
            if not results.result_or_errors:
                self._say(f"still making the environments of {waiting} env runners")

    @property
    def num_restarts(self) -> int:
        """How often a runner was started anew since this group was made."""
        return self._restarts.total()

    # Playing.

    def request(self, func: Callable[[Any], Any], runners: list[int] | None = None) -> None:
        """Has runners play, and does not wait.

        Args:
            func: called with each; a result means that it has finished an episode.
            runners: healthy ones; None: all.
        """
        asked = self.healthy_env_runner_ids() if runners is None else runners
        if asked:  # to RLlib, none means all
            self._playing.update(asked)
            self._worker_manager.foreach_actor_async(
                _Play(func, self._name), tag=_PLAY, remote_actor_ids=asked
            )

    @property
    def is_playing(self) -> bool:
        """Whether there is a request that was not fetched."""
        return bool(self._playing)

    def fetch(self, limit_s: float | None) -> list[tuple[int, Any]]:
        """Waits for what was requested.

        Args:
            limit_s: seconds without a step after which a runner counts as hanging; None: never.

        Returns:
            (runner, what ``func`` returned) of those that did not fail, in the runners' order.

        Raises:
            Exception: a runner's own, where failed ones are not restarted.
            TooManyFailures: one failed too often.
            StopRequested: what is being played is given up (``stop``).
        """
        done = []
        watch = _Watch(self._name, limit_s)
        while self._playing:
            stop.listener.check()
            results = self._worker_manager.fetch_ready_async_reqs(
                tags=_PLAY, timeout_seconds=_POLL_S
            )
            for result in results:
                self._playing.discard(result.actor_id)
                if result.ok:
                    self._in_a_row[result.actor_id] = 0
                    done.append((result.actor_id, result.get()))
                else:
                    self._failed(result.actor_id, result.get())
            # One that failed in another call, too, has lost what it played.
            self._playing.intersection_update(self.healthy_env_runner_ids())
            for runner, silent_s in watch.silent(self._playing):
                self._judge(runner, silent_s, limit_s)
        return sorted(done, key=lambda pair: pair[0])

    def _judge(self, runner: int, silent_s: float, limit_s: float | None) -> None:
        """Says that a runner is slow, or takes it for hanging."""
        so_long = f"has finished no step for {silent_s:.0f} s"
        if limit_s is not None and silent_s >= limit_s:
            self._playing.discard(runner)
            raised = TimeoutError(f"it {so_long} (sample_timeout_s: {limit_s:g})")
            self._failed(runner, raised)
        else:
            until = "for ever" if limit_s is None else f"until {limit_s:g} s are over"
            self._say(f"{self._called(runner)} {so_long}; waiting {until} (sample_timeout_s)")

    # Failing and coming back.

    def _failed(self, runner: int, error: Exception) -> None:
        """Counts a failure; restarts the runner or ends the run."""
        config = self._remote_config
        raised = messages.users_error(error)
        text = messages.describe(error)
        self._worker_manager.set_actor_state(runner, healthy=False)
        if isinstance(raised, TooManyFailures):
            raise raised
        may_restart = self._restarts[runner] < config.max_num_env_runner_restarts
        if not (config.restart_failed_env_runners and may_restart):
            self._go_on_without(runner, raised, text)
            return
        self._in_a_row[runner] += 1
        if self._in_a_row[runner] > config.max_failures_in_a_row:
            raise TooManyFailures(
                f"{self._called(runner)} failed {self._in_a_row[runner]} times in a row without "
                f"finishing an episode (max_failures_in_a_row: {config.max_failures_in_a_row}); "
                f"the last time: {text}"
            ) from raised
        self._say(
            f"{self._called(runner)} failed, failure {self._in_a_row[runner]} in a row; its "
            f"episodes are dropped and it is started anew: {text}"
        )
        self._start_anew(runner)

    def _start_anew(self, runner: int) -> None:
        """Makes a new process in place of a runner's, which may have died, run or hang."""
        actors = self._worker_manager.actors()
        ray.kill(actors[runner])
        self._restarts[runner] += 1
        actors[runner] = self._make_worker(
            env_creator=self._env_creator,
            validate_env=None,
            worker_index=runner,
            num_workers=len(actors),
            recreated_worker=True,
            config=self._remote_config_obj_ref,
        )

    def _go_on_without(self, runner: int, raised: BaseException, text: str) -> None:
        """Raises, unless ``ignore_env_runner_failures`` says so and another runner is left."""
        if self._remote_config.ignore_env_runner_failures and self.healthy_env_runner_ids():
            self._say(f"{self._called(runner)} failed; going on without it: {text}")
            ray.kill(self._worker_manager.actors()[runner])
            self._given_up.add(runner)
            return
        if isinstance(raised, RayActorError | TimeoutError):
            raise RuntimeError(f"{self._called(runner)} failed: {text}") from raised
        raise raised

    def probe_unhealthy_env_runners(self, timeout_seconds: float | None = None) -> list[int]:
        """Which of the failed runners have come back; waits for one only where all have failed.

        Raises:
            TooManyFailures: one failed too often.
        """
        manager, config = self._worker_manager, self._remote_config
        failed = set(manager.actor_ids()) - set(manager.healthy_actor_ids()) - self._given_up
        if not failed:  # to RLlib, none means all
            return []
        alone = not manager.num_healthy_actors()
        if timeout_seconds is None:
            timeout_seconds = config.env_runner_health_probe_timeout_s
        manager.foreach_actor_async(
            "ping", tag=_PING, remote_actor_ids=sorted(failed), healthy_only=False
        )
        back = []
        answers = manager.fetch_ready_async_reqs(
            tags=_PING, timeout_seconds=timeout_seconds if alone else 0.0, mark_healthy=True
        )
        for result in answers:
            if result.ok:
                back.append(result.actor_id)
            else:
                self._failed(result.actor_id, result.get())
        return sorted(back)

    def _merge_env_runner_connector_states(self, **kwargs: Any) -> dict[str, Any]:
        """The connectors' states, without asking the runners, which run none and may be at play."""
        states = super()._merge_env_runner_connector_states(**{**kwargs, "merge": False})
        # The rest of the local runner's state belongs to none of the others.
        return {k: v for k, v in states.items() if k in _CONNECTORS} if kwargs["merge"] else states

    def _called(self, runner: int) -> str:
        return f"{'evaluation ' if self._remote_config.in_evaluation else ''}env runner {runner}"

    def _say(self, text: str) -> None:
        messages.say(text, messages.trial_of(self._logdir))

    def stop(self) -> None:
        """Stops the runners; one that hangs is not waited for."""
        try:
            self.foreach_env_runner(
                lambda runner: runner.stop(), healthy_only=False, timeout_seconds=_STOP_S
            )
        except Exception as error:
            messages.logger.warning("stopping the env runners failed: %s", error)
        finally:
            self._worker_manager.clear()
            messages.forget_beats(self._name)


class _Play:
    """What a runner is asked to do: to play, and to give signs of life meanwhile."""

    def __init__(self, func: Callable[[Any], Any], group: str):
        self._func, self._group = func, group

    def __call__(self, runner: Any) -> Any:
        runner.pulse = f"{self._group}:{runner.worker_index}"
        return self._func(runner)


class _Watch:
    """How long the runners that somebody waits for have been silent.

    Args:
        group: the name of their group.
        limit_s: seconds after which one counts as hanging; None: never.
    """

    def __init__(self, group: str, limit_s: float | None):
        self._group = group
        self._limit_s = math.inf if limit_s is None else limit_s
        self._heard: dict[int, tuple[bytes | None, float]] = {}  # the last sign, and when
        self._told: set[int] = set()

    def silent(self, runners: set[int]) -> Iterator[tuple[int, float]]:
        """Those that have been silent for ``PATIENCE_S``, once, or for the limit; and how long."""
        now = time.monotonic()
        for runner in sorted(runners):
            beat = messages.last_beat(f"{self._group}:{runner}")
            before, since = self._heard.setdefault(runner, (beat, now))
            if beat != before:
                self._heard[runner] = (beat, now)
                self._told.discard(runner)
                continue
            silent_s = now - since
            if silent_s >= self._limit_s or (silent_s >= PATIENCE_S and runner not in self._told):
                self._told.add(runner)
                yield runner, silent_s
