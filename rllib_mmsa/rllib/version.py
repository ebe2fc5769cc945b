"""Which code trained a run: written into every result, so that reports can keep versions apart."""

from __future__ import annotations

import contextlib
import subprocess
from importlib import metadata
from pathlib import Path


def version() -> str:
    """The package's version, with the commit where it runs from a git checkout.

    Returns:
        Such as "0.1.0", "0.1.0+e32c4de" or, with changes that are not committed,
        "0.1.0+e32c4de-dirty".
    """
    found = "unknown"
    with contextlib.suppress(metadata.PackageNotFoundError):
        found = metadata.version("rllib-mmsa")
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():  # installed, perhaps inside another project's checkout
        return found
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude", "*"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        found += f"+{done.stdout.strip()}"
    return found
