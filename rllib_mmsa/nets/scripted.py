"""Functions of tensors that run without Python, and so without its lock.

Of two threads of an update (``nets/beside.py``), one waits while the other is in Python. Loops over
many small operations are in Python for half of their time: two of them beside each other take as
long as one after the other. TorchScript runs them with Python's lock released, and each operation
costs less to call. What it computes is the same.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

#: PyTorch traces one thing at a time.
_tracing = threading.Lock()


def scripted(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator: the function, compiled by ``torch.jit.script``."""
    with warnings.catch_warnings():
        # PyTorch has no successor to it that needs no C++ compiler where it runs.
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(function)


class Traced:
    """A method of a network that does the same whatever its inputs hold, traced at its first call.

    Only what tensors do is kept: settings, branches and loops are those of the first call. Weights
    that are written to later are seen. A copy of it is traced anew, and so is a network that goes
    from training to evaluation or back.

    Args:
        network: whose weights are read.
        method: name of the method. It takes tensors, and returns one or a tuple of them.
        **settings: what it takes besides.
    """

    def __init__(self, network: nn.Module, method: str, **settings: Any):
        self._call = _Call(network, method, settings)
        self._graph: Callable[..., Any] | None = None
        self._training = network.training

    def __call__(self, *inputs: torch.Tensor) -> Any:
        """The method's result, without gradient."""
        with torch.no_grad():
            with _tracing:
                if self._graph is None or self._training != self._call.network.training:
                    self._graph = self._trace(inputs)
                    self._training = self._call.network.training
            return self._graph(*inputs)

    def where_it_pays(self, *inputs: torch.Tensor) -> Any:
        """The trace on a CPU where nothing asks for gradient, and the method itself elsewhere.

        Off the CPU nothing is gained by it, and nobody has measured what its fusions do.
        """
        traced = inputs[0].device.type == "cpu" and not torch.is_grad_enabled()
        return self(*inputs) if traced else self._call(*inputs)

    def _trace(self, inputs: tuple[torch.Tensor, ...]) -> Callable[..., Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            # Sizes that are the network's own are numbers to Python, and may be.
            warnings.simplefilter("ignore", torch.jit.TracerWarning)
            return torch.jit.trace(self._call, inputs, check_trace=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_graph": None}  # a copied graph would keep weights of its own


class _Call(nn.Module):
    """A method as a module, which is what keeps weights apart from constants in a trace."""

    def __init__(self, network: nn.Module, method: str, settings: dict[str, Any]):
        super().__init__()
        self.network, self.method, self.settings = network, method, settings

    def forward(self, *inputs: torch.Tensor) -> Any:
        return getattr(self.network, self.method)(*inputs, **self.settings)
