"""Numbers that are not finite never reach learning; what an older version let in is mended."""

from __future__ import annotations

import copy
import logging
import math
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ray.tune.registry import register_env

from env_registry.contract import AGENT_REWARDS, OBS, STATE, TEAM
from env_registry.toy import CounterEnv
from rllib_mmsa import team
from rllib_mmsa.command.evaluate import evaluate
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.method import gradients
from rllib_mmsa.method.standardiser import Standardiser
from rllib_mmsa.rllib.diverged import MAX_SKIPPED_IN_A_ROW
from rllib_mmsa.rllib.module import NotFiniteWeights
from rllib_mmsa.rllib.replay import EpisodeReplay
from rllib_mmsa.whole import COMPLETE
from tests.algorithms import build, learner, train_batch, weights
from tests.unit.test_replay import make_episode

pytestmark = pytest.mark.usefixtures("ray_session")
NAN, INF = math.nan, math.inf
STEPS = {"num_env_steps_sampled_lifetime": 0, "num_episodes_lifetime": 0}


class Spoilt(CounterEnv):
    """Every `every`-th episode has one wrong number, in its second step or at its reset."""

    episodes = made = 0

    def __init__(self, field: str, value: float, every: int = 3, at: int = 2):
        super().__init__()
        Spoilt.made += 1
        self.field, self.value, self.every, self.at = field, value, every, at

    def reset(self, **kwargs: Any) -> Any:
        Spoilt.episodes += 1
        self.bad = Spoilt.episodes % self.every == 0
        observations, infos = super().reset(**kwargs)
        if self.at == 0:
            self._spoil(observations)
        return observations, infos

    def step(self, action_dict: Any) -> Any:
        observations, rewards, *flags, infos = super().step(action_dict)
        if self._t == self.at and self.bad:
            if self.field == "reward":
                rewards[TEAM] = self.value
            elif self.field == AGENT_REWARDS:
                infos[TEAM][AGENT_REWARDS][1] = self.value
            else:
                self._spoil(observations)
        return observations, rewards, *flags, infos

    def _spoil(self, observations: Any) -> None:
        if self.bad and self.field in (OBS, STATE):
            given = observations[TEAM][self.field].astype(np.float64)
            given[-1:] = self.value
            observations[TEAM][self.field] = given


register_env("spoilt", lambda config: Spoilt(**config))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        (OBS, NAN, r"obs \(agent 2, number 0\) is nan at step 2"),
        (OBS, -INF, r"obs \(agent 2, number 0\) is -inf at step 2"),
        (OBS, 1e300, r"obs \(agent 2, number 0\) is inf at step 2"),  # beyond float32
        (OBS, 1e16, r"is 1e\+16 at step 2 of its episode, above 1e\+15 in size"),
        (STATE, NAN, r"state \(number 2\) is nan at step 2"),
        ("reward", NAN, "the team reward is nan at step 2"),
        ("reward", INF, "the team reward is inf at step 2"),
        ("reward", -1e30, r"the team reward is -1e\+30 at step 2 of its episode, above 1e\+15"),
        (AGENT_REWARDS, NAN, r"agent_rewards \(agent 1\) is nan"),
    ],
)
def test_an_episode_that_is_not_finite_reaches_nothing(field, value, words, caplog):
    env_config = {"field": field, "value": value}
    algorithm = build("QMIX", "spoilt", env_config=env_config, normalise_observations=True)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            result = algorithm.train()["env_runners"]
    assert result["num_episodes_not_finite_lifetime"] > 1
    assert result["num_episodes_dropped_lifetime"] == result["num_episodes_not_finite_lifetime"]
    said = [r.getMessage() for r in caplog.records if "Such an episode is dropped" in r.message]
    assert len(said) == 1, "once, not for each"
    assert re.search(words, said[0])
    assert np.isfinite(result["episode_return_mean"])
    assert all(np.isfinite(r) for r in result["agent_episode_returns_mean"].values())
    assert all(episode.is_finite() for episode in algorithm.replay._episodes)
    assert np.isfinite(algorithm.replay.reward_deviation)
    scale = learner(algorithm).team_module.obs_scale
    assert scale.updates > 0 and torch.isfinite(scale.mean).all()
    assert learner(algorithm)._num_skipped_updates == 0
    algorithm.stop()


def test_a_test_has_all_its_episodes_and_a_finite_return():
    algorithm = build(
        "MMSA", "spoilt", env_config={"field": "reward", "value": NAN},
        evaluation_interval_env_steps=1, evaluation_duration=6, evaluation_num_envs=2,
    )  # fmt: skip
    test = algorithm.train()["evaluation"]["env_runners"]
    assert test["num_episodes"] == 6 and test["num_episodes_not_finite_lifetime"] > 0
    assert np.isfinite(test["episode_return_mean"])
    algorithm.stop()


@pytest.mark.parametrize(("field", "at"), [(OBS, 0), (OBS, 1), (STATE, 0), ("reward", 1)])
def test_an_environment_that_only_makes_such_episodes_ends_the_run(field, at):
    env_config = {"field": field, "value": NAN, "every": 1, "at": at}
    algorithm = build("QMIX", "spoilt", env_config=env_config, max_failures_in_a_row=3)
    made = Spoilt.made
    with pytest.raises(RuntimeError, match="failed 4 times in a row.*is nan at .*of its episode"):
        algorithm.env_runner.sample()
    # First a reset alone; an environment that goes on failing is made anew.
    assert Spoilt.made > made
    algorithm.stop()


def test_one_that_recovers_by_a_reset_is_not_made_anew():
    algorithm = build("QMIX", "spoilt", env_config={"field": OBS, "value": NAN, "every": 5})
    made = Spoilt.made
    algorithm.env_runner.sample(num_episodes=20)
    assert Spoilt.made == made
    algorithm.stop()


# What an older version let in.


def poisoned(checkpoint: str, *names: str) -> str:
    """Fills arrays of the module and the team in a checkpoint with NaN; returns the checkpoint."""
    file = Path(checkpoint) / "learner_group/learner/rl_module/team/module_state.pkl"
    state = pickle.loads(file.read_bytes())
    for name in names:
        state[name] = np.full_like(state[name], NAN)
    file.write_bytes(pickle.dumps(state))
    said, acting = team.read(checkpoint)
    acting |= {name: torch.full_like(acting[name], NAN) for name in names if name in acting}
    team.write(checkpoint, said, acting)
    (Path(checkpoint) / COMPLETE).unlink(missing_ok=True)  # what is in it: older ones do not say
    return checkpoint


def test_the_replay_restores_without_episodes_that_are_not_finite():
    replay = EpisodeReplay(6, seed=3)
    episodes = [make_episode(number, 3) for number in range(4)]
    episodes[2].rewards[1] = NAN
    replay.add(episodes)
    assert np.isnan(replay._reward_sum)
    restored = EpisodeReplay(6)
    restored.set_state(copy.deepcopy(replay.get_state()))
    assert len(restored) == 3 and restored.num_episodes_added == 4
    kept = np.concatenate([e.rewards for e in (episodes[0], episodes[1], episodes[3])])
    assert restored.reward_deviation == pytest.approx(kept.std(), rel=1e-6)
    restored.set_state(replay.get_state(with_episodes=False))
    assert restored.reward_deviation == 1.0
    restored.add(episodes[:1])
    assert restored.reward_deviation == pytest.approx(episodes[0].rewards.std(), rel=1e-6)


def test_statistics_that_are_not_finite_begin_anew():
    scale = Standardiser(3)
    generator = torch.Generator().manual_seed(0)
    x, mask = torch.randn(50, 9, 3, generator=generator) * 4 + 7, torch.ones(50, 9)
    scale.update(x, mask)
    scale.mean[1], scale.variance[2] = NAN, INF
    kept = scale.mean[0].clone()
    assert scale.repair() == 2
    assert scale.mean[0] == kept and scale.mean[1:].tolist() == [0, 0]
    assert scale.variance[1:].tolist() == [1, 1]
    scale.update(x, mask)
    torch.testing.assert_close(scale.mean, x.mean((0, 1)))
    assert scale.repair() == 0 and scale.updates == 1


@pytest.mark.parametrize("name", ["MMSA", "QMIX"])
def test_a_checkpoint_with_such_statistics_is_mended_when_it_is_restored(name, tmp_path, caplog):
    algorithm = build(name, normalise_observations=True)
    algorithm.train()
    algorithm.replay._episodes[0].state[0, 0] = NAN
    path = poisoned(algorithm.save_to_path(tmp_path / "checkpoint"), "obs_scale.mean")
    algorithm.stop()
    restored = build(name, normalise_observations=True)
    stored = len(algorithm.replay)
    with caplog.at_level(logging.WARNING):
        restored.restore_from_path(path)
    assert "12 running statistics of observations, which begin anew; 1 episodes" in caplog.text
    assert len(restored.replay) == stored - 1
    assert learner(restored).team_module.num_repaired == 12  # 3 agents, 4 numbers each
    skipped = learner(restored)._num_skipped_updates
    restored.train()
    assert learner(restored)._num_skipped_updates == skipped
    for name, values in weights(restored.env_runner.module[TEAM]).items():
        assert np.isfinite(values).all(), name
    restored.stop()


def test_a_poisoned_checkpoint_is_not_evaluated(tmp_path):
    algorithm = build("QMIX", normalise_observations=True)
    algorithm.train()
    path = algorithm.save_to_path(tmp_path / "checkpoint")
    algorithm.stop()
    assert len(evaluate(path, episodes=2).returns) == 2
    poisoned(path, "obs_scale.mean")
    with pytest.raises(ConfigError, match="statistics of observations are not finite. Take an ear"):
        evaluate(path, episodes=2)
    poisoned(path, "agent.rnn.bias_hh_l0")
    with pytest.raises(ConfigError, match="checkpoint': the weights agent.rnn.bias_hh.* cannot be"):
        evaluate(path, episodes=2)


# Training that diverges.


def test_weights_that_are_not_finite_are_neither_saved_nor_read(tmp_path):
    algorithm = build("QMIX")
    module = learner(algorithm).team_module
    good = copy.deepcopy(module.get_state())
    with torch.no_grad():
        module.mixer.bias_1.bias[0] = NAN
    with pytest.raises(NotFiniteWeights, match="mixer.bias_1.bias are not finite and cannot be sa"):
        algorithm.save_to_path(tmp_path / "checkpoint")
    bad = {**good, "mixer.bias_1.bias": np.full_like(good["mixer.bias_1.bias"], INF)}
    with pytest.raises(NotFiniteWeights, match="cannot be read: training had diverged"):
        module.set_state(bad)
    module.set_state(good)
    algorithm.stop()


@pytest.mark.parametrize("name", ["MMSA", "QMIX"])
def test_training_that_has_diverged_ends_in_words(name):
    algorithm = build(name, engine="plain")
    own = learner(algorithm)
    batch = train_batch(algorithm.env_runner.sample(num_episodes=4))
    algorithm.learner_group.update(batch=batch, timesteps=STEPS)
    with torch.no_grad():
        own.team_module.mixer.bias_1.bias[0] = NAN
    with pytest.raises(RuntimeError, match="since update 2, 10 updates in a row.*lr.*grad_clip"):
        for _ in range(MAX_SKIPPED_IN_A_ROW):
            algorithm.learner_group.update(batch=batch, timesteps=STEPS)
    assert own._num_skipped_updates == MAX_SKIPPED_IN_A_ROW
    algorithm.stop()


def test_updates_skipped_now_and_then_do_not_end_a_run():
    algorithm = build("QMIX")
    own = learner(algorithm)
    good = {ref: torch.ones_like(p) for ref, p in own._params.items()}
    bad = {ref: torch.full_like(p, NAN) for ref, p in own._params.items()}
    for _ in range(3):
        for _ in range(MAX_SKIPPED_IN_A_ROW - 1):
            own.apply_gradients(dict(bad))
        own.apply_gradients(dict(good))
    assert own._num_skipped_updates == 3 * (MAX_SKIPPED_IN_A_ROW - 1)
    algorithm.stop()


def test_gradients_whose_squares_leave_float32_are_clipped_all_the_same():
    given = {"a": torch.full((3,), 3e30), "b": torch.full((4,), -1e30)}
    clipped = dict(given)
    norm = gradients.clip(clipped, 10.0)
    exact = math.sqrt(3 * 9 + 4) * 1e30
    assert norm.item() == pytest.approx(exact, rel=1e-5)
    for name, gradient in clipped.items():
        torch.testing.assert_close(gradient, given[name] * (10 / exact))
    assert not gradients.clip({"a": torch.tensor([1.0, INF])}, 10.0).isfinite()
    assert not gradients.clip({"a": torch.tensor([1.0, NAN])}, 10.0).isfinite()
