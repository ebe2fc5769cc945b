"""A trial that an environment's mistake ended is told in the environment check's words."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from env_registry.errors import EnvConfigError, broken
from rllib_mmsa.command.run import mistaken_env
from tests.smoke.test_cli import rllib


def _text(error: Exception) -> str:
    """The error as Tune writes it down."""
    try:
        raise error
    except Exception:
        return traceback.format_exc()


def test_the_contract_s_words_stand_alone() -> None:
    error = broken("reset returned None", "it returns a pair", "return a pair")
    words = "reset returned None\n  rule:   it returns a pair\n  remedy: return a pair"
    assert mistaken_env.words(_text(error)) == words
    assert mistaken_env.words(f"ray::QMIX.train() (pid=1)\n{_text(error)}\n") == words
    assert mistaken_env.words(_text(EnvConfigError("unknown key 'x'"))) == "unknown key 'x'"


def test_any_other_error_is_none() -> None:
    assert mistaken_env.words(_text(ValueError("rule: none"))) == ""
    assert mistaken_env.words(None) == ""
    try:
        try:
            raise broken("value", "rule", "remedy")
        except ValueError as error:
            raise RuntimeError("the disk is full") from error
    except RuntimeError:
        assert mistaken_env.words(traceback.format_exc()) == ""


OLD_ENV = """
from gymnasium.spaces import Box, Discrete
from ray.rllib.env.multi_agent_env import MultiAgentEnv
from ray.tune.registry import register_env


class Old(MultiAgentEnv):
    observation_space, action_space = Box(-1, 1, (1,)), Discrete(2)
    possible_agents = agents = [0, 1]

    def reset(self):
        return {0: [0.0], 1: [0.0]}


register_env("old", lambda config: Old().with_agent_groups({"g": [0, 1]}))
"""


@pytest.mark.slow
def test_the_command_ends_with_exit_code_2_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text(OLD_ENV)
    (tmp_path / "old.yaml").write_text(
        "import: [old.py]\nold: {run: QMIX, env: old, stop: {training_iteration: 1}}\n"
    )
    done = rllib(tmp_path, "train", "file", "old.yaml", "--storage-path", str(tmp_path / "r"))
    assert done.returncode == 2
    assert "Old.reset takes no seed" in done.stderr
    assert "remedy: def reset(self, *, seed=None, options=None)" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert '.py", line' not in done.stderr
