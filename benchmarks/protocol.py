"""Several processes that take turns: one is asked, the others wait, and nobody shares memory.

A question is a line of JSON, {"do": name, arguments ...}; so is its answer. Only the standard
library is imported here: a peer answers from an environment of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import traceback
from typing import Any

_LINES_SHOWN = 25  # of what a process that died had written


class BenchmarkError(RuntimeError):
    """A process that measures could not; the message says why."""


class Local:
    """Answers in this process: nothing to start, but memory is not apart."""

    def __init__(self, answerer: Any):
        self._answerer = answerer

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Calls the answerer's method ``do``."""
        return getattr(self._answerer, do)(**arguments)

    def stop(self) -> None:
        """Calls the answerer's ``stop``."""
        self._answerer.stop()


class Remote:
    """A process of its own that answers questions.

    Args:
        name: what it is, for messages.
        command: its command line.
        env: variables set on top of this process's environment.
    """

    def __init__(self, name: str, command: list[str], env: dict[str, str] | None = None):
        self.name = name
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, **(env or {})},
            text=True,
        )
        self._read()  # it says that it is ready

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Asks and waits for the answer.

        Raises:
            BenchmarkError: it failed or died; with what it wrote last.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # reading finds out what happened
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the process ended"}
        if "error" not in answer:
            return answer
        self._log.seek(0)
        last = self._log.read().decode(errors="replace").splitlines()[-_LINES_SHOWN:]
        raise BenchmarkError("\n".join([f"{self.name}: {answer['error']}", *last]))

    def stop(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(timeout=30)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._log.close()


def serve(make: Any) -> None:
    """Answers questions until nobody asks any more.

    Args:
        make: function without arguments; the methods of what it returns answer.
    """
    # Libraries print where they like: answers have a channel that they do not know.
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def tell(answer: dict[str, Any]) -> None:
        channel.write(json.dumps(answer) + "\n")

    try:
        answerer = make()
        tell({})
        for line in sys.stdin:
            question = json.loads(line)
            tell(getattr(answerer, question.pop("do"))(**question))
        answerer.stop()
    except Exception as error:
        traceback.print_exc()
        tell({"error": f"{type(error).__name__}: {error}"})
        raise SystemExit(1) from error
