"""One experiment, checked, and how it is recorded in its folder of results."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

DEFAULT_STORAGE = "~/ray_results"
RECORD = "experiment.yaml"  # what was run, in the folder of results; `rllib train resume` reads it


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One entry of an experiment file, checked.

    Attributes:
        name: Folder of the results under `storage_path`.
        run: Algorithm's registered name.
        env: Environment's registered name, or a search space of names.
        config: RLlib options; search spaces still as one-key mappings.
        stop: Full metric path -> value at which a trial ends.
        checkpoint: Arguments of Tune's CheckpointConfig.
        num_samples: Repetitions of the grid, or samples of the search space.
        max_concurrent_trials: Upper limit of trials at a time; None: as the machine allows.
        max_failures: Retries of a failed trial from its last checkpoint.
        scheduler: What `search.check_scheduler` returned; empty: every trial runs to its end.
        search_alg: What `search_alg.check` returned; empty: grids and random samples.
        loggers: What `loggers.check` returned.
        storage_path: Absolute path above the results.
        imports: Modules or Python files that register the user's own environments.
        restore: Path of a checkpoint that each trial begins from.
    """

    name: str
    run: str
    env: Any
    config: dict[str, Any]
    stop: dict[str, float]
    checkpoint: dict[str, Any]
    num_samples: int = 1
    max_concurrent_trials: int | None = None
    max_failures: int = 0
    scheduler: dict[str, Any] = dataclasses.field(default_factory=dict)
    search_alg: dict[str, Any] = dataclasses.field(default_factory=dict)
    loggers: tuple[dict[str, Any], ...] = ()
    storage_path: str = DEFAULT_STORAGE
    imports: tuple[str, ...] = ()
    restore: str | None = None

    @property
    def path(self) -> Path:
        """The experiment's results folder."""
        return Path(self.storage_path, self.name)

    @property
    def is_remote(self) -> bool:
        """Whether the results go to a store of objects ("s3://...") rather than to a folder."""
        return "://" in self.storage_path

    def to_mapping(self) -> dict[str, Any]:
        """Return the experiment as an experiment file would hold it."""
        entry: dict[str, Any] = {
            "run": self.run,
            "env": self.env,
            "stop": self.stop,
            "checkpoint_config": self.checkpoint,
            "num_samples": self.num_samples,
            "max_concurrent_trials": self.max_concurrent_trials,
            "max_failures": self.max_failures,
            "scheduler": self.scheduler,
            "search_alg": self.search_alg,
            "loggers": list(self.loggers),
            "import": list(self.imports),
            "restore": self.restore,
            "config": self.config,
        }
        return {self.name: {k: v for k, v in entry.items() if v not in (None, [], {})}}
