"""What a checkpoint's numbers mean is saved with it and compared when it is read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from ray.tune.registry import register_env

from env_registry.contract import TEAM, GroupedEnv
from rllib_mmsa.command.evaluate import evaluate
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.rllib import meaning
from rllib_mmsa.rllib.qmix import QMIXConfig

GAME: dict = {}


class Game(GroupedEnv):
    """Five steps of nothing; its names and sizes are whatever GAME says when it is made."""

    def __init__(self, config):
        size = GAME.get("obs_size", 3)
        super().__init__(
            n_agents=2,
            n_actions=GAME.get("num_actions", 3),
            obs_size=size,
            state_size=size,
            agent_names=GAME.get("agents", ("left", "right")),
            action_names=GAME.get("actions", ()),
        )

    def _look(self):
        obs = np.zeros((2, self.obs_size), np.float32)
        return self._observation(obs, state=np.zeros(self.state_size, np.float32))

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return self._look(), {TEAM: {}}

    def step(self, action_dict):
        self.steps += 1
        return self._transition(
            self._look(), [1.0, 0.0], terminated=self.steps >= 5, truncated=False
        )


def build(**changes):
    """A QMIX on the game as GAME says it is."""
    GAME.clear()
    GAME.update(changes)
    register_env("meaning_game", Game)
    config = QMIXConfig().environment("meaning_game", env_config={"level": 1})
    config.update_from_dict({"learner_threads": 1})
    return config.evaluation(evaluation_interval_env_steps=None).build_algo()


@pytest.fixture(scope="module")
def checkpoint(ray_session, tmp_path_factory):
    """A checkpoint of the game with the agents left and right."""
    algorithm = build(actions=("wait", "go", "come"))
    path = algorithm.save_to_path(tmp_path_factory.mktemp("checkpoint"))
    algorithm.stop()
    return Path(path)


def test_a_checkpoint_says_what_its_numbers_mean(checkpoint):
    record = json.loads((checkpoint / meaning.FILE).read_text())
    assert record == {
        "format": 1,
        "env": "meaning_game",
        "env_config": {"level": 1},
        "backend": None,
        "num_agents": 2,
        "agents": ["left", "right"],
        "num_actions": 3,
        "actions": ["wait", "go", "come"],
        "observation_layout": None,
        "obs_size": 3,
        "state_size": 3,
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"agents": ("right", "left")}, "['left', 'right'] (environment: ['right', 'left'])"),
        ({"actions": ("go", "wait", "come")}, "actions, in this order"),
        ({"num_actions": 4}, "number of actions: 3 (environment: 4)"),
        ({"obs_size": 5}, "size of an observation: 3 (environment: 5)"),
    ],
)
def test_another_meaning_is_refused_in_words(checkpoint, changes, said):
    algorithm = build(**changes)
    with pytest.raises(ValueError) as refused:
        algorithm.restore_from_path(checkpoint)
    algorithm.stop()
    assert said in str(refused.value)
    assert "Restore it with the environment" in str(refused.value)
    with pytest.raises(ConfigError) as refused:
        evaluate(checkpoint, episodes=1)
    assert said in str(refused.value)


def test_sizes_are_compared_where_an_earlier_version_wrote_no_record(checkpoint, tmp_path):
    older = tmp_path / "older"
    shutil.copytree(checkpoint, older)
    (older / meaning.FILE).unlink()
    algorithm = build(obs_size=5)
    with pytest.raises(ValueError, match="size of an observation: 3 .environment: 5"):
        algorithm.restore_from_path(older)
    algorithm.stop()
    with pytest.raises(ConfigError, match="size of an observation: 3 .environment: 5"):
        evaluate(older, episodes=1)


def test_the_same_meaning_is_restored(checkpoint):
    algorithm = build()  # names of actions are no longer said: nothing to compare
    algorithm.restore_from_path(checkpoint)
    algorithm.stop()
    assert evaluate(checkpoint, episodes=2).returns == [5.0, 5.0]


def test_a_damaged_record_is_said(checkpoint, tmp_path):
    (tmp_path / meaning.FILE).write_text('{"format": 1')
    with pytest.raises(meaning.MeaningError, match="is the copy complete"):
        meaning.read(tmp_path)
    (tmp_path / meaning.FILE).write_text('{"format": 9}')
    with pytest.raises(meaning.MeaningError, match="format 9"):
        meaning.read(tmp_path)


def test_an_order_that_changes_with_the_process_is_refused():
    one = {key: None for key in meaning.COMPARED} | {"env": "game", "agents": ["a", "b"]}
    assert meaning.agreed([one, dict(one)]) == one
    with pytest.raises(meaning.MeaningError, match="sort it"):
        meaning.agreed([one, one | {"agents": ["b", "a"]}])
