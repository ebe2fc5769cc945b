"""Compiled functions for what networks compute on a CPU (kernels.c).

Where there was a C compiler when the package was installed, these take the place of the same steps
in PyTorch: half the time, and none of Python's lock, so that the second thread of an update
(``nets/beside.py``) has it. The numbers are the same but for rounding. Without a compiler, without
AVX2, on a GPU, in float64 or for other readings of the paper the steps in PyTorch are taken.
"""

from __future__ import annotations

import ctypes
import importlib.util

import torch
from torch import Tensor

from rllib_mmsa.nets.kernels.functions import Kernels

#: From what ``instruction_set`` returns 1 for on. Processors without these are left to PyTorch.
_INSTRUCTIONS = ("avx2", "avx512")
#: Some sizes must be a multiple of this: the floats of a vector.
LANES = 16
_used = True


def _load() -> ctypes.CDLL | None:
    """The compiled library; None where nothing was compiled."""
    found = importlib.util.find_spec(f"{__name__}._kernels")
    return ctypes.CDLL(found.origin) if found is not None and found.origin else None


_library = _load()


def every_kind() -> list[Kernels]:
    """The functions for each instruction set that this processor has; the best one is the last."""
    if _library is None:
        return []
    known = _INSTRUCTIONS[: _library.instruction_set()]
    return [Kernels(_library, instructions) for instructions in known]


_best = next(reversed(every_kind()), None)


def use_kernels(used: bool) -> None:
    """Sets whether this process takes compiled functions where it can."""
    global _used
    _used = used


def kernels_for(tensor: Tensor, with_gradient: bool = False) -> Kernels | None:
    """The compiled functions, where they can compute with tensors such as this one.

    Args:
        with_gradient: whether gradients may be recorded.
    """
    if _best is None or not _used or torch.jit.is_tracing():
        return None
    if torch.is_grad_enabled() and not with_gradient:
        return None
    return _best if tensor.device.type == "cpu" and tensor.dtype == torch.float32 else None
