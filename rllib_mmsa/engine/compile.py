"""The compile engine: torch.compile of the plain update, for GPUs.

An update on a GPU is hundreds of small kernels, and takes as long as it takes to start them. One
compiled graph on batches of a fixed shape starts them at once.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rllib_mmsa.engine.learned import Learned
from rllib_mmsa.engine.plain import step
from rllib_mmsa.method import inputs, update
from rllib_mmsa.method import losses as equations
from rllib_mmsa.method.agents import AgentState
from rllib_mmsa.method.settings import Settings
from rllib_mmsa.method.update import Batch

#: Batches are padded to a multiple of so many steps: each length is compiled once.
STEPS = 16
#: Graphs that are kept: for episodes of up to 1,024 steps.
LENGTHS = 64


def unfit(settings: Settings, device: torch.device) -> str | None:
    """Why these settings cannot be compiled; None if they can: all of them can."""
    return None


def make(module: Any, learner: Any, threads: int) -> CompileEngine:
    """The engine for a module that is the method's."""
    return CompileEngine(module)


class CompileEngine:
    """``plain``'s numbers but for rounding.

    Args:
        module: the team's networks, on any device.
        backend: of torch.compile.
    """

    name = "compile"

    def __init__(self, module: Any, backend: str = "inductor"):
        self._module = module
        self._parameters = {n: p for n, p in module.named_parameters() if p.requires_grad}
        torch._dynamo.config.allow_rnn = True
        # One graph for each length, of which long episodes have more than PyTorch's limit of 8.
        limit = torch._dynamo.config.recompile_limit
        torch._dynamo.config.recompile_limit = max(limit, LENGTHS)
        self._losses = torch.compile(self._compute_losses, backend=backend, dynamic=False)

    def learn(self, batch: dict[str, Tensor], noise: Tensor | None) -> Learned:
        """One update up to its gradients; see ``Engine``."""
        played = inputs.observe(self._module, Batch.of(batch))
        total, losses = self._losses(*padded(played, noise))
        names, parameters = zip(*self._parameters.items(), strict=True)
        found = torch.autograd.grad(total, parameters, allow_unused=True)
        reached = zip(names, found, strict=True)
        gradients = {name: gradient for name, gradient in reached if gradient is not None}
        return Learned({n: v.detach() for n, v in losses.items()}, gradients, total.detach())

    def step(self, optimizer: torch.optim.Optimizer, gradients: dict[Any, Tensor]) -> None:
        """One step of the optimiser; see ``Engine``."""
        step(optimizer, gradients)

    def act(self, obs: Tensor, state: AgentState) -> tuple[Tensor, AgentState]:
        """One step of acting, as ``plain`` has it."""
        return self._module.agent.step(obs, state)

    def _compute_losses(
        self, played: Batch, noise: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """L_total and its parts."""
        module, settings = self._module, self._module.settings
        step = update.forward(module, played, settings, noise)
        losses = {n: loss(step, settings) for n, loss in equations.losses_of(settings).items()}
        total = equations.total_loss(losses, settings)
        return total, {**losses, **equations.measures(step)}


def padded(batch: Batch, noise: Tensor | None) -> tuple[Batch, Tensor | None]:
    """A batch with steps added behind the last, up to a multiple of ``STEPS``; they count nowhere.

    What is added is 0, and every action is legal there.
    """
    more = -batch.actions.shape[1] % STEPS

    def pad(values: Tensor, value: float = 0) -> Tensor:
        return F.pad(values, (0, 0) * (values.dim() - 2) + (0, more), value=value)

    fields = {name: pad(values) for name, values in batch._asdict().items()}
    fields["action_mask"] = pad(batch.action_mask, 1)
    return Batch(**fields), None if noise is None else F.pad(noise, (0, 0, 0, more))
