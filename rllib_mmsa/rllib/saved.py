"""What a checkpoint holds beside RLlib's: the replay, the counters, and what its numbers mean."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import torch
from pyarrow.fs import FileSystem, LocalFileSystem
from ray import cloudpickle
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.core import COMPONENT_LEARNER, COMPONENT_RL_MODULE

from env_registry.contract import TEAM
from rllib_mmsa import origin, whole
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.method.agents import RecurrentAgent, SaleAgent
from rllib_mmsa.rllib import meaning, messages, tested
from rllib_mmsa.rllib.collect import Collected, EpisodeCollector
from rllib_mmsa.rllib.latest_test import LatestTest
from rllib_mmsa.rllib.module import QModule
from rllib_mmsa.rllib.replay import EpisodeReplay
from rllib_mmsa.team import files

#: Parts of a state.
TESTS, Q_LEARNING = "tests", "q_learning"


class Saved(Algorithm):
    """Saves and restores what RLlib's checkpoint would lose.

    ``TeamAlgorithm`` (team_algorithm.py) sets what this reads.
    """

    latest_test: LatestTest
    _evaluations_done: int
    _meaning: dict[str, Any]
    _version: str

    def _find_env_backend(self) -> str:
        """The engine that the environments play on; "" where there is only one."""
        found = self.env_runner_group.foreach_env_runner(lambda runner: runner.env_backend)
        return ", ".join(sorted({backend for backend in found if backend}))

    def _find_meaning(self) -> dict[str, Any]:
        """What the numbers of the environments mean, in all processes alike.

        Raises:
            MeaningError: If they do not.
        """
        found = self.env_runner_group.foreach_env_runner(lambda runner: runner.meaning)
        return meaning.agreed([each for each in found if each])

    def save_to_path(self, path: Any = None, **kwargs: Any) -> Any:
        """RLlib's; the folder says what its numbers mean (meaning.py), and last, what is in it.

        Args:
            path: A folder, absolute or relative; None: a temporary one.
            **kwargs: RLlib's.
        """
        place = _place(path, kwargs.get("filesystem"))
        saved = super().save_to_path(place, **kwargs)
        if folder := _on_this_machine(place or saved, **kwargs):
            self._save_class(folder)
            meaning.save(self._meaning, folder)
            self._save_team(folder)
            so_far = {"training_iteration": self.iteration, "time_total_s": self._time_total}
            whole.mark(folder, {**so_far, **(self._last_result or {})})
        return saved

    def _save_class(self, folder: Path) -> None:
        """The class by its name, where Ray's actor has made one of its own from it.

        RLlib pickles that one, as code: no other Python could read the checkpoint, and no version
        in which a method has another name.
        """
        named = getattr(type(self), "__ray_actor_class__", None)
        if named is not None:
            made = {"class": named, "ctor_args_and_kwargs": self.get_ctor_args_and_kwargs()}
            (folder / whole.CLASS_FILE).write_bytes(cloudpickle.dumps(made))

    def _save_team(self, folder: Path) -> None:
        """The team as `rllib_mmsa.load_team` reads it; not where its network is another one."""
        module = self.get_module(TEAM)
        acting = ("scale_observations", "_values_and_state", "_forward_inference")
        changed = any(getattr(type(module), n, None) is not getattr(QModule, n) for n in acting)
        if changed or type(getattr(module, "agent", None)) not in (RecurrentAgent, SaleAgent):
            return
        weights = self.learner_group.get_state(
            components=f"{COMPONENT_LEARNER}/{COMPONENT_RL_MODULE}", inference_only=True
        )[COMPONENT_LEARNER][COMPONENT_RL_MODULE][TEAM]
        said = {
            "algorithm": type(self).__name__,
            "settings": dataclasses.asdict(module.settings),
            "environment": self._meaning,
            "tests": tested.said_of(self.config),
            "seed": self.config.seed,
            "version": self._version,
        }
        files.write(folder, said, {name: torch.as_tensor(w) for name, w in weights.items()})

    def save(self, checkpoint_dir: Any = None) -> Any:
        """Tune's; half a checkpoint, which a full disk leaves, gives its room back at once."""
        try:
            return super().save(_place(checkpoint_dir))
        except OSError:
            if self._storage and isinstance(self._storage.storage_filesystem, LocalFileSystem):
                half = Path(self._storage.checkpoint_fs_path)
                if half.is_dir() and whole.damage(half):
                    shutil.rmtree(half, ignore_errors=True)
            raise

    @classmethod
    def from_checkpoint(cls, path: Any, filesystem: Any = None, **kwargs: Any) -> Any:
        """RLlib's; the path may be relative."""
        path = _place(path, filesystem)
        folder = _on_this_machine(path, filesystem) if isinstance(path, str) else None
        if folder and (folder / whole.CLASS_FILE).is_file():
            origin.load_class(folder)  # RLlib would go on without the settings
        elif folder and (folder / whole.TEAM_FILE).is_file():
            raise ConfigError(
                f"'{folder}' is a team that acts, not a checkpoint that trains on: "
                "rllib_mmsa.load_team(path) or `rllib evaluate` plays it."
            )
        return super().from_checkpoint(path, filesystem, **kwargs)

    def restore(self, checkpoint_path: Any) -> None:
        """Tune's; the path may be relative."""
        super().restore(_place(checkpoint_path))

    def restore_from_path(self, path: Any, **kwargs: Any) -> None:
        """RLlib's; refused in words where the numbers would mean something else here."""
        path = _place(path, kwargs.get("filesystem"))
        if folder := _on_this_machine(path, **kwargs):
            origin.refuse_newer(folder)
            meaning.compare(meaning.of_checkpoint(folder), self._meaning, folder)
        super().restore_from_path(path, **kwargs)

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """RLlib's state and what tests there were."""
        state = super().get_state(*args, **kwargs)
        state[TESTS] = {
            "evaluations_done": self._evaluations_done,
            "latest_test": self.latest_test.get_state(),
        }
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what ``get_state`` returned."""
        super().set_state(state)
        # Older checkpoints have it beside the replay, and the oldest without the latest test.
        own = state.get(TESTS) or state.get(Q_LEARNING)
        if own:
            self._evaluations_done = own["evaluations_done"]
            self.latest_test.set_state(own.get("latest_test"))


class SavedReplay(Saved):
    """Saves and restores besides what Q-learning has: the replay and its counters.

    ``QLearning`` (algorithm.py) sets what this reads.
    """

    replay: EpisodeReplay
    collector: EpisodeCollector
    _updates_owed: float
    _episodes_not_restored: int
    _reported_at: int

    def _find_engine(self) -> str:
        """How the updates are computed (rllib_mmsa/engine), and why, where it was not expected."""
        found = self.learner_group.foreach_learner(lambda learner: learner.engine_shown)
        return ", ".join(sorted({each.get() for each in found}))

    def restore_from_path(self, path: Any, **kwargs: Any) -> None:
        """See ``Saved``; says what could not be read as it was saved."""
        super().restore_from_path(path, **kwargs)
        self._say_what_was_mended()

    def _say_what_was_mended(self) -> None:
        """An older version saved numbers that are not finite; they were left out in reading."""
        learners = self.learner_group.foreach_learner(lambda each: each.team_module.num_repaired)
        statistics = max((each.get() for each in learners), default=0)
        episodes = self.replay.num_left_out
        mended = []
        if statistics:
            mended.append(f"{statistics} running statistics of observations, which begin anew")
        if episodes:
            mended.append(f"{episodes} episodes of the replay, which are left out")
        if mended:
            messages.say(
                f"the checkpoint held numbers that are not finite: {'; '.join(mended)}",
                messages.trial_of(self.logdir),
            )

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """RLlib's state, the replay (option) and the counters."""
        collected = self.collector.get_state()  # first: it changes the runners' state
        state = super().get_state(*args, **kwargs)
        state[Q_LEARNING] = {
            "replay": self.replay.get_state(self.config.store_buffer_in_checkpoints),
            "updates_owed": self._updates_owed,
            "reported_at": self._reported_at,
            "collected": collected,
        }
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what ``get_state`` returned."""
        super().set_state(state)
        if Q_LEARNING in state:
            own = state[Q_LEARNING]
            self.replay.set_state(own["replay"])
            self._episodes_not_restored = self.replay.num_episodes_added - len(self.replay)
            self._updates_owed = own["updates_owed"]
            self._reported_at = own.get("reported_at", 0)  # older checkpoints have none
            self.collector.set_state(_finite(own["collected"]))


def _place(path: Any, filesystem: Any = None) -> Any:
    """Where a user's path leads, as RLlib takes it: a relative one would be a URI to it.

    Args:
        path: A path, a URI, or what else RLlib and Tune take, which stays as it is.
        filesystem: The one that the path is of; None: the path says so.
    """
    if filesystem is not None or not isinstance(path, str | Path):
        return path
    text = str(path)
    if text.startswith("file://"):
        return FileSystem.from_uri(text)[1]
    return text if "://" in text else str(Path(text).expanduser().absolute())


def _on_this_machine(place: str, filesystem: Any = None, **kwargs: Any) -> Path | None:
    """The folder of a checkpoint; None where it is another file system's."""
    return Path(place) if filesystem is None and Path(place).is_absolute() else None


def _finite(collected: Collected | None) -> Collected | None:
    """A round of episodes without those that are not finite."""
    if collected is None:
        return None
    episodes, metrics = collected
    return [episode for episode in episodes if episode.is_finite()], metrics
