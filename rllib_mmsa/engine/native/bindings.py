"""The C library (native.c) by ctypes: structures, functions, and where the library is."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import platform
from collections.abc import Sequence
from typing import Any

from torch import Tensor

#: Forces a lower instruction set than the processor's best one: avx512, avx2 or none.
VARIABLE = "RLLIB_MMSA_INSTRUCTIONS"
#: A library to load instead of the one that was built with the package (`make sanitize`).
LIBRARY = "RLLIB_MMSA_LIBRARY"
#: What ``instruction_set`` in native.c returns, from 1 on.
INSTRUCTIONS = ("avx2", "avx512")

#: What counts of each loss of the world model, in C's order (world.h); a KL's two sides apart.
MODEL_LOSSES = (
    "kl_prior kl_of_posterior kl_of_prior embeddings hidden heads sale policy open_loop reward end"
).split()

_SIZES = (
    "episodes steps agents actions obs state hidden last_action agent_id sale embedding wide "
    "mixer embed hyper global_state model foretells latent embedded width deep horizon every "
    "aggregated double_q bootstrap_truncated moves"
).split()
_FIELDS = "obs legal state actions rewards terminated truncated loss_mask noise".split()
_LISTS = (
    "agent target_agent mixer target_mixer aggregator target_aggregator sale predictor model "
    "target_model scales target_scales of_agent of_mixer of_aggregator of_sale of_predictor "
    "of_model"
).split()


class Settings(ctypes.Structure):
    """``Settings`` in batch.h."""

    _fields_ = [
        *((name, ctypes.c_int) for name in _SIZES),
        ("gamma", ctypes.c_float),
        ("td_lambda", ctypes.c_float),
        ("sale_weight", ctypes.c_float),
        ("self_weight", ctypes.c_float),
        ("by", ctypes.c_float * len(MODEL_LOSSES)),
    ]


class Fields(ctypes.Structure):
    """``Fields`` in batch.h."""

    _fields_ = [(name, ctypes.c_void_p) for name in _FIELDS]


class Weights(ctypes.Structure):
    """``Weights`` in batch.h."""

    _fields_ = [(name, ctypes.c_void_p) for name in _LISTS]


def address(tensor: Tensor | None) -> int | None:
    """Where a tensor's numbers are; None for None.

    Raises:
        ValueError: they do not lie one after the other.
    """
    if tensor is None:
        return None
    if not tensor.is_contiguous():
        raise ValueError(f"a tensor {tuple(tensor.shape)} is not contiguous")
    return tensor.data_ptr()


def addresses(tensors: Sequence[Tensor | None]) -> ctypes.Array:
    """A list of tensors as C has it."""
    return (ctypes.c_void_p * len(tensors))(*map(address, tensors))


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled library; None where nothing was compiled."""
    found = importlib.util.find_spec(f"{__package__}._native")
    path = os.environ.get(LIBRARY) or (found.origin if found else None)
    if path is None:
        return None
    loaded = ctypes.CDLL(path)  # its functions are called without Python's lock
    pointer, whole = ctypes.c_void_p, ctypes.c_int
    for name, returned, arguments in (
        ("make_engine", pointer, [whole]),
        ("free_engine", None, [pointer]),
        ("learn", whole, [pointer] * 5 + [whole]),
        ("make_actor", pointer, [pointer, pointer, whole]),
        ("free_actor", None, [pointer]),
        ("act", whole, [pointer, whole, *[pointer] * 5, whole]),
        ("rmsprop", None, [whole, *[pointer] * 5, *[ctypes.c_float] * 3, whole]),
        ("instruction_set", whole, []),
    ):
        function: Any = getattr(loaded, name)
        function.restype, function.argtypes = returned, arguments
    return loaded


def unavailable() -> str | None:
    """Why the library cannot run here; None if it can."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return f"the compiled engine is for x86-64 processors, and this one is {platform.machine()}"
    if library() is None:
        return "no C compiler was found when the package was installed"
    if os.environ.get(VARIABLE) == "none":
        return f"{VARIABLE} is none"
    if not _best():
        return "this processor has no AVX2"
    return None


def _best() -> int:
    """The best instruction set that may be used, counted as ``instruction_set`` does."""
    loaded = library()
    best = loaded.instruction_set() if loaded else 0
    forced = os.environ.get(VARIABLE)
    return min(best, INSTRUCTIONS.index(forced) + 1) if forced in INSTRUCTIONS else best


def uses_avx512() -> bool:
    """Whether the functions for AVX-512 are called, and not those for AVX2."""
    return _best() == len(INSTRUCTIONS)
