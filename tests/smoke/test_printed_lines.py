"""Overrides and odd paths, end to end: what a run prints to be run next runs as printed."""

import json
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.smoke.test_cli import TINY, environment, start

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def printed(output: str, label: str) -> str:
    """The command that stands behind a label such as `resume:`."""
    (line,) = [line for line in output.splitlines() if line.startswith(label)]
    return line.removeprefix(label).strip()


def shell(folder: Path, command: str) -> subprocess.CompletedProcess:
    """Type a line into a shell."""
    return subprocess.run(
        command, shell=True, cwd=folder, env=environment(), capture_output=True, text=True,
        timeout=280,
    )  # fmt: skip


def test_a_run_with_overrides_in_odd_folders_goes_on_and_is_evaluated_as_printed(tmp_path):
    folder = tmp_path / "it's a {path} $HOME"
    folder.mkdir()
    entry = {"run": "IndependentQ", "env": "counter", "config": {**TINY, "env_config": {}}}
    (folder / "f x.yaml").write_text(json.dumps({"tiny": entry}))
    process = start(
        folder,
        *("train", "file", "f x.yaml", "config.seed=7", "config.env_config.n_agents=2"),
        *("--config", "{gamma: 0.5}", "-n", "renamed", "--storage-path", "o u t"),
    )
    for line in process.stdout:
        if "steps/s" in line:
            break
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 130, errors

    resume = printed(output, "resume:")
    for words in ("config.seed=7", "config.env_config.n_agents=2", "'{gamma: 0.5}'", "renamed"):
        assert words in resume
    (log,) = (folder / "o u t" / "renamed").glob("*/result.json")
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    last = rows[-1]["training_iteration"]
    done = shell(folder, f"{resume} --stop '{{training_iteration: {last + 1}}}'")
    assert done.returncode == 0, done.stderr
    assert "settings" not in done.stderr, "the same settings as before"

    evaluated = shell(folder, printed(done.stdout, "evaluate:") + " --episodes 2")
    assert evaluated.returncode == 0 and "IndependentQ on counter" in evaluated.stdout
    (record,) = yaml.safe_load((log.parent.parent / "experiment.yaml").read_text()).values()
    assert (
        record["config"] | {"env_config": {"n_agents": 2}, "gamma": 0.5, "seed": 7}
        == (record["config"])
    )
    config = json.loads(log.read_text().splitlines()[-1])["config"]
    assert (config["seed"], config["gamma"], config["env_config"]) == (7, 0.5, {"n_agents": 2})


def test_a_mistake_in_an_override_is_said_before_ray_starts(tmp_path):
    entry = {"run": "IndependentQ", "env": "two_step", "config": TINY}
    (tmp_path / "f.yaml").write_text(json.dumps({"tiny": entry}))
    process = start(tmp_path, "train", "file", "f.yaml", "config.lrr=1e-3")
    output, errors = process.communicate(timeout=200)
    assert (process.returncode, output) == (2, "")
    assert errors.strip() == (
        "error: tiny: config: unknown option 'lrr'. Did you mean 'lr'? (override: config.lrr=1e-3)"
    )
