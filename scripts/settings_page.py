"""Writes docs/settings.md, every option of `config` in one place, from the docstrings and defaults.

    python -m scripts.settings_page

A test holds the page to what this writes.
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

from rllib_mmsa import MMSAConfig
from rllib_mmsa.method.settings import MMSASettings, Settings
from rllib_mmsa.rllib.config import QLearningConfig
from rllib_mmsa.rllib.team_config import TeamConfig

PAGE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"
_INTRO = """# Every setting

The keys of `config` in an experiment file. They are also arguments of `training()`,
`env_runners()`, `learners()` or `evaluation()`, and attributes of a configuration in Python.
RLlib's own keys (`lr`, `grad_clip`, `num_env_runners`, `evaluation_duration`, ...) mean what
RLlib's documentation says.
Which equation a setting belongs to: [algorithms](algorithms.md). The environment's keys are under
[`env_config`](environments.md). MAPPO and IPPO have [settings of their own](ppo.md).

This page is made from the docstrings (`python -m scripts.settings_page`).
"""
#: Heading -> the class that has the settings and their meanings.
_PARTS = {
    "The method, every Q-learner": Settings,
    "The method, MMSA": MMSASettings,
    "Learning, exploration, replay and engine, every Q-learner": QLearningConfig,
    "Sampling and evaluation, every algorithm": TeamConfig,
}
#: RLlib's keys whose defaults are this project's.
_RLLIBS = ("lr", "grad_clip", "grad_clip_by", "num_env_runners", "num_envs_per_env_runner",
           "min_sample_timesteps_per_iteration", "evaluation_duration")  # fmt: skip


def meanings(owner: type) -> dict[str, str]:
    """Name -> what the class's docstring says of it under "Attributes:", on one line each."""
    text = (inspect.getdoc(owner) or "").partition("Attributes:\n")[2]
    found = re.findall(r"^    (\w+): (.*(?:\n        .*)*)", text, re.MULTILINE)
    return {name: " ".join(said.split()) for name, said in found}


def _row(name: str, meaning: str, config: MMSAConfig) -> str:
    default = json.dumps(getattr(config, name), default=str)
    cell = meaning.replace("``", "`").replace("|", "\\|")
    return f"| `{name}` | `{default}` | {cell[:1].upper()}{cell[1:]} |\n"


def page() -> str:
    """The whole page."""
    config, parts = MMSAConfig(), [_INTRO]
    for heading, owner in _PARTS.items():
        rows = [_row(*pair, config) for pair in meanings(owner).items()]
        parts.append(f"## {heading}\n\n| Key | Default | Meaning |\n|---|---|---|\n{''.join(rows)}")
    defaults = ", ".join(f"`{name}` {json.dumps(getattr(config, name))}" for name in _RLLIBS)
    parts.append(f"## RLlib's keys with other defaults\n\n{defaults}.\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
