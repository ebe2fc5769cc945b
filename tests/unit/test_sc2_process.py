"""What surrounds a game's process, tried on other processes; and global generators kept apart."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from env_registry.contract import EnvFailure
from env_registry.starcraft2.global_random import OwnGlobalRandom
from env_registry.starcraft2.process import GameProcess, time_limit

pytestmark = pytest.mark.skipif(os.name != "posix", reason="processes as on Linux and macOS")

PARENT = """
import subprocess, sys, time
from env_registry.starcraft2.process import GameProcess
game = subprocess.Popen(["sleep", "100"], start_new_session=True)
GameProcess(game, sys.argv[1])
print(game.pid, flush=True)
time.sleep(100)
"""


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")  # a zombie that nobody waits for has ended too
    return not (state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z")


def _wait_for(condition, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def test_a_game_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    owner = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    game = int(owner.stdout.readline())
    assert _runs(game)
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    assert _wait_for(lambda: not _runs(game))
    assert _wait_for(lambda: not folder.exists())


def test_a_game_that_is_released_ends_and_its_folder_is_left_to_pysc2(tmp_path: Path) -> None:
    process = subprocess.Popen(["sleep", "100"])
    game = GameProcess(process, str(tmp_path))
    assert game.pid == process.pid
    game.release()
    game.release()  # again: nothing happens
    assert process.returncode == -signal.SIGKILL
    time.sleep(0.2)
    assert tmp_path.exists()


def test_what_takes_too_long_is_ended_and_fails() -> None:
    process = subprocess.Popen(["sleep", "100"])
    start = time.monotonic()
    with pytest.raises(EnvFailure, match=r"a reset took too long \(0.2 s\)"):
        with time_limit(0.2, process.kill, "a reset took too long"):
            process.wait()
    assert time.monotonic() - start < 10


def test_a_time_limit_that_is_kept_does_nothing() -> None:
    called = []
    with time_limit(0.2, lambda: called.append(1), "too long"):
        pass
    with pytest.raises(ValueError, match="own"):
        with time_limit(0.2, lambda: called.append(1), "too long"):
            raise ValueError("own")
    time.sleep(0.4)
    assert called == []


def test_global_generators_of_two_environments_do_not_touch() -> None:
    def draw(own: OwnGlobalRandom) -> tuple[float, float]:
        with own():
            return random.random(), float(np.random.rand())

    seed = np.random.SeedSequence
    alone = OwnGlobalRandom(seed(1))
    expected = [draw(alone) for _ in range(3)]
    random.seed(5)
    np.random.seed(5)
    outside = random.random(), float(np.random.rand())
    random.seed(5)
    np.random.seed(5)
    first, second = OwnGlobalRandom(seed(1)), OwnGlobalRandom(seed(2))
    found, others = [], []
    for _ in range(3):
        found.append(draw(first))
        others.append(draw(second))
    assert found == expected
    assert not set(found) & set(others)
    assert (random.random(), float(np.random.rand())) == outside
