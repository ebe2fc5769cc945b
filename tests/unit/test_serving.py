"""A served team: what a request holds, what is refused, and a client that remembers and retries."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import zlib
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

import rllib_mmsa
from rllib_mmsa.command.export import export
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.serving import Client, Refused, Unanswered
from tests.algorithms import FORAGING, build

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from rllib_mmsa.serving import server  # noqa: E402


def exported(folder, seed):
    algorithm = build("MMSA", **FORAGING, seed=seed)
    algorithm.save_to_path(str(folder / "checkpoint_000000"))
    algorithm.stop()
    return export(folder / "checkpoint_000000", str(folder / "team"), onnx=True).folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory, ray_session):
    return exported(tmp_path_factory.mktemp("saved"), seed=1)


@pytest.fixture(scope="module")
def served(folder):
    return server.ServedTeam((folder / "team.onnx").read_bytes())


def seen(rng, *environments):
    """Observations and masks of 5x5-2p-1f: 2 agents, 9 numbers, 6 actions."""
    mask = rng.random((*environments, 2, 6)) < 0.6
    mask[..., 0] = True
    return {"obs": rng.normal(size=(*environments, 2, 9)).tolist(), "action_mask": mask.tolist()}


def respond(served, *bodies):
    """Requests that come at the same moment: their statuses and answers."""

    async def all_of_them():
        act = server.Together(served).act
        bytes_ = (b if isinstance(b, bytes) else json.dumps(b).encode() for b in bodies)
        return await asyncio.gather(*(server.answer(served, "POST", b, act) for b in bytes_))

    return [(status, json.loads(said)) for status, said in asyncio.run(all_of_them())]


def test_requests_of_different_episodes_are_answered_together_as_the_team_acts(folder, served):
    """One environment, three, and one that begins later; each has a team of its own to compare."""
    rng = np.random.default_rng(0)
    teams = [rllib_mmsa.load_team(folder) for _ in range(3)]
    states = [None, None, None]
    for t in range(6):
        if t == 3:
            states[2] = None
            teams[2].reset()
        asked = [seen(rng), seen(rng, 3), seen(rng)]
        found = respond(served, *({**a, "state": s} for a, s in zip(asked, states, strict=True)))
        assert [status for status, _ in found] == [200] * 3
        for (_, answer), team, observed in zip(found, teams, asked, strict=True):
            assert answer["actions"] == team.act(observed).tolist()
            assert answer["together"] == 5
        states = [answer["state"] for _, answer in found]
    np.testing.assert_allclose(
        served.read({**asked[0], "state": states[0]}).hidden, teams[0]._state["hidden"], atol=1e-5
    )


def test_a_request_sent_twice_has_the_same_answer(served):
    rng = np.random.default_rng(1)
    (_, first), *_ = respond(served, seen(rng))
    again = {**seen(rng), "state": first["state"]}
    one, other = respond(served, again, again)
    assert one == other


def forged(served, actions):
    """A state with a right checksum and these last actions."""
    memory = np.array(actions, "<u4").tobytes() + bytes(4 * 2 * served.hidden_dim)
    packed = served._fingerprint + zlib.crc32(memory).to_bytes(4, "little") + memory
    return base64.b64encode(packed).decode()


FINE = seen(np.random.default_rng(2))
BAD = {
    "no JSON": (b"{", 400, "is not JSON"),
    "too deep": (b"[" * 100_000, 400, "is not JSON"),
    "no object": ([1], 422, "must be an object with obs, action_mask and state"),
    "no mask": ({"obs": FINE["obs"]}, 422, r"action_mask is missing; it must have shape \(2, 6\)"),
    "shape": ({**FINE, "obs": [[1.0]]}, 422, r"obs has shape \(1, 1\); it must be \(2, 9\) or"),
    "ragged": ({**FINE, "obs": [[1.0], [1.0, 2.0]]}, 422, "obs is no array"),
    "words": ({**FINE, "obs": [["1"] * 9] * 2}, 422, "obs must hold finite numbers"),
    "null": ({**FINE, "obs": [[None] * 9] * 2}, 422, "obs must hold finite numbers"),
    "NaN": ({**FINE, "obs": [[float("nan")] * 9] * 2}, 422, "obs must hold finite numbers"),
    "64 bits": ({**FINE, "obs": [[1e39] * 9] * 2}, 422, "obs must hold finite numbers of 32 bits"),
    "huge": ({**FINE, "obs": [[10**400] * 9] * 2}, 422, "obs must hold finite numbers"),
    "no action": ({**FINE, "action_mask": [[0] * 6] * 2}, 422, "leaves an agent no legal action"),
    "E": ({**FINE, "obs": [FINE["obs"]]}, 422, "action_mask has shape .*all but the last number"),
    "too many": ({k: [v] * 257 for k, v in FINE.items()}, 422, "a request carries 1 to 256"),
    "none": ({"obs": [], "action_mask": []}, 422, "obs has shape"),
    "states": ({k: [v] for k, v in FINE.items()} | {"state": "x"}, 422, "null or a list of 1"),
    "no state": ({**FINE, "state": 7}, 422, "state is not what an answer held"),
    "no base64": ({**FINE, "state": "\u00e4"}, 422, "state is not what an answer held"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_request_is_refused_alone(served, case):
    body, status, words = BAD[case]
    (first, one), (refused, said), (last, other) = respond(served, FINE, body, FINE)
    assert (first, refused, last) == (200, status, 200)
    assert one == other and one["together"] == 2
    with pytest.raises(ValueError, match=words):
        raise ValueError(said["error"])
    assert len(said["error"]) < 300


def test_a_foreign_or_damaged_state_is_refused(served, tmp_path, ray_session):
    other = server.ServedTeam((exported(tmp_path, seed=2) / "team.onnx").read_bytes())
    ((_, fine),) = respond(served, FINE)
    ((_, foreign),) = respond(other, FINE)
    damaged = bytearray(base64.b64decode(fine["state"]))
    damaged[40] ^= 1
    states = {
        foreign["state"]: "state is of another team; begin the episode with state null",
        base64.b64encode(damaged).decode(): "state is damaged",
        fine["state"][:-8]: "state is damaged",
        forged(served, [0, 7]): "holds an action that there is not",
        forged(served, [0, 2**32 - 1]): "holds an action that there is not",
    }
    for state, words in states.items():
        (status, said), (beside, _) = respond(served, {**FINE, "state": state}, FINE)
        assert (status, beside) == (422, 200) and words in said["error"]
    assert respond(served, {**FINE, "state": forged(served, [0, 6])})[0][0] == 200


def test_a_failure_of_the_network_is_told_to_all_that_wait(served, monkeypatch):
    def fail(asked):
        raise RuntimeError("of ONNX Runtime")

    async def ask(together):
        asked = [together.act(served.read(FINE)) for _ in range(2)]
        return await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), timeout=30)

    together = server.Together(served)
    monkeypatch.setattr(served, "act", fail)
    assert [str(each) for each in asyncio.run(ask(together))] == ["of ONNX Runtime"] * 2
    monkeypatch.undo()
    assert len(asyncio.run(ask(together))[0]["actions"]) == 2


def test_a_request_of_any_length_is_not_kept(folder, monkeypatch):
    monkeypatch.setenv("TEAM", str(folder))
    whole = json.dumps({**seen(np.random.default_rng(0), server.MOST), "state": None}).encode()
    app, answer = server.App(), []

    async def send(message):
        answer.append(message)

    def post(parts):
        answer.clear()
        asyncio.run(app({"type": "http", "method": "POST"}, iter_body(parts), send))
        return answer[0]["status"], json.loads(answer[1]["body"])

    assert post([whole[:99], whole[99:]])[0] == 200
    monkeypatch.setattr(server, "LONGEST", 1000)
    monkeypatch.setattr(server.ServedTeam, "read", lambda self, said: pytest.fail("was read"))
    status, said = post([b" " * 900, b" " * 99, b" " * 9, b"{}"])
    assert status == 413 and "longer than 1000 bytes" in said["error"]


def iter_body(parts):
    """`receive` of a body in these parts."""
    sent = iter(enumerate(parts, start=1))

    async def receive():
        number, part = next(sent)
        return {"body": part, "more_body": number < len(parts)}

    return receive


class Unreliable(BaseHTTPRequestHandler):
    """Drops every third request, fails at every third, and answers the others."""

    protocol_version = "HTTP/1.1"
    served: server.ServedTeam

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(body)
        turn = len(self.server.asked) % 3
        if turn == 1:
            self.close_connection = True
            return
        ((status, said),) = respond(self.server.served, body) if turn == 0 else [(500, "Oh")]
        said = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *args):
        pass


@pytest.fixture
def unreliable(served):
    """A server that loses two requests of three; its address, and what it was asked."""
    with HTTPServer(("127.0.0.1", 0), Unreliable) as listening:
        listening.served, listening.asked = served, []
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}", listening.asked
        listening.shutdown()


def test_a_client_asks_again_and_acts_as_the_team(folder, unreliable):
    url, asked = unreliable
    rng, team = np.random.default_rng(3), rllib_mmsa.load_team(folder)
    with Client(url) as client:
        for _ in range(3):
            observed = seen(rng, 2)
            assert (client.act({"team": observed}) == team.act({"team": observed})).all()
        assert client.retries == 6 and len(asked) == 9
        assert asked[0] == asked[1] == asked[2] != asked[3]
        client.reset([1])
        team.reset([1])
        observed = seen(rng, 2)
        assert (client.act(observed) == team.act(observed)).all()
        assert json.loads(asked[-1])["state"][1] is None
        client.reset()
        team.reset()
        alone = seen(rng)
        assert (client.act(alone) == team.act(alone)).all()


def test_what_a_client_is_told(unreliable):
    url, asked = unreliable
    with Client(url) as client:
        with pytest.raises(Refused, match=r"obs has shape \(1, 1\); it must be \(2, 9\)"):
            client.act({**FINE, "obs": [[1.0]]})
    before = len(asked)
    with Client(url, patience=0.05) as client:
        with pytest.raises(Unanswered, match="no answer within 0.05 s .*; is the server running?"):
            client.act(FINE)
    assert len(asked) == before + 1
    with pytest.raises(ValueError, match="url '127.0.0.1:8000' is none"):
        Client("127.0.0.1:8000")


def test_a_folder_that_cannot_be_served(folder, tmp_path):
    pytest.importorskip("ray.serve")
    pytest.importorskip("aiohttp")
    from rllib_mmsa.serving.ray_serve import Settings, app

    with pytest.raises(ConfigError, match="team.onnx' cannot be read .*rllib export CHECKPOINT"):
        app(Settings(team=str(tmp_path)))
    (tmp_path / "team.onnx").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="is not one that `rllib export` wrote"):
        app(Settings(team=str(tmp_path)))
    with pytest.raises(ValueError, match="replica"):
        Settings(team=str(folder), replica=2)
    app(Settings(team=str(folder)))
