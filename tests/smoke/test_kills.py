"""A run whose driver is killed again and again loses no more than the iteration it was in."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas
import psutil
import pytest

from rllib_mmsa import whole
from rllib_mmsa.command.checkpoints import latest, numbered
from tests.smoke.test_cli import COMMAND, TINY, environment, rllib, tiny_file

FAR = 100_000  # iterations: never reached between two kills
ALWAYS = {**TINY, "evaluation_interval_env_steps": 0}
START_S = 300.0  # for Ray's start and the first iteration, on a busy machine

AIM_S = 0.0005  # writing and deleting take milliseconds


class Run:
    """The command in a process group of its own, and what it has logged."""

    def __init__(self, folder: Path, *args: str):
        self.folder = folder
        self._output = (folder / "output.txt").open("a")
        self.process = subprocess.Popen(
            [*COMMAND, *args, "--storage-path", str(folder)],
            cwd=folder,
            env=environment(),
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait_for(self, happened: Callable[[], bool], pause: float = 0.1) -> None:
        """Look every `pause` seconds."""
        end = time.monotonic() + START_S
        while not happened():
            assert self.process.poll() is None, (self.folder / "output.txt").read_text()[-3000:]
            assert time.monotonic() < end, (self.folder / "output.txt").read_text()[-3000:]
            time.sleep(pause)

    def kill(self) -> list[psutil.Process]:
        """SIGKILL to the whole process group; what Ray still runs in sessions of its own."""
        rays = psutil.Process(self.process.pid).children(recursive=True)
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._output.close()
        return rays


def trial_folder(folder: Path) -> Path | None:
    return next((path.parent for path in folder.glob("tiny/*/result.json")), None)


def rows(folder: Path) -> Iterator[dict]:
    """The results in the log; a kill may tear the last line."""
    trial = trial_folder(folder)
    for line in (trial / "result.json").read_text().splitlines() if trial else []:
        with contextlib.suppress(json.JSONDecodeError):
            yield json.loads(line)


def logged(folder: Path) -> dict[int, float]:
    """Iteration -> when it was logged."""
    return {row["training_iteration"]: row["timestamp"] for row in rows(folder)}


def aim(run: Run, at: str, draw: random.Random) -> None:
    """Wait for the moment of a kill."""
    if at == "start":
        time.sleep(draw.uniform(0.5, 12.0))
        return
    before = logged(run.folder)
    run.wait_for(lambda: logged(run.folder).keys() - before.keys())
    time.sleep(draw.uniform(0.0, 1.0))
    trial = trial_folder(run.folder)
    there = set(numbered(trial))
    if at == "writing":
        run.wait_for(lambda: set(numbered(trial)) - there, AIM_S)
    elif at == "deleting":
        run.wait_for(lambda: is_being_deleted(trial, there), AIM_S)


def is_being_deleted(trial: Path, there: set[int]) -> bool:
    """Whether the oldest checkpoint lacks something, or is gone."""
    oldest = trial / f"checkpoint_{min(there):06}"
    try:
        return len(list(oldest.iterdir())) < 6 or not (oldest / whole.COMPLETE).exists()
    except FileNotFoundError:
        return True


def kill_again_and_again(folder: Path, moments: list[str], draw: random.Random) -> dict[int, float]:
    """Run, kill, resume; returns what must be in the log at the end."""
    args = ["train", "file", "f.yaml"]
    run = Run(folder, *args)
    run.wait_for(lambda: latest(trial_folder(folder) or folder) is not None)
    kept: dict[int, float] = {}
    left: list[psutil.Process] = []
    for at in moments:
        aim(run, at, draw)
        left = [*run.kill(), *(process for process in left if process.is_running())]
        now = logged(folder)
        saved = whole.saved_result(latest(trial_folder(folder)))["training_iteration"]
        assert list(now) == list(range(1, len(now) + 1)), at
        assert len(now) - 1 <= saved <= len(now), f"{at}: more than the last iteration is lost"
        assert kept.items() <= now.items(), f"{at}: an iteration that was saved was trained again"
        kept = {iteration: when for iteration, when in now.items() if iteration <= saved}
        run = Run(folder, *args, "--resume")
    aim(run, "running", draw)
    left += run.kill()
    _, alive = psutil.wait_procs(left, timeout=START_S)
    for process in alive:
        process.kill()
    assert not alive, f"outlived their driver: {alive}"
    return kept


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_twenty_kills_cost_no_more_than_the_last_iteration(tmp_path):
    tiny_file(
        tmp_path,
        stop={"training_iteration": FAR},
        checkpoint_config={"checkpoint_frequency": 1, "num_to_keep": 2},
        config=ALWAYS,
    )
    cycle = itertools.cycle(["writing", "running", "deleting", "start"])
    kept = kill_again_and_again(tmp_path, list(itertools.islice(cycle, 20)), random.Random(1))
    end = len(logged(tmp_path)) + 3
    stop = f"{{training_iteration: {end}}}"
    args = ["train", "file", "f.yaml", "--storage-path", str(tmp_path), "--resume"]
    done = rllib(tmp_path, *args, "--stop", stop, timeout=300)
    assert done.returncode == 0, done.stderr
    now = logged(tmp_path)
    assert list(now) == [row["training_iteration"] for row in rows(tmp_path)]
    assert list(now) == list(range(1, end + 1))
    assert kept.items() <= now.items()
    trial = trial_folder(tmp_path)
    table = pandas.read_csv(trial / "progress.csv")
    assert table["training_iteration"].tolist() == list(now)
    assert len(numbered(trial)) == 2 and whole.damage(latest(trial)) is None
    again = rllib(tmp_path, *args, "--stop", stop)
    assert again.returncode == 0 and "finished" in again.stdout
