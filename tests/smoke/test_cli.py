"""The `rllib` command as a user meets it: in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "rllib_mmsa"]
# A run of a few seconds: no update is expensive, and an iteration is over quickly.
TINY = {
    "evaluation_duration": 4,
    "evaluation_interval_env_steps": 100,
    "min_sample_timesteps_per_iteration": 100,
    "learning_starts_episodes": 8,
    "train_batch_episodes": 8,
    "updates_per_episode": 0.1,
    "seed": 1,
}
USERS_ENV = """
from ray.tune.registry import register_env
from env_registry.toy import TwoStepEnv


class UsersEnv(TwoStepEnv):
    pass


register_env("users_env", lambda config: UsersEnv())
"""


def environment() -> dict[str, str]:
    """The tests' own package, wide tables, no colours."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "NO_COLOR": "1"}


def rllib(tmp_path: Path, *args: str, timeout: float = 240, **env) -> subprocess.CompletedProcess:
    """Run the command in `tmp_path` and return its exit code and output."""
    return subprocess.run(
        [*COMMAND, *args],
        cwd=tmp_path,
        env=environment() | env,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def tiny_file(tmp_path: Path, **changes: object) -> None:
    """Write f.yaml: independent Q-learning on the two-step game, for some iterations."""
    entry = {
        "run": "IndependentQ",
        "env": "two_step",
        "stop": {"training_iteration": 2},
        "config": TINY,
        **changes,
    }
    (tmp_path / "f.yaml").write_text(json.dumps({"tiny": entry}))


@pytest.mark.parametrize(
    "text, words",
    [
        ("a: {run: MMSA, env: two_step, config: {gama: 0.9}}", "Did you mean 'gamma'?"),
        ("a: {run: MMSA, env: lfb}", "Did you mean 'lbf'?"),
        ("a: {run: MMSA, env: lbf, config: {env_config: {task: 8x8-2p-2f-v9}}}", "8x8-2p-2f-v2"),
        (
            "a: {run: MMSA, env: lbf, stop: {episod_return_mean: 1}}",
            "Did you mean 'episode_return_mean'?",
        ),
        ("[1, 2]", "must be a mapping"),
        ("a: {run: QMX, env: lbf}", "Did you mean 'QMIX'?"),
    ],
)
def test_a_mistake_in_a_file_ends_in_one_message(tmp_path, text, words):
    (tmp_path / "f.yaml").write_text(text)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = mistaken(tmp_path, "train", "file", "f.yaml", "--storage-path", str(tmp_path / "out"))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert_mistake(tmp_path, result, words)
    # Processor time: a busy machine makes no slow program.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 10


@pytest.mark.parametrize(
    "args, words",
    [
        (("evaluate", "empty"), "'empty' is empty"),
        (("evaluate", "nowhere"), "'nowhere' does not exist"),
        (("train", "file", "nowhere.yaml"), "no experiment file"),
        (("train", "--algo", "QMIX"), "name both --algo and --env"),
        (("train", "--algo", "QMIX", "--env", "two_step", "--stop", "{x"), "--stop is not valid"),
        (("train", "resume", "empty"), "holds no experiment.yaml"),
    ],
)
def test_a_mistake_on_the_command_line_ends_in_one_message(tmp_path, args, words):
    (tmp_path / "empty").mkdir()
    assert_mistake(tmp_path, mistaken(tmp_path, *args), words)


def mistaken(tmp_path: Path, *args: str) -> subprocess.CompletedProcess:
    """Run the command with a temporary folder of Ray's own, which a start of Ray would make."""
    return rllib(tmp_path, *args, RAY_TMPDIR=str(tmp_path / "ray"))


def assert_mistake(tmp_path: Path, result: subprocess.CompletedProcess, words: str) -> None:
    assert result.returncode == 2, result.stderr
    assert words in result.stderr
    assert result.stderr.startswith("error: ") and result.stderr.count("error: ") == 1
    assert "Traceback" not in result.stderr and not result.stdout
    assert not (tmp_path / "ray").exists(), "Ray was started"
    assert not (tmp_path / "out").exists()


def test_help_teaches_and_lists(tmp_path):
    text = rllib(tmp_path, "--help").stdout
    for words in ("rllib train file", "--resume", "rllib evaluate", "tensorboard --logdir"):
        assert words in text
    listed = rllib(tmp_path, "envs").stdout
    assert all(name in listed for name in ("lbf", "two_step", "8x8-2p-2f-v2"))
    listed = rllib(tmp_path, "algorithms").stdout
    assert all(name in listed for name in ("MMSA", "QMIX", "VDN", "IndependentQ"))


def test_train_then_evaluate(tmp_path):
    tiny_file(tmp_path)
    result = rllib(tmp_path, "train", "file", "f.yaml", "--storage-path", str(tmp_path))
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("tiny: IndependentQ on two_step -> ")
    assert any(" steps  " in line and " return " in line and " test " in line for line in lines)
    assert "rllib_mmsa evaluate " in result.stdout and "tensorboard --logdir " in result.stdout
    assert not result.stderr, "a run without trouble has nothing to say beside its progress"

    result = rllib(tmp_path, "evaluate", str(tmp_path / "tiny"), "--episodes", "5", "--seed", "1")
    assert result.returncode == 0, result.stderr
    assert "IndependentQ on two_step" in result.stdout
    assert "episodes    5" in result.stdout and "length      2.0 env steps" in result.stdout


@pytest.mark.slow
def test_interrupt_then_resume(tmp_path):
    tiny_file(tmp_path, stop={"training_iteration": 400})
    process = start(tmp_path, "train", "file", "f.yaml", "--storage-path", str(tmp_path))
    for line in process.stdout:
        if "steps/s" in line:
            break
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the workers too
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert f"-m rllib_mmsa train file f.yaml --resume --storage-path {tmp_path}" in out
    assert "Traceback" not in err
    (checkpoint,) = (tmp_path / "tiny").glob("*/checkpoint_*")
    assert str(checkpoint) in out
    done = rows(tmp_path)[-1]["training_iteration"]
    assert done < 400, "the run ended before it was interrupted"

    process = start(tmp_path, "train", "resume", str(tmp_path / "tiny"))
    started = time.monotonic()
    while rows(tmp_path)[-1]["training_iteration"] < done + 2:
        assert time.monotonic() - started < 120
        time.sleep(1)
    process.send_signal(signal.SIGTERM)  # what a batch system sends before it kills
    out, err = process.communicate(timeout=120)
    assert "resumes" in out and process.returncode == 130, err
    iterations = [row["training_iteration"] for row in rows(tmp_path)]
    assert iterations == list(range(1, len(iterations) + 1)), "nothing lost, nothing done twice"


def start(tmp_path: Path, *args: str) -> subprocess.Popen:
    """Start the command in `tmp_path`, in a process group that a signal reaches as a whole."""
    return subprocess.Popen(
        [*COMMAND, *args],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def rows(tmp_path: Path) -> list[dict]:
    """The results that the one trial has logged so far."""
    (log,) = (tmp_path / "tiny").glob("*/result.json")
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.slow
def test_a_users_environment_and_an_error_inside_a_trial(tmp_path):
    (tmp_path / "users_module.py").write_text(USERS_ENV)
    tiny_file(tmp_path, env="users_env", **{"import": ["users_module.py"]})
    result = rllib(tmp_path, "train", "file", "f.yaml", "--storage-path", str(tmp_path / "a"))
    assert result.returncode == 0, result.stderr
    result = rllib(tmp_path, "evaluate", str(tmp_path / "a" / "tiny"), "--episodes", "2")
    assert result.returncode == 0, result.stderr

    broken = USERS_ENV.replace("pass", "def step(self, actions):\n        raise OSError('gone')")
    (tmp_path / "users_module.py").write_text(broken)
    result = rllib(tmp_path, "train", "file", "f.yaml", "--storage-path", str(tmp_path / "b"))
    assert result.returncode == 1
    assert "failed: " in result.stderr and "OSError: gone" in result.stderr
    assert "resume: " in result.stdout


@pytest.mark.slow
def test_a_grid_from_options(tmp_path):
    result = rllib(
        tmp_path,
        *("train", "--run", "VDN", "--env", "counter", "--env-config", "{n_agents: 2}"),
        *("--stop", "{training_iteration: 1}", "--storage-path", str(tmp_path)),
        *("--config", json.dumps({**TINY, "seed": {"grid_search": [1, 2]}})),
    )
    assert result.returncode == 0, result.stderr
    assert "seed=1  starts" in result.stdout and "seed=2  starts" in result.stdout
    assert "test return" in result.stdout and "best:       seed=" in result.stdout
    result = rllib(tmp_path, "evaluate", str(tmp_path / "vdn_counter"), "--episodes", "2")
    assert result.returncode == 0 and "the best of 2 trials by their latest" in result.stderr


@pytest.mark.parametrize("columns", ["60", "400"])
def test_what_is_missing_is_printed_with_the_extra_that_installs_it(monkeypatch, columns):
    from typer.testing import CliRunner

    import env_registry
    from rllib_mmsa.command.cli import app

    words = "environment 'lbf' needs x; install with: pip install \"rllib-mmsa[lbf]\""
    monkeypatch.setattr(
        env_registry, "installed", lambda name: (name != "lbf", words * (name == "lbf"))
    )
    printed = CliRunner(env={"COLUMNS": columns}).invoke(app, ["envs"]).stdout
    lines = printed.splitlines()
    assert lines[-1] == 'lbf: needs x; install with: pip install "rllib-mmsa[lbf]"'
    assert [" no " in line for line in lines if " lbf " in line] == [True]
    assert "2s-8x8-2p-2f-coop-v2" in printed
