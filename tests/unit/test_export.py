"""An exported team acts as the trainer's, is evaluated, and runs none of a stranger's code."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import rllib_mmsa
from rllib_mmsa.command import absolute, evaluate
from rllib_mmsa.command.export import export
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.team import onnx
from tests.algorithms import FORAGING, build
from tests.unit.test_team import Hostile

pytestmark = pytest.mark.usefixtures("ray_session")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "teams.md"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, ray_session):
    algorithm = build("MMSA", **FORAGING, seed=3, evaluation_epsilon=0.5, evaluation_num_envs=3)
    for _ in range(3):
        algorithm.train()
    folder = tmp_path_factory.mktemp("saved") / "checkpoint_000000"
    algorithm.save_to_path(str(folder))
    algorithm.stop()
    return folder


@pytest.fixture(scope="module")
def exported(checkpoint, tmp_path_factory):
    pytest.importorskip("onnxscript")
    folder = tmp_path_factory.mktemp("given") / "team"
    return export(checkpoint, str(folder), onnx=True, license_id="CC-BY-4.0").folder


def test_what_is_written(exported):
    files = {path.name for path in exported.iterdir()}
    assert files == {"team.json", "team.safetensors", "team.onnx", "README.md"}
    assert not list(exported.parent.glob(".*"))
    said = json.loads((exported / "team.json").read_text())
    assert (said["format"], said["algorithm"], said["seed"]) == (1, "MMSA", 3)
    assert said["tests"]["evaluation_epsilon"] == 0.5
    page = (exported / "README.md").read_text()
    for words in ("# MMSA on `lbf 5x5-2p-1f-v2`", "license: CC-BY-4.0", "| seed | 3 |"):
        assert words in page


def test_its_page_says_what_it_earned():
    from rllib_mmsa.team import card

    said = {"environment": {}, "trained": {"test_return": 0.5, "test_env_steps": 50_000}}
    assert card._numbers(said).startswith("Test return 0.500, in the last test")
    said["trained"]["test_win_rate"] = 0.25
    assert "win rate 0.25" in card._numbers(said) and "50,000 env steps" in card._numbers(said)
    assert card._numbers({}) == "No test of this team is on record."


def test_it_is_evaluated_as_its_checkpoint_is(checkpoint, exported):
    """From its two files and from RLlib's pickles: the same episodes, random actions included."""
    with_pickles = evaluate.with_pickles(checkpoint)
    runner = evaluate.build_runner(with_pickles, checkpoint, seed=5, film=None)
    episodes = runner.sample(num_episodes=12, explore=False)
    runner.stop()
    for folder in (checkpoint, exported):
        found = evaluate.evaluate(folder, episodes=12, seed=5)
        assert found.returns == [episode.episode_return for episode in episodes]
        assert (found.epsilon, found.env) == (0.5, "lbf 5x5-2p-1f-v2")


def test_evaluating_opens_no_pickle(checkpoint, tmp_path, capsys):
    folder = tmp_path / "checkpoint_000000"
    shutil.copytree(checkpoint, folder)
    for path in folder.rglob("*.pkl"):
        path.write_bytes(pickle.dumps(Hostile()))
    (folder / "complete.json").unlink()
    assert len(evaluate.evaluate(folder, episodes=2).returns) == 2
    assert "this ran" not in capsys.readouterr().out


def test_onnx_is_the_team(exported):
    """In several environments, with masks: the same values and actions over a few steps."""
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(exported / "team.onnx")
    said = json.loads(session.get_modelmeta().custom_metadata_map["team"])
    team, rng = rllib_mmsa.load_team(exported), np.random.default_rng(0)
    assert said == team.said
    state = {k: v.numpy() for k, v in team.network.agent.initial_state(3).items()}
    for _ in range(4):
        obs = rng.normal(size=(3, team.num_agents, team.obs_size)).astype(np.float32)
        mask = rng.random((3, team.num_agents, team.num_actions)) < 0.6
        mask[..., 0] = True
        actions, values, hidden = session.run(None, {"obs": obs, "action_mask": mask, **state})
        assert (actions == team.act({"obs": obs, "action_mask": mask})).all()
        np.testing.assert_allclose(hidden, team._state["hidden"].numpy(), atol=1e-5)
        assert values.shape == mask.shape
        state = {"hidden": hidden, "last_action": actions}


def test_the_page_s_player_needs_no_torch(exported, monkeypatch):
    """docs/teams.md, run as it is printed, beside the exported folder."""
    pytest.importorskip("onnxruntime")
    code = next(
        block
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
        if "onnxruntime" in block
    )
    assert "torch" not in code and "rllib_mmsa" not in code
    monkeypatch.chdir(exported.parent)
    player: dict = {}
    exec(code.replace("my_team/", f"{exported.name}/"), player)
    team, rng = rllib_mmsa.load_team(exported), np.random.default_rng(1)
    mask = np.ones((team.num_agents, team.num_actions), np.int8)
    for _ in range(5):
        obs = rng.normal(size=(team.num_agents, team.obs_size))
        assert (player["act"](obs, mask) == team.act(obs)).all()


def test_what_cannot_be_exported_is_said(checkpoint, exported, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="--out: '.*' is there already; name a new folder"):
        export(checkpoint, str(exported), onnx=False)
    with pytest.raises(ConfigError, match="does not exist"):
        export(tmp_path / "nowhere", str(tmp_path / "out"), onnx=False)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigError, match="cannot be written: "):
        export(checkpoint, str(file / "below"), onnx=False)
    monkeypatch.setattr(onnx, "PACKAGES", ("onnx_that_is_not_there",))
    with pytest.raises(ConfigError, match=r"needs onnx_that.*rllib-mmsa\[export\]'.*--no-onnx"):
        export(checkpoint, str(tmp_path / "out"), onnx=True)
    assert export(checkpoint, str(tmp_path / "out"), onnx=False).files.keys() == {
        "README.md",
        "team.json",
        "team.safetensors",
    }


def test_what_an_exported_team_cannot_do_is_said(exported, tmp_path):
    with pytest.raises(ConfigError, match="is an exported team: it acts, and has no world model"):
        evaluate.read_config(exported)
    with pytest.raises(ConfigError, match="--absolute is of a trial, and"):
        absolute.best_checkpoint(exported)
    folder = tmp_path / "team"
    shutil.copytree(exported, folder)
    said = json.loads((folder / "team.json").read_text())
    (folder / "team.json").write_text(json.dumps({**said, "algorithm": "Own"}))
    with pytest.raises(ConfigError, match="does not say how it is tested.*load_team plays it"):
        evaluate.evaluate(folder, episodes=1)
    sizes = {**said["environment"], "num_agents": 3}
    (folder / "team.json").write_text(json.dumps({**said, "environment": sizes}))
    with pytest.raises(ConfigError, match="number of agents: 3"):
        evaluate.evaluate(folder, episodes=1)


def test_a_first_description_has_no_tests(exported, tmp_path):
    folder = tmp_path / "team"
    shutil.copytree(exported, folder)
    said = json.loads((folder / "team.json").read_text())
    del said["tests"]
    (folder / "team.json").write_text(json.dumps(said))
    assert evaluate.evaluate(folder, episodes=2).epsilon == 0.0
