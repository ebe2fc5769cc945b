"""A team's network as ONNX: one file that acts without PyTorch, in any language with a runtime.

Shapes: E environments (any number), N agents, A actions, D observation numbers, H hidden size.
"""

from __future__ import annotations

import json
import logging
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rllib_mmsa.method.targets import greedy_actions
from rllib_mmsa.team.team import ActingNetwork, Team

FILE = "team.onnx"
INPUTS = ("obs", "action_mask", "hidden", "last_action")
OUTPUTS = ("actions", "q_values", "next_hidden")
#: What PyTorch's exporter needs.
PACKAGES = ("onnx", "onnxscript")


class _Step(nn.Module):
    """One step of acting, as a function without memory."""

    def __init__(self, network: ActingNetwork):
        super().__init__()
        self.network = network

    def forward(
        self, obs: Tensor, action_mask: Tensor, hidden: Tensor, last_action: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        values, state = self.network(obs, {"hidden": hidden, "last_action": last_action})
        return greedy_actions(values, action_mask), values, state["hidden"]


def missing() -> list[str]:
    """The packages that ``write`` needs and that are not installed."""
    return [name for name in PACKAGES if find_spec(name) is None]


def write(team: Team, path: str | Path) -> None:
    """Write a team's network as ONNX.

    Inputs: ``obs`` (E, N, D) float32, ``action_mask`` (E, N, A) bool, ``hidden`` (E, N, H) float32
    and ``last_action`` (E, N) int64. Outputs: ``actions`` (E, N) int64, the greedy legal ones;
    ``q_values`` (E, N, A) float32; ``next_hidden`` (E, N, H). An episode begins with ``hidden``
    zero and ``last_action`` A. The metadata ``team`` is the description of the team as JSON.

    Args:
        team: Whose.
        path: The file.

    Raises:
        ImportError: If a package of ``PACKAGES`` is not installed.
        OSError: If the file cannot be written.
    """
    for logger in ("torch.onnx", "torch.export"):  # operators of packages that are not there
        logging.getLogger(logger).setLevel(logging.ERROR)
    state = team.network.agent.initial_state(2)
    obs = torch.zeros(2, team.num_agents, team.obs_size)
    mask = torch.ones(2, team.num_agents, team.num_actions, dtype=torch.bool)
    environments = {0: torch.export.Dim("environments")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch about its own code
        program: Any = torch.onnx.export(
            _Step(team.network).eval(),
            (obs, mask, state["hidden"], state["last_action"]),
            input_names=INPUTS,
            output_names=OUTPUTS,
            dynamic_shapes=[environments] * len(INPUTS),
            dynamo=True,
            verbose=False,
        )
    program.model.metadata_props["team"] = json.dumps(team.said)
    program.save(path, external_data=False)
