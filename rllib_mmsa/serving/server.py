"""Answers for a trained team, by NumPy and ONNX Runtime: no PyTorch, no Ray, no RLlib.

    TEAM=my_team uvicorn server:app --workers 2 --no-access-log

The file can be copied, and serves by itself. It keeps nothing between two requests: what an episode
has to remember leaves with the answer and comes back with the next request, so any process can
answer any request.

Shapes: N agents, A actions, D observation numbers, E environments, H hidden size.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import math
import os
import zlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime

FILE = "team.onnx"
#: Environments and bytes of one request, at most: a longer one would keep the others waiting.
MOST, LONGEST = 256, 2**26
_FINGERPRINT, _CHECKSUM = 8, 4  # bytes


class Refused(ValueError):
    """A request that has no answer: its text is the message, ``status`` the HTTP status, 4xx."""

    def __init__(self, text: str, status: int = 422):
        super().__init__(text)
        self.status = status


class Asked(NamedTuple):
    """A request that can be answered: it fits the team.

    Attributes:
        obs: (E, N, D) float32.
        mask: (E, N, A) bool.
        hidden: (E, N, H) float32.
        last_action: (E, N) int64; A: none yet.
        single: Whether it came without E.
    """

    obs: np.ndarray
    mask: np.ndarray
    hidden: np.ndarray
    last_action: np.ndarray
    single: bool


class ServedTeam:
    """An exported team that answers requests, several at once.

    Args:
        model: What team.onnx holds.

    Raises:
        Refused: If it is no team's.
    """

    def __init__(self, model: bytes):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # more processes instead
        try:
            self._session = onnxruntime.InferenceSession(model, options)
            shapes = {each.name: each.shape for each in self._session.get_inputs()}
            _, self.num_agents, self.obs_size = shapes["obs"]
            self.num_actions, self.hidden_dim = shapes["action_mask"][-1], shapes["hidden"][-1]
            said = json.loads(self._session.get_modelmeta().custom_metadata_map["team"])
        except Exception as error:  # of ONNX Runtime; it has no common class
            raise Refused(
                f"{FILE} is not one that `rllib export` wrote ({type(error).__name__}: {error})"
            ) from None
        self.description = {
            "algorithm": said["algorithm"],
            "env": said["environment"].get("env"),
            "env_config": said["environment"].get("env_config"),
            "num_agents": self.num_agents,
            "num_actions": self.num_actions,
            "obs_size": self.obs_size,
        }
        self._fingerprint = hashlib.sha256(model).digest()[:_FINGERPRINT]
        hidden = np.zeros((self.num_agents, self.hidden_dim), np.float32)
        self._first = hidden, np.full(self.num_agents, self.num_actions)

    def parse(self, body: bytes | bytearray) -> Asked:
        """A request as it came by HTTP, see ``read``; what is not JSON is refused too."""
        if len(body) > LONGEST:
            raise Refused(f"the request is longer than {LONGEST} bytes, the most that is read", 413)
        try:
            said = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Refused(f"the request is not JSON ({error})", 400) from None
        return self.read(said)

    def read(self, said: Any) -> Asked:
        """A request.

        Args:
            said: "obs" (N, D) and "action_mask" (N, A), or (E, N, D) and (E, N, A), E at most
                ``MOST``; "state": from the last answer, None where an episode begins; with E a
                list of E.

        Raises:
            Refused: If it does not fit the team.
        """
        if not isinstance(said, dict):
            raise Refused("the request must be an object with obs, action_mask and state")
        obs = self._numbers(said, "obs", self.obs_size)
        mask = self._numbers(said, "action_mask", self.num_actions)
        if obs.shape[:-1] != mask.shape[:-1]:
            raise Refused(
                f"action_mask has shape {mask.shape}, beside obs of shape {obs.shape}; all but the "
                "last number must agree"
            )
        mask = mask != 0
        if not mask.any(-1).all():
            raise Refused("action_mask leaves an agent no legal action; it needs one at least")
        state, single = said.get("state"), obs.ndim == 2
        if single:
            obs, mask, state = obs[None], mask[None], [state]
        state = [None] * len(obs) if state is None else state
        if not isinstance(state, list) or len(state) != len(obs):
            raise Refused(f"state must be null or a list of {len(obs)}, one for each environment")
        memory = [self._unpack(each) for each in state]
        hidden, last_action = (np.array(part) for part in zip(*memory, strict=True))
        return Asked(obs, mask, hidden, last_action, single)

    def act(self, asked: Sequence[Asked]) -> list[dict[str, Any]]:
        """Answers requests with one call of the network.

        Args:
            asked: They.

        Returns:
            For each "actions" (N,) or (E, N), the greedy legal ones; "state" for the next request;
            "together": of how many environments this call was.
        """
        names = ("obs", "action_mask", "hidden", "last_action")
        inputs = (np.concatenate(part) for part in list(zip(*asked, strict=True))[: len(names)])
        actions, _, hidden = self._session.run(None, dict(zip(names, inputs, strict=True)))
        answers, start = [], 0
        for each in asked:
            end = start + len(each.obs)
            states = [self._pack(hidden[i], actions[i]) for i in range(start, end)]
            chosen = actions[start:end].tolist()
            answer = (chosen[0], states[0]) if each.single else (chosen, states)
            answers.append({"actions": answer[0], "state": answer[1], "together": len(actions)})
            start = end
        return answers

    def _numbers(self, said: dict, name: str, last: int) -> np.ndarray:
        """Numbers of shape (N, last) or (E, N, last)."""
        fits = f"({self.num_agents}, {last}) or (environments, {self.num_agents}, {last})"
        if said.get(name) is None:
            raise Refused(f"{name} is missing; it must have shape {fits}")
        try:
            values = np.asarray(said[name])
        except (ValueError, OverflowError):
            raise Refused(f"{name} is no array; it must have shape {fits}") from None
        if values.ndim not in (2, 3) or values.shape[-2:] != (self.num_agents, last):
            raise Refused(f"{name} has shape {values.shape}; it must be {fits}")
        with np.errstate(over="ignore"):
            values = values.astype(np.float32 if values.dtype.kind in "fiub" else object)
        # A square of 32 bits does not overflow 64.
        if values.dtype == object or not math.isfinite(np.vdot(values, values.astype(float))):
            raise Refused(f"{name} must hold finite numbers of 32 bits alone")
        if values.ndim == 3 and not 1 <= len(values) <= MOST:
            raise Refused(f"{name} is of {len(values)} environments; a request carries 1 to {MOST}")
        return values

    def _pack(self, hidden: np.ndarray, actions: np.ndarray) -> str:
        """Of one environment: hidden (N, H) and actions (N,) as text."""
        memory = actions.astype("<u4").tobytes() + hidden.astype("<f4").tobytes()
        checksum = zlib.crc32(memory).to_bytes(_CHECKSUM, "little")
        return base64.b64encode(self._fingerprint + checksum + memory).decode()

    def _unpack(self, state: Any) -> tuple[np.ndarray, np.ndarray]:
        """What ``_pack`` packed, or where an episode begins."""
        if state is None:
            return self._first
        try:
            packed = base64.b64decode(state)
        except (TypeError, ValueError, binascii.Error):
            raise Refused("state is not what an answer held; send it back as it came") from None
        if packed[:_FINGERPRINT] != self._fingerprint:
            raise Refused("state is of another team; begin the episode with state null")
        checksum, memory = packed[_FINGERPRINT:][:_CHECKSUM], packed[_FINGERPRINT + _CHECKSUM :]
        size = 4 * self.num_agents
        whole = len(memory) == size * (1 + self.hidden_dim)
        if not whole or zlib.crc32(memory).to_bytes(_CHECKSUM, "little") != checksum:
            raise Refused("state is damaged; send it back as it came")
        actions = np.frombuffer(memory[:size], "<u4").astype(np.int64)
        hidden = np.frombuffer(memory[size:], "<f4").reshape(self.num_agents, self.hidden_dim)
        if actions.max() > self.num_actions:  # a forged one would stop the call of all
            raise Refused("state holds an action that there is not; send it back as it came")
        return hidden, actions


async def answer(
    team: ServedTeam, method: str, body: bytes | bytearray, act: Callable[[Asked], Awaitable[dict]]
) -> tuple[int, bytes]:
    """The HTTP status and the JSON that answer a request.

    Args:
        team: Whose.
        method: GET describes the team, POST asks for actions.
        body: JSON, see ``ServedTeam.read``.
        act: Answers a request together with others.
    """
    try:
        if method == "POST":
            return 200, json.dumps(await act(team.parse(body))).encode()
        if method == "GET":
            return 200, json.dumps(team.description).encode()
        raise Refused(f"{method} is not understood; POST observations, or GET the team", 405)
    except Refused as refused:
        return refused.status, json.dumps({"error": str(refused)}).encode()


class Together:
    """Answers with one call of the network all requests that are there at the same moment."""

    def __init__(self, team: ServedTeam):
        self.team = team
        self._waiting: list[tuple[Asked, asyncio.Future]] = []

    async def act(self, asked: Asked) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._answer)  # after those whose turn it is
        self._waiting.append((asked, loop.create_future()))
        return await self._waiting[-1][1]

    def _answer(self) -> None:
        waiting, self._waiting = self._waiting, []
        there = [(asked, future) for asked, future in waiting if not future.done()]
        try:
            answers = self.team.act([asked for asked, _ in there]) if there else []
        except Exception as error:  # of ONNX Runtime; each client is told, and asks again
            for _, future in there:
                future.set_exception(error)
            return
        for (_, future), answer in zip(there, answers, strict=True):
            future.set_result(answer)


class App:
    """The server without Ray, an ASGI application; the environment variable TEAM names a folder."""

    def __init__(self) -> None:
        self.together: Together | None = None

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            body, more = bytearray(), True
            while more:
                message = await receive()
                body += message.get("body", b"")[: LONGEST + 1 - len(body)]
                more = message.get("more_body", False)
            together = self.together or self._load()
            status, said = await answer(together.team, scope["method"], body, together.act)
            length = b"%d" % len(said)
            headers = [(b"content-type", b"application/json"), (b"content-length", length)]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": said})

    def _load(self) -> Together:
        folder = os.environ.get("TEAM")
        path = Path(folder or "", FILE)
        if folder is None or not path.is_file():
            raise Refused(f"TEAM={folder}: there is no {path}; name a folder of `rllib export`")
        self.together = Together(ServedTeam(path.read_bytes()))
        return self.together

    async def _live(self, receive: Callable, send: Callable) -> None:
        await receive()
        try:
            self._load()
        except Refused as refused:
            await send({"type": "lifespan.startup.failed", "message": str(refused)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


app = App()
