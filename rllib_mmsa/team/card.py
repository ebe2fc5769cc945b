"""The page that goes with an exported team: what it is, how well it plays, how to use it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

FILE = "README.md"

_HEAD = """---
library_name: rllib-mmsa
tags: [multi-agent-reinforcement-learning, {tag}]
license: {license}
---

# {algorithm} on `{task}`

{numbers}

## Act

```python
import rllib_mmsa

team = rllib_mmsa.load_team("path/of/this/folder")
actions = team.act(observations)  # the environment's {{"team": ...}}, or an array {shape}
```
"""
_EVALUATE = """
`rllib evaluate path/of/this/folder --episodes 100` plays it. Nothing here is a pickle: reading this
folder runs no code.
"""
_ONNX = """
`team.onnx` acts without PyTorch, for any number E of environments at once:

| Input | Shape | Type | At the first step |
|---|---|---|---|
| `obs` | (E, {num_agents}, {obs_size}) | float32 | |
| `action_mask` | (E, {num_agents}, {num_actions}) | bool | |
| `hidden` | (E, {num_agents}, {hidden_dim}) | float32 | zeros |
| `last_action` | (E, {num_agents}) | int64 | {num_actions} |

Outputs: `actions` (E, {num_agents}), the greedy legal ones; `q_values`; `next_hidden`. At the next
step, `next_hidden` is `hidden`, and `actions` are `last_action`.
"""
_TRAINED = """
## How it was trained

| | |
|---|---|
{rows}

```json
{settings}
```
"""


def text(said: Mapping[str, Any], license_id: str | None, has_onnx: bool) -> str:
    """The page, in Markdown.

    Args:
        said: ``Team.said``.
        license_id: Of the weights, an SPDX identifier; None: nobody said.
        has_onnx: Whether ``team.onnx`` lies beside it.
    """
    env, settings = said["environment"], said["settings"]
    sizes = {**env, "hidden_dim": settings["hidden_dim"]}
    page = _HEAD.format(
        tag=str(said["algorithm"]).lower(),
        license=license_id or "unknown",
        algorithm=said["algorithm"],
        task=task_of(said),
        numbers=_numbers(said),
        shape=f"({env['num_agents']}, {env['obs_size']})",
    )
    page += (_ONNX.format(**sizes) if has_onnx else "") + _EVALUATE
    return page + _TRAINED.format(
        rows="\n".join(f"| {name} | {value} |" for name, value in _rows(said, license_id)),
        settings=json.dumps(settings, indent=2),
    )


def task_of(said: Mapping[str, Any]) -> str:
    """Its environment's name, with the task where it has one."""
    task = (said["environment"].get("env_config") or {}).get("task")
    return f"{said['environment']['env']} {task}" if task else str(said["environment"]["env"])


def _numbers(said: Mapping[str, Any]) -> str:
    """What it earned in its last test, or that there was none."""
    trained = said.get("trained") or {}
    if trained.get("test_return") is None:
        return "No test of this team is on record."
    won = trained.get("test_win_rate")
    wins = "" if won is None else f", win rate {won:.2f}"
    return (
        f"Test return {trained['test_return']:.3f}{wins}, in the last test of its training, at "
        f"{trained['test_env_steps']:,} env steps."
    )


def _rows(said: Mapping[str, Any], license_id: str | None) -> list[tuple[str, Any]]:
    env, trained = said["environment"], said.get("trained") or {}
    steps = trained.get("num_env_steps_sampled_lifetime")
    seed = said.get("seed")
    return [
        ("environment", f"`{json.dumps({'env': env['env'], 'env_config': env['env_config']})}`"),
        ("backend", env.get("backend") or "-"),
        ("agents", ", ".join(env.get("agents") or ()) or env["num_agents"]),
        ("actions", ", ".join(env.get("actions") or ()) or env["num_actions"]),
        ("env steps", "-" if steps is None else f"{steps:,.0f}"),
        ("seed", "-" if seed is None else seed),
        ("version of rllib-mmsa", said.get("version", "-")),
        ("licence of the weights", license_id or "not stated by who trained it"),
    ]
