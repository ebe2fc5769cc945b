"""SMAX, many episodes at once: each slot plays what one environment plays, compiled once."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from env_registry import EnvConfigError
from env_registry.contract import ACTION_MASK, OBS, STATE, TEAM

pytest.importorskip("jaxmarl")

from env_registry.smax import SmaxEnv, SmaxVectorEnv
from env_registry.smax.game import STOP
from tests.envs.battles import attack, ended, play

SLOTS = 3


@pytest.mark.parametrize("task", ["3m", pytest.param("smacv2_5_units", marks=pytest.mark.slow)])
def test_slots_play_the_episodes_that_one_environment_plays(task: str) -> None:
    """Slots end and begin again at different times; each must not notice the others."""
    single, vector = SmaxEnv(task), SmaxVectorEnv(SLOTS, task=task)
    next_seed = SLOTS
    expected = {i: iter(play(single, i, attack)) for i in range(SLOTS)}
    obs = {i: vector.reset_slot(i, i)[0] for i in range(SLOTS)}
    finished = 0
    while obs:
        indices = sorted(obs)
        actions = np.stack([attack(obs[i][TEAM][ACTION_MASK]) for i in indices])
        for i, step in zip(indices, vector.step_slots(indices, actions), strict=True):
            theirs = next(expected[i])
            for key in (OBS, ACTION_MASK, STATE):
                np.testing.assert_allclose(
                    step[0][TEAM][key], theirs[0][TEAM][key], atol=1e-5, err_msg=key
                )
            assert step[1] == pytest.approx(theirs[1]) and step[2:4] == theirs[2:4]
            obs[i] = step[0]
            if ended(step):
                finished += 1
                assert next(expected[i], None) is None
                if finished % 2:  # every other slot rests from here on
                    expected[i] = iter(play(single, next_seed, attack))
                    obs[i] = vector.reset_slot(i, next_seed)[0]
                    next_seed += 1
                else:
                    del obs[i]
    assert finished > SLOTS


def test_idle_slots_stand_still() -> None:
    vector = SmaxVectorEnv(SLOTS)
    for seed in range(SLOTS):
        vector.reset_slot(seed, seed)
    before = [vector.envs[i].render() for i in range(SLOTS)]
    vector.step_slots([0], np.full((1, 3), 1))
    after = [vector.envs[i].render() for i in range(SLOTS)]
    moved = [(a != b).any() for a, b in zip(before, after, strict=True)]
    assert moved == [True, False, False]


def test_it_compiles_once() -> None:
    game = SmaxEnv().game
    assert game is SmaxVectorEnv(2).envs[0].game
    compiled = []
    for _ in range(2):
        vector = SmaxVectorEnv(SLOTS)
        for step in range(6):
            vector.reset_slot(step % SLOTS, step)
            vector.step_slots([step % SLOTS], np.full((1, 3), STOP))
        compiled.append((game.step._cache_size(), game.put._cache_size()))
    assert compiled[0] == compiled[1]
    assert game.reset._cache_size() == 1


def test_tunes_creator_makes_both_and_travels() -> None:
    from ray.rllib.env.env_context import EnvContext
    from ray.tune.registry import ENV_CREATOR, _global_registry

    creator = pickle.loads(pickle.dumps(_global_registry.get(ENV_CREATOR, "smax")))
    context = EnvContext({"task": "8m"}, worker_index=1)
    assert creator(context).n_agents == 8
    vector = creator.make_vec(4, context)
    assert isinstance(vector, SmaxVectorEnv) and vector.num_envs == 4
    assert _global_registry.get(ENV_CREATOR, "counter").make_vec is None
    with pytest.raises(EnvConfigError):
        creator.make_vec(4, {"task": "8n"})
