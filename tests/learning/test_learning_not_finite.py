"""A simulator that gives NaN now and then: training reaches what it reaches without."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from ray.tune.registry import register_env

from env_registry.contract import OBS, TEAM
from env_registry.toy import TwoStepEnv
from rllib_mmsa.rllib import ALGORITHMS
from tests.learning.test_learning import TWO_STEP, greedy_return

pytestmark = pytest.mark.usefixtures("ray_session")


class OneInAThousand(TwoStepEnv):
    """Every thousandth observation is NaN, over all environments of a process."""

    steps = 0

    def step(self, action_dict: Any) -> Any:
        result = super().step(action_dict)
        OneInAThousand.steps += 1
        if OneInAThousand.steps % 1000 == 0:
            result[0][TEAM][OBS][1] = np.nan
        return result


register_env("one_in_a_thousand", lambda config: OneInAThousand())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MMSA", "QMIX"])
def test_the_two_step_game_is_solved_all_the_same(name, caplog):
    config = ALGORITHMS[name].get_default_config().environment("one_in_a_thousand")
    config.debugging(seed=1).update_from_dict({**TWO_STEP, "normalise_observations": True})
    algorithm = config.build_algo()
    with caplog.at_level(logging.WARNING):
        while algorithm.num_env_steps_sampled < 5000:
            result = algorithm.train()
    assert greedy_return(algorithm, 4) == 8.0
    assert result["env_runners"]["num_episodes_not_finite_lifetime"] >= 4
    assert result["learners"][TEAM]["num_skipped_updates"] == 0
    assert caplog.text.count("obs (agent 1, number 0) is nan at step") == 1
    algorithm.stop()
