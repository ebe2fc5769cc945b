"""Tune's schedulers as this project runs them: stopped by Ctrl-C, kept through a kill -9."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ray import tune
from ray.tune import Callback
from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    HyperBandScheduler,
    PopulationBasedTraining,
    TrialScheduler,
)
from ray.tune.search import Searcher

from rllib_mmsa.command.experiment import checks, search
from rllib_mmsa.command.run import interrupt


class _Comparing(interrupt.Pausing):
    """Mixed into a scheduler that compares trials."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Unpickles; an older version's compared at evaluations, which few results have."""
        self.__dict__.update(state)
        self._metric = search.LATEST.get(self._metric, self._metric)


class PausingASHA(_Comparing, AsyncHyperBandScheduler):
    """Asynchronous successive halving (Li et al., 2020)."""


class PausingHyperBand(_Comparing, HyperBandScheduler):
    """HyperBand (Li et al., 2018), of which no trial is cut before ``grace_period``.

    Tune's derives the number of its brackets from ``max_t`` alone, as if the smallest budget
    were 1. In env steps that is far from any test, and the first dozen trials are never cut.
    """

    def __init__(self, grace_period: float, max_t: float, reduction_factor: float, **settings: Any):
        super().__init__(max_t=max_t, reduction_factor=reduction_factor, **settings)
        cuts = math.log(max_t / grace_period) / math.log(reduction_factor)
        self._s_max_1 = math.floor(cuts + 1e-9) + 1


class PausingPBT(_Comparing, PopulationBasedTraining):
    """Population based training (Jaderberg et al., 2017)."""


def build(scheduler: Mapping[str, Any]) -> TrialScheduler:
    """Build Tune's scheduler.

    Args:
        scheduler: What `search.check_scheduler` returned.

    Returns:
        ASHA, HyperBand, PBT, or first in, first out; each pauses its trials on Ctrl-C.
    """
    settings = {key: value for key, value in scheduler.items() if key != "type"}
    if not scheduler:
        return interrupt.PausingScheduler()
    if scheduler["type"] == "asha":
        return PausingASHA(**settings)
    if scheduler["type"] == "hyperband":
        return PausingHyperBand(**settings)
    # To Tune, a list is values in their order, of which a neighbour is the small change.
    settings["hyperparam_mutations"] = {
        name: space if isinstance(space, list) else search_space({name: space})[name]
        for name, space in settings["hyperparam_mutations"].items()
    }
    return PausingPBT(**settings)


def build_search(search_alg: Mapping[str, Any]) -> Searcher | None:
    """Build Tune's searcher.

    Args:
        search_alg: What `search_alg.check` returned.

    Returns:
        Optuna's (Akiba et al., 2019), or None: Tune's own grids and random samples.
    """
    if not search_alg:
        return None
    from ray.tune.search.optuna import OptunaSearch

    return OptunaSearch(**{key: value for key, value in search_alg.items() if key != "type"})


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
