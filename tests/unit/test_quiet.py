"""Plain Python use: what RLlib says of this project's choices does not reach the screen."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from rllib_mmsa.rllib import quiet

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import ray
from ray.tune.registry import register_env
from rllib_mmsa import MMSAConfig

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
config = MMSAConfig().environment("two_step").evaluation(evaluation_duration=2)
algo = config.reporting(min_sample_timesteps_per_iteration=50).build_algo()
print("trained", algo.train()["env_runners"]["num_episodes"] > 0)
algo.stop()


def broken(config):
    raise OSError("no game")


register_env("broken", broken)
try:
    MMSAConfig().environment("broken").build_algo()
except OSError as error:
    print("said", error)
ray.shutdown()
"""


@pytest.mark.slow
def test_a_plain_script_prints_no_warning_of_rllibs_and_no_traceback(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert done.stdout.splitlines() == ["trained True", "said no game"], done.stderr
    for words in ("API stack", "evaluation_interval", "Deprecat", "gputil", "Traceback", "ignored"):
        assert words not in done.stderr, done.stderr


@pytest.mark.parametrize("name", quiet.LEFT_OUT)
def test_one_message_is_left_out_and_all_others_are_shown(name):
    quiet.install()
    quiet.install()
    logger = logging.getLogger(name)
    assert len(logger.filters) == 1

    def is_shown(text: str) -> bool:
        return bool(logger.filter(logger.makeRecord(name, logging.WARNING, "f", 1, text, (), None)))

    for beginning in quiet.LEFT_OUT[name]:
        assert not is_shown(f"{beginning} and so on")
        assert is_shown(f"something else: {beginning}")
