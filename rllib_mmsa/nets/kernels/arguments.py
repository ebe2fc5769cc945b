"""What ctypes makes of a compiled function's arguments."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor


def _address(tensor: Tensor | None) -> int | None:
    """Where a tensor's numbers are, NULL for None."""
    if tensor is None:
        return None
    if not tensor.is_contiguous():
        raise ValueError(f"a tensor {tuple(tensor.shape)} is not contiguous")
    return tensor.data_ptr()


class _Tensor:
    """An argument of a function: a tensor, or None."""

    @staticmethod
    def from_param(tensor: Tensor | None) -> ctypes.c_void_p:
        return ctypes.c_void_p(_address(tensor))


class _Tensors:
    """An argument of a function: a list of tensors, or None among them."""

    @staticmethod
    def from_param(tensors: Sequence[Tensor | None]) -> ctypes.Array:
        return (ctypes.c_void_p * len(tensors))(*map(_address, tensors))


class _Ints:
    """An argument of a function: a list of integers."""

    @staticmethod
    def from_param(values: Sequence[int]) -> ctypes.Array:
        return (ctypes.c_int * len(values))(*values)


class _Floats:
    """An argument of a function: a list of numbers."""

    @staticmethod
    def from_param(values: Sequence[float]) -> ctypes.Array:
        return (ctypes.c_float * len(values))(*values)


_KINDS = {
    "t": _Tensor,
    "T": _Tensors,
    "i": ctypes.c_int,
    "I": _Ints,
    "f": ctypes.c_float,
    "F": _Floats,
}


def declared(
    library: ctypes.CDLL, name: str, kinds: str, returned: Any = ctypes.c_int
) -> Callable[..., int]:
    """A function of the library.

    Args:
        kinds: a letter for each argument: t a tensor or None, T a list of them, i and f a number, I
            and F a list of them.
        returned: its ctypes type.

    Raises:
        ctypes.ArgumentError: (when it is called) a tensor is not contiguous.
    """
    function = getattr(library, name)
    function.argtypes, function.restype = [_KINDS[kind] for kind in kinds], returned
    return function
