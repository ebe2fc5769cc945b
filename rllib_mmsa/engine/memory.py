"""The C library's allocator, told to keep what a training step frees."""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_BYTES = 1 << 30


def keep_freed_memory() -> None:
    """Makes glibc reuse freed tensors instead of handing their pages back to the system.

    By default every tensor of some megabytes is fresh pages that the system must clear first, in
    every update anew: up to half the time of element-wise operations. Up to 1 GiB of freed memory
    stays with the process. Nothing happens where the C library is not glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, _BYTES)
    libc.mallopt(_M_TRIM_THRESHOLD, _BYTES)
