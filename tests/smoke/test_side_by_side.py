"""Several experiments of one file: side by side, stopped and resumed together."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.smoke.test_cli import COMMAND, TINY, environment, rllib

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SLOW = {**TINY, "min_sample_timesteps_per_iteration": 1000}
NAMES = ("first", "second", "third")


def write(folder: Path, iterations: int, **others: dict) -> list[str]:
    """f.yaml with three experiments; the arguments that run them, two at a time."""
    entry = {"run": "IndependentQ", "env": "two_step", "stop": {"training_iteration": iterations}}
    content = {name: {**entry, "config": SLOW, **others.get(name, {})} for name in NAMES}
    (folder / "f.yaml").write_text(json.dumps(content))
    return ["train", "file", "f.yaml", "--storage-path", str(folder), "--at-once", "2"]


def iterations(folder: Path, name: str) -> list[int]:
    """What an experiment has logged; a kill may tear its last line."""
    texts = [path.read_text() for path in folder.glob(f"{name}/*/result.json")]
    lines = [line for text in texts for line in text.splitlines() if line.endswith("}")]
    return [json.loads(line)["training_iteration"] for line in lines]


def start_two(folder: Path, args: list[str]) -> tuple[subprocess.Popen, list[psutil.Process]]:
    """Start the command; return once two experiments have logged something."""
    process = subprocess.Popen(
        [*COMMAND, *args], cwd=folder, env=environment(), text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    end = time.monotonic() + 300
    while not all(len(iterations(folder, name)) > 2 for name in NAMES[:2]):
        assert process.poll() is None and time.monotonic() < end, process.communicate()[0]
        time.sleep(0.2)
    return process, psutil.Process(process.pid).children(recursive=True)


def finish(folder: Path, args: list[str]) -> str:
    """Resume to a later end; every experiment then has each iteration once."""
    last = max(len(iterations(folder, name)) for name in NAMES) + 2
    more = ["--resume", "--stop", f"{{training_iteration: {last}}}"]
    done = rllib(folder, *args, *more, timeout=600)
    assert done.returncode == 0, done.stderr
    assert all(iterations(folder, name) == list(range(1, last + 1)) for name in NAMES)
    return done.stdout


def test_all_run_and_a_failure_is_of_one_alone(tmp_path):
    (tmp_path / "bad.py").write_text(
        "from ray.tune.registry import register_env\n"
        "from env_registry.toy import TwoStepEnv\n"
        "class Bad(TwoStepEnv):\n"
        "    def step(self, actions):\n"
        "        raise RuntimeError('the game broke')\n"
        "register_env('bad_game', lambda config: Bad())\n"
    )
    bad = {"env": "bad_game", "import": "bad.py", "config": {**SLOW, "max_failures_in_a_row": 0}}
    args = write(tmp_path, 3, second=bad)
    done = rllib(tmp_path, *args, timeout=600)
    assert done.returncode not in (0, 130), done.stdout
    assert "3 experiments, 2 at a time" in done.stdout
    assert "the game broke" in done.stderr
    assert iterations(tmp_path, "first") == iterations(tmp_path, "third") == [1, 2, 3]
    learner_threads = [
        json.loads(path.read_text())["learner_threads"]
        for path in tmp_path.glob("first/*/params.json")
    ]
    assert learner_threads == [1]


def test_a_signal_saves_those_that_run_and_all_are_resumed(tmp_path):
    args = write(tmp_path, 10**6)
    process, family = start_two(tmp_path, args)
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 130, output
    assert "not begun: third" in output and output.count("checkpoint: ") == 2, output
    assert f"train file f.yaml --resume --storage-path {tmp_path}" in output
    assert "Traceback" not in output
    assert not psutil.wait_procs(family, timeout=30)[1]
    finish(tmp_path, args)


def test_a_kill_leaves_nothing_running_and_all_are_resumed(tmp_path):
    args = write(tmp_path, 10**6)
    process, family = start_two(tmp_path, args)
    process.kill()
    process.communicate(timeout=60)
    assert not psutil.wait_procs(family, timeout=300)[1]
    finish(tmp_path, args)


def test_one_of_a_file_alone(tmp_path):
    args = write(tmp_path, 2)
    done = rllib(tmp_path, *args, "--only", "third")
    assert done.returncode == 0, done.stderr
    assert [len(iterations(tmp_path, name)) for name in NAMES] == [0, 0, 2]
    refused = rllib(tmp_path, *args, "--only", "fourth")
    assert refused.returncode == 2 and "fourth" in refused.stderr and "third" in refused.stderr
    nothing = rllib(tmp_path, *args, "--resume", "--only", "first")
    assert nothing.returncode == 2 and "nothing to resume" in nothing.stderr
    # On with the third, and the others from their beginning.
    done = rllib(tmp_path, *args, "--go-on", "--stop", "{training_iteration: 3}", timeout=600)
    assert done.returncode == 0, done.stderr
    assert [iterations(tmp_path, name) for name in NAMES] == [[1, 2, 3]] * 3
