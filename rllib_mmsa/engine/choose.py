"""Which engine computes the updates of a learner, or the steps of an env runner."""

from __future__ import annotations

import functools
import importlib
import logging
import os
from typing import Any, Protocol

import torch
from torch import Tensor

from rllib_mmsa.engine import trust
from rllib_mmsa.engine.learned import Learned
from rllib_mmsa.engine.memory import keep_freed_memory
from rllib_mmsa.engine.plain import PlainEngine
from rllib_mmsa.method.agents import AgentState

logger = logging.getLogger(__name__)


class Engine(Protocol):
    """Computes updates and steps of acting; the numbers are those of ``plain`` but for rounding.

    Attributes:
        name: as results and the progress line show it.
    """

    name: str

    def learn(self, batch: dict[str, Tensor], noise: Tensor | None) -> Learned:
        """One update, whole, up to its gradients.

        Args:
            batch: the fields of rllib_mmsa/rllib/batch.py, as they were played.
            noise: see ``method.inputs.draw_noise``.
        """
        ...

    def step(self, optimizer: torch.optim.Optimizer, gradients: dict[Any, Tensor]) -> None:
        """One step of the optimiser along gradients, by parameter; its state stays PyTorch's."""
        ...

    def act(self, obs: Tensor, state: AgentState) -> tuple[Tensor, AgentState]:
        """Values of every action (E, N, A), and the next recurrent state.

        Args:
            obs: (E, N, D), as the networks read them.
            state: recurrent state.
        """
        ...


def choose(module: Any, learner: Any, config: Any, device: torch.device | str | None) -> Engine:
    """Chooses the engine, once, and says which and why.

    Args:
        module: the team's networks.
        learner: the learner; None for an env runner.
        config: its ``engine`` is "auto", "plain", "native" or "compile".
        device: where the module is.
    """
    _set_up_process(config, learner is not None)
    kind, device = config.engine, torch.device(device or "cpu")
    if learner is None and kind == "compile":
        kind = "auto"  # there is nothing to gain in one step of acting
    if kind == "plain":
        return PlainEngine(module, learner)
    wanted = "native" if kind == "auto" else kind
    package = _load(wanted)
    changed = trust.not_the_method(module, learner) if package else None
    reason = _unfit(package, wanted, module, learner, device) or changed
    if reason is None:
        engine: Engine = package.make(module, learner, _threads(config))
        logger.info("engine: %s", engine.name)
        return engine
    # Where nobody asked for an engine, only a changed method is worth a warning.
    expected = kind == "auto" and not changed
    _say(
        logging.INFO if expected else logging.WARNING,
        f"engine: plain, not {wanted}, since {reason}. The numbers are right and take longer; "
        "`engine: plain` in the configuration says that this is meant.",
    )
    return PlainEngine(module, learner, "" if expected else reason)


@functools.cache
def _say(level: int, line: str) -> None:
    """Logs a line once in this process: learner and env runners choose alike."""
    logger.log(level, line)


def _load(kind: str) -> Any:
    """The engine's package, or None where it was deleted."""
    try:
        return importlib.import_module(f"rllib_mmsa.engine.{kind}")
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("rllib_mmsa.engine"):
            return None
        raise


def _unfit(package: Any, kind: str, module: Any, learner: Any, device: torch.device) -> str | None:
    """Why an engine cannot compute this; None where it can."""
    if package is None:
        return f"rllib_mmsa/engine/{kind} is not there"
    if learner is not None and learner.config.num_learners > 1:
        return "several learners share an update"
    reason: str | None = package.unfit(module.settings, device)
    return reason


def _set_up_process(config: Any, learns: bool) -> None:
    """What makes PyTorch fast in this process, whichever engine it is."""
    # Gradients that fade over time become denormal numbers, which a processor is slow at.
    torch.set_flush_denormal(True)
    if not learns:
        return
    keep_freed_memory()
    # A seed makes RLlib ask for deterministic algorithms, under which PyTorch also fills every
    # new tensor, in case somebody reads what was never written. Nothing here does.
    deterministic: Any = torch.utils.deterministic
    deterministic.fill_uninitialized_memory = False
    if _busy_cores(config):
        # PyTorch's threads that have no core to themselves would make the others wait.
        torch.set_num_threads(min(torch.get_num_threads(), _threads(config)))


def _busy_cores(config: Any) -> int:
    """Cores that env runners keep busy during an update."""
    plays_meanwhile = config.overlap_sampling and config.num_learners == 0
    return config.num_env_runners if plays_meanwhile else 0


def _threads(config: Any) -> int:
    """Threads for an update: no more than there are cores that nobody else keeps busy."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min(config.learner_threads, cores - _busy_cores(config)))
