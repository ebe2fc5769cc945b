"""A run is resumed again and again, and after a full disk: its logs are those of one run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pandas
import pytest

from rllib_mmsa import whole
from rllib_mmsa.command.checkpoints import locate, numbered
from tests.smoke.test_cli import COMMAND, TINY, environment, rllib, tiny_file
from tests.unit.test_full_disk import mounted

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
WAIT_S = 300.0
SLOW = {**TINY, "min_sample_timesteps_per_iteration": 1000}  # no run ends before it is stopped


def iterations(folder: Path) -> list[int]:
    """What result.json has logged; a kill may tear its last line."""
    texts = [path.read_text() for path in folder.glob("tiny/*/result.json")]
    lines = [line for text in texts for line in text.splitlines() if line.endswith("}")]
    return [json.loads(line)["training_iteration"] for line in lines]


def run_and_stop(folder: Path, args: list[str], number: int) -> str:
    """Start the command, stop it with a signal once it has logged something new."""
    process = subprocess.Popen(
        [*COMMAND, *args],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    before, end = max(iterations(folder), default=0), time.monotonic() + WAIT_S
    while max(iterations(folder), default=0) < before + 3:
        assert process.poll() is None and time.monotonic() < end, process.communicate()[0]
        time.sleep(0.1)
    process.send_signal(number)
    return process.communicate(timeout=WAIT_S)[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("by_file", [False, True])
def test_three_resumes_in_a_row(tmp_path, number, by_file):
    tiny_file(tmp_path, stop={"training_iteration": 10_000}, config=SLOW)
    where = ["--storage-path", str(tmp_path)]
    first = ["train", "file", "f.yaml", *where]
    again = [*first, "--resume"] if by_file else ["train", "resume", str(tmp_path / "tiny")]
    for args in (first, again, again):
        output = run_and_stop(tmp_path, args, number)
        if number == signal.SIGTERM:
            assert "resume: " in output
            reached = iterations(tmp_path)
            assert reached == list(range(1, len(reached) + 1))
    end = max(iterations(tmp_path)) + 2
    done = rllib(tmp_path, *again, "--stop", f"{{training_iteration: {end}}}", timeout=WAIT_S)
    assert done.returncode == 0, done.stderr
    assert iterations(tmp_path) == list(range(1, end + 1))
    (table,) = map(pandas.read_csv, tmp_path.glob("tiny/*/progress.csv"))
    assert table["training_iteration"].tolist() == list(range(1, end + 1))
    steps = table["num_env_steps_sampled_lifetime"]
    assert steps.is_monotonic_increasing and steps.is_unique
    returns = table["env_runners/episode_return_mean"]
    assert returns.between(0, 8).all()


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    yield from mounted(tmp_path / "disk", "size=4m")


def fill(disk: Path, left: int) -> Path:
    """A file that takes all but some bytes."""
    path = disk / "fill"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    os.truncate(path, path.stat().st_size - left)
    return path


def fails_and_goes_on(folder: Path, disk: Path, args: list[str]) -> None:
    """The run that `args` resume says what is full; with room it goes on to its end."""
    (table,) = map(pandas.read_csv, disk.glob("tiny/*/progress.csv"))
    saved = whole.saved_result(locate(disk / "tiny"))["training_iteration"]
    assert 0 < saved <= table["training_iteration"].max()
    end = saved + 2
    done = rllib(folder, *args, "--stop", f"{{training_iteration: {end}}}", timeout=WAIT_S)
    assert done.returncode == 0, done.stderr
    assert iterations(disk) == list(range(1, end + 1))


def test_a_disk_that_fills_up_with_checkpoints(tmp_path, small_disk):
    checkpoints = {"checkpoint_frequency": 2, "num_to_keep": 100}
    tiny_file(
        tmp_path, stop={"training_iteration": 500}, checkpoint_config=checkpoints, config=TINY
    )
    args = ["train", "file", "f.yaml", "--storage-path", str(small_disk)]
    full = rllib(tmp_path, *args, timeout=WAIT_S)
    assert full.returncode == 1, full.stderr
    assert f"no space left on '{small_disk}/tiny'" in full.stderr
    assert "resume: " in full.stdout
    (trial,) = (path.parent for path in small_disk.glob("tiny/*/result.json"))
    assert [whole.damage(each) for each in numbered(trial).values()] == [None] * len(
        numbered(trial)
    )
    refused = rllib(tmp_path, *args, "--resume")
    assert refused.returncode == 2 and "No space left on device; make room" in refused.stderr
    subprocess.run(["mount", "-o", "remount,size=40m", str(small_disk)], check=True)
    fails_and_goes_on(tmp_path, small_disk, [*args, "--resume"])


def test_a_disk_without_room_for_the_next_rows(tmp_path, small_disk):
    rare = {"checkpoint_frequency": 10_000, "checkpoint_at_end": True}
    tiny_file(tmp_path, stop={"training_iteration": 3}, checkpoint_config=rare, config=TINY)
    args = ["train", "file", "f.yaml", "--storage-path", str(small_disk)]
    assert rllib(tmp_path, *args, timeout=WAIT_S).returncode == 0
    filler = fill(small_disk, 600_000)
    more = [*args, "--resume", "--stop", "{training_iteration: 5000}"]
    full = rllib(tmp_path, *more, timeout=WAIT_S)
    assert full.returncode == 1, full.stderr
    assert f"no space left on '{small_disk}/tiny'" in full.stderr
    assert "Traceback" not in full.stderr
    filler.unlink()
    fails_and_goes_on(tmp_path, small_disk, [*args, "--resume"])
