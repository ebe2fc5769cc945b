"""How tests act: `evaluation_epsilon`, the share of random actions; PPO's draws from its policy."""

import numpy as np
import pytest
import torch

from env_registry.contract import TEAM
from rllib_mmsa import MAPPOConfig
from rllib_mmsa.command.evaluate import evaluate
from rllib_mmsa.errors import ConfigError
from tests.algorithms import FORAGING, build, learner

pytestmark = pytest.mark.usefixtures("ray_session")

ACTIONS = 6  # all of them legal in every step
SETTINGS = {
    **FORAGING,
    "engine": "plain",
    "evaluation_interval_env_steps": 100,
    "evaluation_duration": 20,
}


def without_weights(module) -> None:
    """All values are 0, so that the greedy action is the first."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()


def shares(episodes) -> np.ndarray:
    """How often each action was taken, over all agents and steps: (A,)."""
    taken = np.concatenate([episode.actions.ravel() for episode in episodes])
    assert len(taken) > 3000
    return np.bincount(taken, minlength=ACTIONS) / len(taken)


def expected(epsilon: float) -> np.ndarray:
    """Random actions are shared out evenly; the others are the first one."""
    return epsilon / ACTIONS + (1 - epsilon) * (np.arange(ACTIONS) == 0)


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_evaluations_act_at_random_as_often_as_they_should(epsilon):
    algorithm = build("QMIX", **SETTINGS, evaluation_epsilon=epsilon)
    for runner in (algorithm.eval_env_runner, algorithm.env_runner):
        without_weights(runner.module[TEAM])
    tested = shares(algorithm.eval_env_runner.sample(num_episodes=200))
    trained = shares(algorithm.env_runner.sample(num_episodes=200, explore=False))
    algorithm.stop()
    # Four standard deviations of a share of 3,000.
    np.testing.assert_allclose(tested, expected(epsilon), atol=0.04 if epsilon else 0)
    np.testing.assert_array_equal(trained, expected(0.0))


def test_an_evaluation_that_explores_does_so_by_the_schedule():
    settings = {"epsilon": 0.6, "evaluation_config": {"explore": True}}
    algorithm = build("QMIX", **SETTINGS, **settings, evaluation_epsilon=0.1)
    without_weights(algorithm.eval_env_runner.module[TEAM])
    found = shares(algorithm.eval_env_runner.sample(num_episodes=200))
    algorithm.stop()
    np.testing.assert_allclose(found, expected(0.6), atol=0.04)


def test_what_the_world_model_is_measured_on_stays_greedy():
    algorithm = build("MMSA", **SETTINGS, evaluation_epsilon=1.0)
    without_weights(learner(algorithm).team_module.agent)
    episodes, _ = algorithm._play_greedily(20)
    algorithm.stop()
    assert all((episode.actions == 0).all() for episode in episodes)


def test_a_seed_repeats_the_tests_of_a_training():
    def returns(epsilon: float) -> list[float]:
        algorithm = build("QMIX", **SETTINGS, evaluation_epsilon=epsilon)
        found = [algorithm.evaluate()["env_runners"]["episode_return_mean"] for _ in range(3)]
        algorithm.stop()
        return found

    first = returns(0.5)
    assert first == returns(0.5) != returns(0.0)
    assert len(set(first)) > 1, "each evaluation plays other episodes"


def test_a_checkpoint_is_evaluated_as_it_was_tested_or_as_the_user_says(tmp_path):
    algorithm = build("QMIX", **SETTINGS, evaluation_epsilon=1.0)
    path = algorithm.save_to_path(tmp_path / "checkpoint_000000")
    algorithm.stop()
    saved, again, said, greedy = (
        evaluate(path, episodes=20, seed=1, epsilon=epsilon) for epsilon in (None, None, 1.0, 0.0)
    )
    assert (saved.epsilon, said.epsilon, greedy.epsilon) == (1.0, 1.0, 0.0)
    assert saved.lengths == again.lengths == said.lengths != greedy.lengths
    assert "episodes    20\nepsilon     1\nreturn" in saved.summary()
    assert "epsilon" not in greedy.summary()
    with pytest.raises(ConfigError, match="--epsilon is 2; it must be a number from 0 to 1"):
        evaluate(path, episodes=1, epsilon=2.0)


def test_evaluate_draws_actions_where_the_run_s_tests_do(tmp_path):
    pytest.importorskip("lbforaging")
    algorithm = (
        MAPPOConfig()
        .environment("lbf", env_config={"task": "5x5-2p-1f-v2", "max_episode_steps": 8})
        .evaluation(evaluation_config={"explore": True})
        .build_algo()
    )
    algorithm.save_to_path(str(tmp_path))
    algorithm.stop()
    drawn, again = (evaluate(tmp_path, episodes=20, seed=1) for _ in range(2))
    greedy = evaluate(tmp_path, episodes=20, seed=1, epsilon=0.0)
    assert (drawn.drawn, greedy.drawn) == (True, False)
    assert "actions     drawn from the policy" in drawn.summary()
    assert drawn.returns == again.returns and drawn.lengths != greedy.lengths
