"""Old names of modules, for what older versions saved: imports each as today's module.

Checkpoints and Tune's experiment states are pickles, which name the modules of their classes.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

#: Old module or package -> today's. A module that is not here itself keeps its last name within
#: the new package: rllib_mmsa.common.batch is rllib_mmsa.rllib.batch.
MOVED = {
    "rllib_mmsa.algorithms": "rllib_mmsa.rllib",
    "rllib_mmsa.algorithms.mmsa_learner": "rllib_mmsa.rllib.learner",
    "rllib_mmsa.algorithms.mmsa_modules": "rllib_mmsa.rllib.module",
    "rllib_mmsa.common": "rllib_mmsa.rllib",
    "rllib_mmsa.common.env_runner": "rllib_mmsa.rllib.runner",
    "rllib_mmsa.common.q_config": "rllib_mmsa.rllib.config",
    "rllib_mmsa.common.q_learner": "rllib_mmsa.rllib.learner",
    "rllib_mmsa.common.q_learning": "rllib_mmsa.rllib.algorithm",
    "rllib_mmsa.common.q_modules": "rllib_mmsa.rllib.module",
    "rllib_mmsa.imagine": "rllib_mmsa.command.imagine",
    "rllib_mmsa.interrupt": "rllib_mmsa.command.run.interrupt",
    "rllib_mmsa.progress": "rllib_mmsa.command.run.progress",
    "rllib_mmsa.rewind": "rllib_mmsa.command.run.rewind",
    "rllib_mmsa.schedulers": "rllib_mmsa.command.run.schedulers",
}


def today(name: str) -> str | None:
    """Today's name of a module with an old name; None for any other name."""
    package, _, last = name.rpartition(".")
    return MOVED.get(name) or (f"{MOVED[package]}.{last}" if package in MOVED else None)


class OldNames(MetaPathFinder, Loader):
    """Finds modules by their old names; both names then mean one module."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Python's: a spec for an old name, None for any other."""
        return ModuleSpec(fullname, self) if today(fullname) else None

    def exec_module(self, module: ModuleType) -> None:
        """Python's: what stands in ``sys.modules`` afterwards is what the import returns."""
        name: Any = today(module.__name__)
        sys.modules[module.__name__] = importlib.import_module(name)


def install() -> None:
    """Makes the old names importable; may be called again."""
    if not any(isinstance(finder, OldNames) for finder in sys.meta_path):
        # First: the new packages are on disk, and would be read again under their old names.
        sys.meta_path.insert(0, OldNames())
