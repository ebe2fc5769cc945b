"""The worked example and the tables of docs/environments.md are true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import env_registry

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "environments.md").read_text(encoding="utf-8")


def test_the_worked_example_follows_the_contract(tmp_path: Path) -> None:
    (code,) = (
        block for block in re.findall(r"```python\n(.*?)```", TEXT, re.S) if "CorridorEnv" in block
    )
    file = tmp_path / "corridor.py"
    file.write_text(code, encoding="utf-8")
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "corridor follows the contract\n"


def test_every_environment_and_option_is_documented() -> None:
    for name, row in env_registry.ENVIRONMENTS.items():
        assert f"| `{name}` |" in TEXT
        for key in row.options:
            assert f"`{key}`" in TEXT, f"{name}: {key}"
        for task in row.tasks:
            assert f"`{task}`" in TEXT
