"""The worked examples and the tables of docs/environments.md and docs/environments/ are true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import yaml

import env_registry

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "docs" / "environments.md", *sorted((ROOT / "docs/environments").glob("*.md"))]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def _code(name: str, language: str = "python") -> str:
    """The one block of code with a name in it."""
    blocks = re.findall(rf"^ *```{language}\n(.*?)^ *```", TEXT, re.S | re.M)
    (code,) = (block for block in blocks if name in block)
    return textwrap.dedent(code)


def _run(file: Path) -> str:
    """What a Python file prints."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_worked_example_follows_the_contract(tmp_path: Path) -> None:
    file = tmp_path / "corridor.py"
    file.write_text(_code("CorridorEnv"), encoding="utf-8")
    assert _run(file) == "corridor follows the contract\n"


def test_the_pettingzoo_example_follows_the_contract_and_is_found_by_its_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not env_registry.installed("pettingzoo")[0]:
        pytest.skip(env_registry.installed("pettingzoo")[1])
    file = tmp_path / "doors.py"
    file.write_text(_code("DoorsEnv"), encoding="utf-8")
    assert _run(file) == "doors follows the contract\n"
    monkeypatch.syspath_prepend(tmp_path)
    experiment = yaml.safe_load(_code("doors:DoorsEnv", "yaml"))["doors"]
    env = env_registry.make(experiment["env"], **experiment["config"]["env_config"])
    obs, _ = env.reset(seed=0)
    prize = int(obs["team"]["obs"][0].argmax())
    assert obs["team"]["action_mask"].tolist() == [[1, 1, 1, 0], [1, 0, 0, 0]]
    env.step({"team": np.array([prize, 0])})
    _, rewards, terminateds, _, infos = env.step({"team": np.array([0, 1 + prize])})
    assert (rewards["team"], terminateds["team"], infos["team"]["win"]) == (1.0, True, True)


def test_every_environment_and_option_is_documented() -> None:
    for name, row in env_registry.ENVIRONMENTS.items():
        assert f"| `{name}` |" in TEXT
        for key in row.options:
            assert f"`{key}`" in TEXT, f"{name}: {key}"
        for task in row.tasks:
            assert f"`{task}`" in TEXT
