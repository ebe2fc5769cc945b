"""The plain engine: PyTorch's forward pass, losses and autograd, by RLlib's hooks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rllib_mmsa.engine.learned import Learned
from rllib_mmsa.method.agents import AgentState


class PlainEngine:
    """Whatever the module and the learner compute, or override, on any device.

    Args:
        module: the team's networks.
        learner: whose ``learn_by_hooks`` is called; None where nothing is learned.
        why: why no other engine runs, where one was expected.
    """

    def __init__(self, module: Any, learner: Any, why: str = ""):
        self._module, self._learner = module, learner
        self.name, self.why = "plain", why

    def learn(self, batch: dict[str, Tensor], noise: Tensor | None) -> Learned:
        """One update up to its gradients; see ``Engine``."""
        return self._learner.learn_by_hooks(batch if noise is None else {**batch, "noise": noise})

    def step(self, optimizer: torch.optim.Optimizer, gradients: dict[Any, Tensor]) -> None:
        """One step of the optimiser; see ``Engine``."""
        step(optimizer, gradients)

    def act(self, obs: Tensor, state: AgentState) -> tuple[Tensor, AgentState]:
        """One step of acting; see ``Engine``."""
        return self._module.agent.step(obs, state)


def step(optimizer: torch.optim.Optimizer, gradients: dict[Any, Tensor]) -> None:
    """PyTorch's step along gradients, by parameter."""
    for parameter, gradient in gradients.items():
        parameter.grad = gradient
    optimizer.step()
