"""The counter environment through the stations: every number says where it belongs."""

import numpy as np
import pytest
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.tune.registry import register_env

from env_registry.contract import OBS, STATE, TEAM
from env_registry.toy import CounterEnv
from rllib_mmsa.rllib.batch import ACTIONS, LOSS_MASK, REWARDS, TERMINATED
from tests.algorithms import batch_of, build, learner, weights

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture(scope="module")
def algorithm(ray_session):
    algorithm = build(
        "QMIX", env_config={"ends_by": "mixed"}, num_envs_per_env_runner=3, epsilon=0.5
    )
    yield algorithm
    algorithm.stop()


def check_episode(episode) -> None:
    """What CounterEnv's docstring promises, on the stored arrays."""
    length, number = len(episode), episode.state[0, 1]
    steps = np.arange(length + 1)
    assert (episode.obs[:, :, 0] == steps[:, None]).all()
    assert (episode.obs[:, :, 1] == np.arange(3)).all()
    assert (episode.obs[:, :, 2] == number).all() and (episode.state[:, 1] == number).all()
    assert (episode.obs[1:, :, 3] == episode.actions).all()
    assert (episode.state[:, 2] == length).all()
    assert (episode.rewards == np.arange(1, length + 1) * 6).all()
    assert episode.terminated == (number % 2 == 0)
    legal = np.take_along_axis(episode.action_mask[:-1], episode.actions[..., None], -1)
    assert legal.all() and not episode.action_mask.all()
    assert episode.episode_return == CounterEnv.episode_return(length, 3)
    assert (episode.agent_returns == np.array([1, 2, 3]) * length * (length + 1) / 2).all()


@pytest.mark.parametrize("explore", [True, False])
@pytest.mark.parametrize("num_episodes", [1, 3, 8])
def test_episodes_are_whole_and_in_order(algorithm, num_episodes, explore):
    episodes = algorithm.env_runner.sample(num_episodes=num_episodes, explore=explore)
    assert len(episodes) == num_episodes
    for episode in episodes:
        check_episode(episode)


def test_every_started_episode_is_returned(algorithm):
    before = algorithm.env_runner._episodes_started
    episodes = algorithm.env_runner.sample(num_timesteps=60)
    assert sum(map(len, episodes)) >= 60
    assert algorithm.env_runner._episodes_started - before == len(episodes)
    for episode in algorithm.env_runner.sample(num_episodes=4, random_actions=True):
        check_episode(episode)


def test_batch_holds_what_was_played(algorithm):
    episodes = algorithm.env_runner.sample(num_episodes=6)
    batch = batch_of(algorithm, episodes)[TEAM]
    for row, episode in enumerate(episodes):
        length = len(episode)
        assert batch[LOSS_MASK][row].sum() == length
        np.testing.assert_array_equal(batch[OBS][row, : length + 1], episode.obs)
        np.testing.assert_array_equal(batch[STATE][row, : length + 1], episode.state)
        np.testing.assert_array_equal(batch[ACTIONS][row, :length], episode.actions)
        np.testing.assert_array_equal(batch[REWARDS][row, :length], episode.rewards)
        assert bool(batch[TERMINATED][row, length - 1]) == episode.terminated
        assert batch[TERMINATED][row].sum() == episode.terminated


def test_runner_and_learner_forward_alike_after_a_round(algorithm):
    for _ in range(3):
        algorithm.train()
    assert learner(algorithm)._num_updates > 0
    theirs = weights(learner(algorithm).team_module.agent)
    for name, value in weights(algorithm.env_runner.module[TEAM].agent).items():
        np.testing.assert_array_equal(value, theirs[name])


def test_the_runner_has_only_what_acts(algorithm):
    names = {name.split(".")[0] for name in algorithm.env_runner.module[TEAM].state_dict()}
    assert names == {"agent"}
    assert {"mixer", "target_agent"} <= {
        name.split(".")[0] for name in learner(algorithm).team_module.state_dict()
    }


def test_greedy_actions_repeat_and_seeds_differ():
    def play(seed, **config):
        algorithm = build("QMIX", seed=seed, **config)
        numbers = [e.state[0, 1] for e in algorithm.env_runner.sample(num_episodes=4)]
        algorithm.stop()
        return numbers

    assert play(5) == play(5)
    assert len(set(play(5) + play(6))) == 8


def test_evaluation_has_episodes_of_its_own():
    algorithm = build("QMIX", evaluation_interval_env_steps=1000, evaluation_duration=6)
    result = algorithm.train()
    assert result["evaluation"]["env_runners"]["num_episodes"] == 6
    training = [window.episode for window in algorithm.replay.sample(4)]
    evaluated = algorithm.eval_env_runner.sample(num_episodes=4)
    assert {e.state[0, 1] for e in training}.isdisjoint(e.state[0, 1] for e in evaluated)
    assert "evaluation" not in algorithm.train()
    algorithm.stop()


class _WinsAlone(CounterEnv):
    """Speaks of a win alone: its third episode is won."""

    played = 0

    def step(self, action_dict):
        result = super().step(action_dict)
        if result[2]["__all__"] or result[3]["__all__"]:
            _WinsAlone.played += 1
            if _WinsAlone.played == 3:
                result[4][TEAM]["win"] = True
        return result


def test_losses_before_the_first_win_count(monkeypatch):
    register_env("wins_alone", lambda config: _WinsAlone())
    algorithm = build("QMIX", "wins_alone", num_envs_per_env_runner=1)
    runner = algorithm.env_runner
    monkeypatch.setattr(_WinsAlone, "played", 0)
    assert [e.win for e in runner.sample(num_episodes=4)] == [None, None, True, False]
    assert runner.get_metrics()["win_rate"].peek() == 0.25
    assert runner.get_state()["has_wins"]
    algorithm.stop()


class Recorder(RLlibCallback):
    """Counts what it is told of, and logs a metric of its own."""

    calls: dict[str, int] = {}

    def on_episode_start(self, **kwargs):
        self.calls["start"] = self.calls.get("start", 0) + 1

    def on_episode_step(self, **kwargs):
        self.calls["step"] = self.calls.get("step", 0) + 1

    def on_episode_end(self, *, episode, metrics_logger, **kwargs):
        self.calls["end"] = self.calls.get("end", 0) + 1
        assert episode.is_done
        metrics_logger.log_value("own_return", episode.get_return(), window=10)


def test_episode_callbacks_see_rllib_episodes():
    Recorder.calls.clear()
    algorithm = build("QMIX", callbacks_class=Recorder)
    episodes = algorithm.env_runner.sample(num_episodes=5)
    assert Recorder.calls == {"start": 5, "step": sum(map(len, episodes)), "end": 5}
    metrics = algorithm.env_runner.get_metrics()
    own = np.mean([episode.episode_return for episode in episodes])
    assert metrics["own_return"].peek() == pytest.approx(own)
    algorithm.stop()


class _Fragile(CounterEnv):
    """Fails at the third step of every second episode."""

    episodes = 0

    def reset(self, **kwargs):
        type(self).episodes += 1
        return super().reset(**kwargs)

    def step(self, action_dict):
        if self._t == 2 and type(self).episodes % 2 == 0:
            raise RuntimeError("the game crashed")
        return super().step(action_dict)


def test_a_failing_environment_loses_only_its_episode():
    from ray.tune.registry import register_env

    register_env("fragile", lambda config: _Fragile())
    algorithm = build("QMIX", "fragile", num_envs_per_env_runner=1,
                      restart_failed_sub_environments=True)  # fmt: skip
    episodes = algorithm.env_runner.sample(num_episodes=3)
    assert len(episodes) == 3
    for episode in episodes:
        check_episode_lengths(episode)
    assert algorithm.env_runner.get_metrics()["num_episodes_dropped_lifetime"].peek() > 0
    algorithm.stop()


def check_episode_lengths(episode) -> None:
    """No step of a dropped episode is in it."""
    assert (episode.obs[:, 0, 0] == np.arange(len(episode) + 1)).all()
    assert episode.action_mask.shape == (len(episode) + 1, 3, 4)
