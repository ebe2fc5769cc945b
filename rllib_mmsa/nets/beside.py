"""A second thread for parts of an update that need nothing of each other.

PyTorch's own threads split single operations, and those are too small here to gain by it. Whole
parts are not: while one thread runs them, the other is free, since PyTorch holds Python's lock in
none of its operations. The numbers are the same with one thread and with two.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch import Tensor

_T = TypeVar("_T")
_P = TypeVar("_P")
_pool: ThreadPoolExecutor | None = None
_this = threading.local()


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_threads(count: int, busy_cores: int = 0) -> None:
    """Sets how many threads share an update in this process.

    Args:
        count: 1, or 2, which are 1 where there are no two cores for them.
        busy_cores: cores that other processes keep busy meanwhile.
    """
    global _pool
    free = max(cores() - busy_cores, 1)
    two = count > 1 and free > 1
    if busy_cores:
        # Of PyTorch's own, those without a core would make the others wait.
        torch.set_num_threads(min(torch.get_num_threads(), free))
    if two and _pool is None:
        # PyTorch's own threads are shared out between the two.
        threads = max(torch.get_num_threads() // 2, 1)
        torch.set_num_threads(threads)
        _pool = ThreadPoolExecutor(1, "beside", _set_up, (threads,))
    elif not two:
        _pool = None


def _set_up(threads: int) -> None:
    """What holds for a thread alone, and not for its process."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    _this.helps = True


def two_threads() -> bool:
    """Whether a call may run beside this one: not within a call that already does."""
    return _pool is not None and not getattr(_this, "helps", False)


def beside(function: Callable[[], _T]) -> Callable[[], _T]:
    """Starts a call in the second thread, if there is one; otherwise makes it at once.

    Gradients are recorded where they are for the caller. Calls are made in the order in which they
    were started; who waits for one that has not begun makes it himself.

    Returns:
        What waits for the call's result, or raises what it raised; any number of times.
    """
    if _pool is None or not two_threads():
        result = function()
        return lambda: result
    recorded = torch.is_grad_enabled()

    def run() -> _T:
        with torch.set_grad_enabled(recorded):
            return function()

    future = _pool.submit(run)
    return functools.cache(lambda: run() if future.cancel() else future.result())


def at_once(function: Callable[[_P], _T], parts: Sequence[_P]) -> list[_T]:
    """``[function(part) for part in parts]``, each in the thread that is free for it."""
    if len(parts) == 1:
        return [function(parts[0])]
    results: list[Any] = [None] * len(parts)
    untouched = iter(range(len(parts)))

    def work() -> None:
        for index in untouched:
            results[index] = function(parts[index])

    later = beside(work)
    work()
    later()
    return results


def in_parts(tensors: Sequence[Tensor], at_most: int) -> list[tuple[Tensor, ...]]:
    """Tensors with R rows each, cut into an even number of parts, for ``at_once``.

    Args:
        tensors: (R, ...).
        at_most: rows of a part: where more do not fit a cache.

    Returns:
        For each part, (r, ...) of every tensor.
    """
    count = 2 * max(1, -(-len(tensors[0]) // (2 * at_most)))
    return list(zip(*(tensor.tensor_split(count) for tensor in tensors), strict=True))
