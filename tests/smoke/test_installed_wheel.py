"""The wheel, installed in an environment of its own: with a C compiler, and where there is none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ROOT = Path(__file__).resolve().parents[2]
TRAINED = "train", "example", "mmsa_lbf", "--storage-path", "results"
SMALL = (
    "--stop",
    "{training_iteration: 2}",
    "config.evaluation_interval=null",
    "config.learning_starts_episodes=8",
)
WHERE = "import env_registry, rllib_mmsa; print(rllib_mmsa.__file__, env_registry.__file__)"


def call(command: list, folder: Path, **variables: str) -> str:
    """What a command prints, without this checkout on the path of its imports."""
    env = {**os.environ, **variables}
    env.pop("PYTHONPATH", None)
    done = subprocess.run(
        [str(each) for each in command], cwd=folder, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout + done.stderr


@pytest.mark.parametrize("compiler", ["with a compiler", "without one"])
def test_an_example_trains_after_an_install(tmp_path, compiler):
    source = tmp_path / "source"
    built = ".git", ".venv", "*.so", "build", "dist", "site", "*.egg-info", "__pycache__", ".*cache"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*built), symlinks=True)
    native = compiler == "with a compiler"
    tools = {} if native else {"CC": "/bin/false"}
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    call([*pip, "wheel", source, "--no-deps", "-w", "dist"], tmp_path, **tools)
    (wheel,) = (tmp_path / "dist").glob("*.whl")

    call([sys.executable, "-m", "venv", "--without-pip", "env"], tmp_path)
    bin_of = tmp_path / "env" / "bin"
    call([*pip, "--python", bin_of / "python", "install", "--no-deps", wheel], tmp_path)
    shutil.rmtree(source)
    # What it requires is taken from the environment of the tests; its packages come before those.
    (site,) = (tmp_path / "env").glob("lib/python*/site-packages")
    theirs = [path for path in sys.path if path.endswith("site-packages")]
    (site / "requirements.pth").write_text("\n".join(theirs) + "\n")

    assert call([bin_of / "python", "-c", WHERE], tmp_path).count(str(site)) == 2
    version = call([bin_of / "rllib", "--version"], tmp_path)
    assert ("native engine: yes" in version) == native
    assert "mmsa_smacv2" in call([bin_of / "rllib", "examples"], tmp_path)
    call([bin_of / "rllib", *TRAINED, *SMALL], tmp_path)
    (rows,) = (tmp_path / "results").glob("*/*/result.json")
    engines = [json.loads(row)["engine"] for row in rows.read_text("utf-8").splitlines()]
    assert len(engines) == 2 and all(("native" in engine) == native for engine in engines)
    assert list(rows.parent.glob("checkpoint_*"))
