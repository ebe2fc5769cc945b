"""Output that may lose its reader: a terminal that closed, a pipe to `head` or to a dead `tee`."""

from __future__ import annotations

import io
import sys
from typing import Any


class _Tolerant(io.FileIO):
    """A file that drops what nobody can read any more, instead of raising."""

    def write(self, data: Any) -> int | None:
        """Write, or drop."""
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def outlive_readers() -> None:
    """Make stdout and stderr such files, so that a run saves though nobody reads on.

    Streams that are no files of the operating system, as under a test, are left alone.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper):
            continue
        try:
            number = stream.fileno()
            stream.flush()
        except OSError:
            continue
        tolerant = io.TextIOWrapper(
            io.BufferedWriter(_Tolerant(number, "w", closefd=False)),
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=True,
        )
        setattr(sys, name, tolerant)
        setattr(sys, f"__{name}__", tolerant)
