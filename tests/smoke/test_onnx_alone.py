"""team.onnx, in a process with NumPy and ONNX Runtime alone, plays as the trainer does.

ONNX_PYTHON names the interpreter of an environment that holds nothing else; without it the process
is this Python's, which cannot import torch, Ray or this package there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import env_registry
import rllib_mmsa
from env_registry.contract import ACTION_MASK, OBS, TEAM
from rllib_mmsa.command import evaluate
from rllib_mmsa.command.export import export
from tests.algorithms import build

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_session")]
ROOT = Path(__file__).resolve().parents[2]
STEPS = 200
GAMES = {
    "lbf": ("lbforaging", {"task": "8x8-2p-2f-v2"}),
    "smax": ("jaxmarl", {"task": "3m"}),
    "mamujoco": ("gymnasium_robotics", {"task": "Hopper_3x1"}),
}


class Alone:
    """The process that plays."""

    def __init__(self, file: Path):
        python = os.environ.get("ONNX_PYTHON", sys.executable)
        command = [python, "-I", ROOT / "tests/onnx_player.py", ROOT / "docs/teams.md", file]
        self.process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def reset(self) -> None:
        self._tell({"first": True})

    def act(self, obs: np.ndarray, mask: np.ndarray) -> list[int]:
        self._tell({"obs": obs.tolist(), "action_mask": mask.tolist()})
        return json.loads(self.process.stdout.readline())

    def _tell(self, said: dict) -> None:
        self.process.stdin.write(json.dumps(said) + "\n")
        self.process.stdin.flush()

    def end(self) -> int:
        self.process.stdin.close()
        return self.process.wait(timeout=60)


@pytest.fixture(scope="module", params=GAMES)
def given(request, tmp_path_factory, ray_session):
    """A team that has trained a little, where it was exported to, and an ONNX player of it."""
    package, settings = GAMES[request.param]
    for needed in (package, "onnxscript", "onnxruntime"):
        pytest.importorskip(needed)
    algorithm = build("MMSA", env=request.param, env_config=settings)
    for _ in range(3):
        algorithm.train()
    checkpoint = tmp_path_factory.mktemp("saved") / "checkpoint_000000"
    algorithm.save_to_path(str(checkpoint))
    algorithm.stop()
    folder = export(checkpoint, str(checkpoint.parent / "team"), onnx=True).folder
    player = Alone(folder / "team.onnx")
    yield request.param, settings, folder, player
    assert player.end() == 0


def test_it_takes_the_trainer_s_actions(given):
    _, _, folder, player = given
    team = evaluate.without_pickles(folder)
    runner = evaluate.build_runner(team, folder, seed=1, film=None)
    steps = 0
    while steps < STEPS:
        (episode,) = runner.sample(num_episodes=1, explore=False)[:1]
        player.reset()
        for obs, mask, taken in zip(
            episode.obs, episode.action_mask, episode.actions, strict=False
        ):
            assert player.act(obs, mask) == taken.tolist()
        steps += len(episode)
    runner.stop()


def test_it_earns_the_team_s_return(given):
    name, settings, folder, player = given
    team = rllib_mmsa.load_team(folder)

    def by_team(seen):
        return team.act(seen)

    def alone(seen):
        return player.act(np.asarray(seen[OBS]), np.asarray(seen[ACTION_MASK]))

    returns = []
    for act, reset in ((by_team, team.reset), (alone, player.reset)):
        env, total, steps = env_registry.make(name, **settings), 0.0, 0
        for seed in range(STEPS):
            reset()
            seen, _ = env.reset(seed=seed)
            done = False
            while not done:
                seen, rewards, ends, limits, _ = env.step({TEAM: np.asarray(act(seen[TEAM]))})
                total, steps = total + rewards[TEAM], steps + 1
                done = ends["__all__"] or limits["__all__"]
            if steps >= STEPS:
                break
        env.close()
        returns.append(total)
    assert returns[0] == returns[1]
