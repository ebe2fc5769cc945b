"""The commands of docs/serving.md serve a team, and lose no request when a process is killed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

import rllib_mmsa
from rllib_mmsa.command.export import export
from rllib_mmsa.serving import Client, Refused
from tests.algorithms import build

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
PORT, CLIENTS, STEPS = 8000, 8, 40
URL = f"http://127.0.0.1:{PORT}"
#: A machine that runs other tests besides starts a process slowly, and Ray Serve gives up soon.
PATIENT = {"RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60"}

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_session")]
for needed in ("onnxscript", "onnxruntime", "uvicorn", "aiohttp", "lbforaging"):
    pytest.importorskip(needed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, ray_session):
    """my_team, in a folder of its own."""
    place = tmp_path_factory.mktemp("served")
    algorithm = build("MMSA", env="lbf", env_config={"task": "8x8-2p-2f-v2"}, hidden_dim=64)
    algorithm.save_to_path(str(place / "checkpoint_000000"))
    algorithm.stop()
    return export(place / "checkpoint_000000", str(place / "my_team"), onnx=True).folder


def commands(word: str) -> list[str]:
    """The lines of the page's block of shell commands with a word in it, but for installing."""
    (block,) = (b for b in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) if word in b)
    return [line for line in block.splitlines() if not line.startswith(("pip ", "rllib export "))]


@contextmanager
def serving(lines: list[str], place: Path, **env: str):
    """Runs commands in a folder, until the last of them is interrupted."""
    with socket.socket() as free:
        taken = free.connect_ex(("127.0.0.1", PORT)) == 0
    assert not taken, f"port {PORT}, which the page names, is taken; end what listens there"
    script = "\n".join([*lines[:-1], _in_place_of_the_shell(lines[-1])])
    own = {"RAY_ADDRESS": "local", "PYTHONUNBUFFERED": "1", **PATIENT}
    with (place / "log").open("w+") as log:
        process = subprocess.Popen(
            ["bash", "-ec", script], cwd=place, env={**os.environ, **own, **env},
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            _wait(process)
            yield process
        except BaseException:
            log.seek(0)
            print(log.read())
            raise
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()


def _in_place_of_the_shell(line: str) -> str:
    """The command by this Python, so that a signal reaches it."""
    line = line.replace("serve run", f"exec {sys.executable} -m ray.serve.scripts run")
    return line.replace("uvicorn server:app", f"exec {sys.executable} -m uvicorn server:app")


def _wait(process: subprocess.Popen, seconds: float = 150) -> None:
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        try:
            with Client(URL, patience=1) as client:
                assert client.describe()["env_config"] == {"task": "8x8-2p-2f-v2"}
            return
        except (Refused, ConnectionError):  # Ray Serve answers 404 before it knows the application
            time.sleep(0.5)
    raise AssertionError(f"it does not serve (exit code {process.poll()})")


class Player(threading.Thread):
    """Plays episodes by a client until it is told to stop; counts right and wrong answers."""

    def __init__(self, number: int, games):
        super().__init__(daemon=True)
        self.number, self.games = number, games
        self.stopping = threading.Event()
        self.asked = self.right = self.retries = 0

    def run(self) -> None:
        observed, masks, actions = self.games
        with Client(URL) as client:
            while not self.stopping.is_set():
                client.reset()
                for obs, mask, expected in zip(observed, masks, actions, strict=True):
                    self.asked += 1
                    seen = {"obs": obs[self.number], "action_mask": mask[self.number]}
                    self.right += bool((client.act(seen) == expected[self.number]).all())
            self.retries = client.retries


def games(folder: Path):
    """Observations, masks and the team's actions: (STEPS, CLIENTS, N, ...)."""
    team, rng = rllib_mmsa.load_team(folder), np.random.default_rng(0)
    obs = rng.normal(size=(STEPS, CLIENTS, team.num_agents, team.obs_size))
    mask = rng.random((*obs.shape[:-1], team.num_actions)) < 0.7
    mask[..., 0] = True
    acted = [team.act({"obs": o, "action_mask": m}) for o, m in zip(obs, mask, strict=True)]
    return obs, mask, np.stack(acted)


def answering(process: subprocess.Popen, name: str) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            found += [child] if name in " ".join(child.cmdline()) else []
        except psutil.NoSuchProcess:
            continue
    return found


def played_while_one_is_killed(process: subprocess.Popen, name: str, folder: Path) -> list[Player]:
    """Players that asked before, while and after a process died and another took its place."""
    players = [Player(number, games(folder)) for number in range(CLIENTS)]
    end = time.monotonic() + 60
    while len(before := answering(process, name)) < 2 and time.monotonic() < end:
        time.sleep(0.2)
    for player in players:
        player.start()
    time.sleep(2)
    assert len(before) == 2 and sum(player.right for player in players) > CLIENTS
    before[0].kill()
    gone = {each.pid for each in before}
    while {each.pid for each in answering(process, name)} <= gone and time.monotonic() < end + 60:
        time.sleep(0.2)
    assert {each.pid for each in answering(process, name)} - gone, "none took its place"
    time.sleep(2)
    for player in players:
        player.stopping.set()
    for player in players:
        player.join(timeout=60)
    return players


def check(players: list[Player]) -> None:
    """None is waiting, none was lost, none was answered wrongly."""
    assert not any(player.is_alive() for player in players)
    for player in players:
        assert player.asked >= STEPS and player.right == player.asked


@pytest.mark.timeout(600)
def test_ray_serve_loses_nothing_when_a_replica_is_killed(folder):
    lines = commands("serve run")
    with serving(lines, folder.parent, PYTHONPATH=str(ROOT)) as process:
        check(played_while_one_is_killed(process, "ray::ServeReplica", folder))
        with Client(URL) as client, pytest.raises(Refused, match="action_mask is missing"):
            client.act({"obs": np.zeros((2, 12))})
        example = next(
            b for b in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "env." in b
        )
        printed = subprocess.run(
            [sys.executable, "-c", example], env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert printed.returncode == 0, printed.stderr
        assert float(printed.stdout) >= 0


def test_the_server_without_ray_loses_nothing_when_a_worker_is_killed(folder, tmp_path):
    """In a folder with the copied file alone, where neither Ray nor PyTorch can be imported."""
    lines = commands("uvicorn server:app")
    shutil.copytree(folder, tmp_path / "my_team")
    for name in ("ray", "torch", "rllib_mmsa"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not here')")
    lines = [line.replace("cp rllib_mmsa/", f"cp {ROOT}/rllib_mmsa/") for line in lines]
    with serving(lines, tmp_path, PYTHONPATH=str(tmp_path)) as process:
        check(played_while_one_is_killed(process, "spawn_main", folder))


def test_the_client_is_one_file(tmp_path):
    shutil.copy(ROOT / "rllib_mmsa/serving/client.py", tmp_path)
    code = "import client, sys; assert not {'ray', 'torch', 'rllib_mmsa'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={}, timeout=60)
    assert done.returncode == 0
