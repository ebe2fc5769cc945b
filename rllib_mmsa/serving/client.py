"""Asks a served team for actions, and remembers for it. The standard library and NumPy.

The file needs nothing else of its package: it can be copied to where the environment is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import numpy as np

_LEAST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds between two attempts
#: The second spares Ray Serve to watch for clients that go away: an answer takes milliseconds.
_HEADERS = {"Content-Type": "application/json", "X-Request-Disconnect-Disabled": "?1"}
_AGAIN = (408, 429)  # and 500 and above: of the server, not of what was asked


class Refused(ValueError):
    """The server does not answer such a request. Its text is the server's message."""


class Unanswered(ConnectionError):
    """No server answered in time."""


class Client:
    """A team that acts elsewhere; ``act`` and ``reset`` are those of ``rllib_mmsa.load_team``.

    A request that gets no answer is sent again, to whichever process is there: the server keeps
    nothing, so that an answer is the same whoever gives it. One client is for one thread.

    Args:
        url: Of the server.
        patience: Seconds for which a request is tried.

    Attributes:
        retries: How many requests were sent again so far.
        together: With how many environments the last request was answered.
    """

    def __init__(self, url: str = "http://127.0.0.1:8000", patience: float = 30.0):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url '{url}' is none; it looks like http://127.0.0.1:8000")
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=patience)
        self._path, self.patience = parts.path or "/", patience
        self._state: Any = None
        self.retries = self.together = 0

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; the next request opens another."""
        self._connection.close()

    def describe(self) -> dict[str, Any]:
        """What is served: "algorithm", "env", "env_config" and the team's sizes.

        Raises:
            Refused, Unanswered: See ``act``.
        """
        return self._ask("GET", None)

    def reset(self, environments: Sequence[int] | None = None) -> None:
        """Forget: an episode begins.

        Args:
            environments: In these, of several; None: in all, and their number may change.
        """
        if environments is None:
            self._state = None
        elif isinstance(self._state, list):
            begins = set(environments)
            self._state = [None if i in begins else s for i, s in enumerate(self._state)]

    def act(self, observations: Mapping[str, Any]) -> np.ndarray:
        """The greedy legal action of each agent.

        Args:
            observations: "obs" (N, D) and "action_mask" (N, A), or (E, N, D) and (E, N, A) of
                several environments; an environment's {"team": ...} is taken as it is.

        Returns:
            (N,) or (E, N) int64.

        Raises:
            Refused: If it does not fit the team.
            Unanswered: If no server answered within ``patience``. What the team remembers is as
                before, so the same call may be made again.
        """
        seen = observations.get("team", observations)
        asked = {name: np.asarray(value).tolist() for name, value in seen.items() if name in _SENT}
        answer = self._ask("POST", json.dumps({**asked, "state": self._state}).encode())
        self._state, self.together = answer["state"], answer["together"]
        return np.asarray(answer["actions"], np.int64)

    def _ask(self, method: str, body: bytes | None) -> dict[str, Any]:
        end, pause = time.monotonic() + self.patience, _LEAST_PAUSE
        while True:
            status, said = self._attempt(method, body, max(_LEAST_PAUSE, end - time.monotonic()))
            if status == 200:
                return json.loads(said)
            if status is not None and status < 500 and status not in _AGAIN:
                raise Refused(_error(said, status))
            if time.monotonic() + pause > end:
                raise Unanswered(
                    f"{self._connection.host}:{self._connection.port} gave no answer within "
                    f"{self.patience:g} s (last: {status or said!r}); is the server running?"
                )
            time.sleep(pause)
            self.retries, pause = self.retries + 1, min(2 * pause, _LONGEST_PAUSE)

    def _attempt(self, method: str, body: bytes | None, seconds: float) -> tuple[int | None, Any]:
        """Status and body of an answer, or None and why there is none."""
        self._connection.timeout = seconds
        if self._connection.sock:
            self._connection.sock.settimeout(seconds)
        try:
            self._connection.request(method, self._path, body, _HEADERS)
            response = self._connection.getresponse()
            return response.status, response.read()
        except (OSError, HTTPException) as error:
            self._connection.close()
            return None, error


_SENT = ("obs", "action_mask")


def _error(said: bytes, status: int) -> str:
    """The server's message, or what came instead of one."""
    try:
        return json.loads(said)["error"]
    except (ValueError, KeyError, TypeError):
        return f"HTTP {status}: {said.decode(errors='replace')[:200]}"
