"""Tune's schedulers as this project runs them: stopped by Ctrl-C, kept through a kill -9."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray import tune
from ray.tune import Callback
from ray.tune.schedulers import AsyncHyperBandScheduler, PopulationBasedTraining, TrialScheduler

from rllib_mmsa.command.experiment import checks
from rllib_mmsa.command.run import interrupt


class PausingASHA(interrupt.Pausing, AsyncHyperBandScheduler):
    """Asynchronous successive halving (Li et al., 2020)."""


class PausingPBT(interrupt.Pausing, PopulationBasedTraining):
    """Population based training (Jaderberg et al., 2017)."""


def build(scheduler: Mapping[str, Any]) -> TrialScheduler:
    """Build Tune's scheduler.

    Args:
        scheduler: What `search.check_scheduler` returned.

    Returns:
        ASHA, PBT, or first in, first out; each pauses its trials on Ctrl-C.
    """
    settings = {key: value for key, value in scheduler.items() if key != "type"}
    if not scheduler:
        return interrupt.PausingScheduler()
    if scheduler["type"] == "asha":
        return PausingASHA(**settings)
    # To Tune, a list is values in their order, of which a neighbour is the small change.
    settings["hyperparam_mutations"] = {
        name: space if isinstance(space, list) else search_space({name: space})[name]
        for name, space in settings["hyperparam_mutations"].items()
    }
    # Evaluations are rarer than results: most results lack their metrics.
    return PausingPBT(**settings, require_attrs=False)


def search_space(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Replace one-key mappings such as {"uniform": [0, 1]} by Tune's objects."""
    space: dict[str, Any] = {}
    for key, value in settings.items():
        if not checks.is_search_space(value):
            space[key] = search_space(value) if isinstance(value, Mapping) else value
            continue
        ((kind, args),) = value.items()
        takes_list = kind in ("grid_search", "choice")
        space[key] = getattr(tune, kind)(args) if takes_list else getattr(tune, kind)(*args)
    return space


class KeepRungs(Callback):
    """Saves with Tune's state what successive halving has seen; Tune itself forgets it.

    Without it, the trials of a resumed search would be compared only with each other.

    Args:
        scheduler: The experiment's; other kinds have nothing that must be kept.
    """

    def __init__(self, scheduler: TrialScheduler):
        self._scheduler = scheduler

    def get_state(self) -> dict[str, Any] | None:
        """The results at each rung by trial, or None."""
        if not isinstance(self._scheduler, AsyncHyperBandScheduler):
            return None
        return {"rungs": [bracket._rungs for bracket in self._scheduler._brackets]}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what `get_state` returned."""
        for bracket, rungs in zip(self._scheduler._brackets, state["rungs"], strict=True):
            bracket._rungs = rungs
