"""Signals to a run as a user, a batch system or a container sends them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.smoke.test_cli import COMMAND, TINY, environment, tiny_file

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SLOW_ENV = """
import time
from ray.tune.registry import register_env
from env_registry.toy import TwoStepEnv


class SlowEnv(TwoStepEnv):
    def step(self, actions):
        time.sleep(0.1)
        return super().step(actions)


register_env("slow_env", lambda config: SlowEnv())
"""


class Run:
    """A run in a session of its own, as a terminal or a batch system starts it."""

    def __init__(self, tmp_path: Path, before: Callable[[], object] | None = None):
        self.out, self.err = tmp_path / "out", tmp_path / "err"
        self.results = tmp_path / "tiny"
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                [*COMMAND, "train", "file", "f.yaml", "--storage-path", str(tmp_path)],
                cwd=tmp_path, env=environment(), stdout=out, stderr=err,
                start_new_session=True, preexec_fn=before,
            )  # fmt: skip
        self.family: list[psutil.Process] = []

    def wait_for(self, words: str) -> None:
        """Wait until the run has printed words."""
        self.wait_until(lambda: words in self.out.read_text())

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for something; note the run's processes."""
        started = time.monotonic()
        while not condition():
            assert self.process.poll() is None, self.err.read_text()
            assert time.monotonic() - started < 180
            time.sleep(0.2)
        self.family = psutil.Process(self.process.pid).children(recursive=True)

    def rows(self) -> list[int]:
        """The iterations that were logged."""
        (log,) = self.results.glob("*/result.json")
        lines = log.read_text().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n")]  # the last is being written
        return [json.loads(line)["training_iteration"] for line in whole]

    def assert_saved(self, within: float) -> None:
        """The run ends by itself, saved, and leaves nothing running."""
        code = self.process.wait(timeout=within)
        out, err = self.out.read_text(), self.err.read_text()
        assert code == 130, err
        assert "Traceback" not in err
        saved = max(self.results.glob("*/checkpoint_*"))
        assert f"checkpoint: {saved}" in out
        assert "\nresume: " in out and "train file f.yaml --resume --storage-path" in out
        self.assert_alone()

    def assert_alone(self, within: float = 30) -> None:
        """Every process that the run had is gone."""
        _, alive = psutil.wait_procs(self.family, timeout=within)
        assert self.family and not alive


@pytest.fixture
def begin(tmp_path):
    """Starts runs, and sees to it that none outlives its test."""
    runs = []

    def run(before: Callable[[], object] | None = None, **changes: object) -> Run:
        tiny_file(tmp_path, **{"stop": {"training_iteration": 10**6}, **changes})
        runs.append(Run(tmp_path, before))
        return runs[-1]

    yield run
    for each in runs:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"])
def test_a_signal_to_the_group_saves_the_run(begin, name):
    run = begin()
    run.wait_for("steps/s")
    run.process.send_signal(getattr(signal, name))  # `timeout` signals its child, then the group
    signal_group(run, name)
    run.assert_saved(within=60)  # 10 s on an idle machine
    iterations = run.rows()
    assert iterations == list(range(1, len(iterations) + 1))


def signal_group(run: Run, name: str) -> None:
    """Send a signal to all processes of the run's group."""
    os.killpg(run.process.pid, getattr(signal, name))


def test_nohup_keeps_a_run_alive(begin):
    run = begin(before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    run.wait_for("steps/s")
    signal_group(run, "SIGHUP")
    done = run.rows()[-1]
    run.wait_until(lambda: run.rows()[-1] > done + 3)
    signal_group(run, "SIGTERM")
    run.assert_saved(within=60)


def is_starting_ray(command: psutil.Process) -> bool:
    """Whether the first of Ray's processes is there; imports may have children of their own."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return any("gcs_server" in child.name() for child in command.children())
    return False


def test_a_signal_before_the_training_begins(begin):
    run = begin()
    run.wait_until(lambda: is_starting_ray(psutil.Process(run.process.pid)))
    signal_group(run, "SIGTERM")
    assert run.process.wait(timeout=90) == 130
    assert "Traceback" not in run.err.read_text()
    run.assert_alone()


def test_a_killed_run_leaves_no_process(begin):
    run = begin()
    run.wait_for("steps/s")
    run.process.kill()
    run.process.wait()
    run.assert_alone(within=150)  # Ray's agents first try to report it, for a minute


def test_where_rays_processes_are_ended_too_the_command_says_so_and_ends(begin):
    run = begin()
    run.wait_for("steps/s")
    for process in (psutil.Process(run.process.pid), *run.family):
        process.send_signal(signal.SIGTERM)  # as systemd does for a whole control group
    assert run.process.wait(timeout=30) == 130  # Ray itself would wait for a minute
    assert "Ray's processes were stopped, too" in run.err.read_text()
    assert "resume: " in run.out.read_text()


def test_a_second_signal_stops_at_once(begin, tmp_path):
    (tmp_path / "slow_env.py").write_text(SLOW_ENV)
    # The first iteration lasts for hours, in a process of its own that nobody can cut.
    config = {**TINY, "num_env_runners": 1, "min_sample_timesteps_per_iteration": 10**6}
    run = begin(env="slow_env", config=config, **{"import": ["slow_env.py"]})
    run.wait_for("starts")
    signal_group(run, "SIGINT")
    time.sleep(1.5)
    signal_group(run, "SIGINT")
    assert run.process.wait(timeout=60) == 130
    assert "Traceback" not in run.err.read_text()
    assert "resume: " in run.out.read_text()
    run.assert_alone()


def test_a_long_evaluation_does_not_hold_up_the_end(begin, tmp_path):
    (tmp_path / "slow_env.py").write_text(SLOW_ENV)
    config = {**TINY, "evaluation_duration": 10**5, "num_envs_per_env_runner": 2}
    run = begin(env="slow_env", config=config, **{"import": ["slow_env.py"]})
    run.wait_for("starts")
    time.sleep(20)  # the iteration lasts 5 s, the evaluation after it hours
    assert not list(run.results.glob("*/checkpoint_*"))
    signal_group(run, "SIGTERM")
    run.assert_saved(within=60)
