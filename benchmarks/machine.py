"""What the numbers were measured on, and how much memory a process holds."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import resource
import sys
from importlib import metadata
from pathlib import Path
from typing import Any


def machine(threads: int) -> dict[str, Any]:
    """The machine, its load now, and the versions that matter.

    Args:
        threads: PyTorch threads in each measured process.
    """
    packages = ("torch", "ray", "numpy")
    return {
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "model": _model(),
        "system": platform.system(),
        "load": [round(value, 1) for value in os.getloadavg()],
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in packages},
        "threads": threads,
    }


def _model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def machine_words(facts: dict[str, Any]) -> str:
    """One sentence of what ``machine`` returned."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    load = ", ".join(str(value) for value in facts["load"])
    return (
        f"{facts['cores']} cores, {facts['model']}; {facts['system']}, Python {facts['python']}, "
        f"{versions}; {facts['threads']} PyTorch thread(s) per process; "
        f"load at the start (1, 5, 15 minutes) {load}"
    )


def peak_memory_mb() -> float:
    """Most memory this process has held at once so far (resident), in MB (10^6 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6


def resident_bytes() -> int | None:
    """Memory this process holds now, after giving back what is free; None where it is unknown."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    except (OSError, AttributeError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
