"""SMAX: the package's game unchanged, its ends, rewards and seeds.

Compiling takes most of the time: the tests share the default game wherever they can.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import env_registry
from env_registry import EnvConfigError
from env_registry.contract import ACTION_MASK, AGENT_REWARDS, ALL, OBS, STATE, TEAM, WIN
from env_registry.rows import SMAX_TASKS

pytest.importorskip("jaxmarl")

import jax
from jaxmarl.environments.smax import HeuristicEnemySMAX, map_name_to_scenario
from jaxmarl.environments.smax.smax_env import MAP_NAME_TO_SCENARIO

from env_registry.smax import SmaxEnv
from env_registry.smax.game import STOP
from tests.envs.battles import FIRST_ATTACK, attack, ended, play


def legal(rng: np.random.Generator, mask: np.ndarray) -> np.ndarray:
    """Random legal actions: mask (..., A) -> (...)."""
    return np.where(mask > 0, rng.random(mask.shape), -1).argmax(-1)


class Raw:
    """The package's environment, stepped as its users do, with the keys that Slots uses."""

    def __init__(self, task: str, max_steps: int = 100):
        self.env = HeuristicEnemySMAX(scenario=map_name_to_scenario(task), max_steps=max_steps)
        self.avail = jax.jit(self.env.get_avail_actions)

    def reset(self, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self.key, key = jax.random.split(jax.random.PRNGKey(seed))
        obs, self.state = self.env.reset(key)
        return self.see(obs)

    def step(self, actions: np.ndarray) -> tuple[Any, dict[str, float], dict[str, bool]]:
        self.key, key = jax.random.split(self.key)
        named = {agent: int(a) for agent, a in zip(self.env.agents, actions, strict=True)}
        obs, self.state, rewards, dones, _ = self.env.step_env(key, self.state, named)
        return self.see(obs), rewards, dones

    def see(self, obs: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        avail = self.avail(self.state)
        units = self.env.agents
        return (
            np.stack([obs[unit] for unit in units]),
            np.stack([avail[unit] for unit in units]),
            np.asarray(obs["world_state"]),
        )


LIMIT = 7  # env steps, of the raw environment


def scaled(world: np.ndarray, n_units: int) -> np.ndarray:
    """What `scale_state` makes of the package's world state."""
    units = world[: -2 * n_units].reshape(n_units, -1).copy()
    units[:, 1:3] = np.clip(units[:, 1:3] / 32, 0, 1)
    units[:, 3] = np.clip(units[:, 3] / (1.87 + 2 / 16), 0, 1)
    types = world[-n_units:] / 5
    return np.concatenate([units.ravel(), world[-2 * n_units : -n_units], types])


@pytest.mark.parametrize("task", ["3m", pytest.param("smacv2_5_units", marks=pytest.mark.slow)])
def test_same_game_as_the_package(task: str) -> None:
    env, raw = SmaxEnv(task), Raw(task, LIMIT)
    rng = np.random.default_rng(0)

    def compare(obs: dict[str, Any], theirs: tuple[np.ndarray, ...]) -> None:
        *expected, world = theirs
        for key, value in zip((OBS, ACTION_MASK), expected, strict=True):
            np.testing.assert_allclose(obs[TEAM][key], value, atol=1e-5, err_msg=key)
        state = scaled(world, 2 * env.n_agents)
        np.testing.assert_allclose(obs[TEAM][STATE], state, atol=1e-5)

    for seed in range(4):
        obs, _ = env.reset(seed=seed)
        compare(obs, raw.reset(seed))
        for t in range(1, 101):
            mask = obs[TEAM][ACTION_MASK]
            actions = attack(mask) if seed % 2 else legal(rng, mask)
            step = env.step({TEAM: actions})
            theirs, rewards, dones = raw.step(actions)
            obs = step[0]
            compare(obs, theirs)
            assert len({float(reward) for reward in rewards.values()}) == 1
            assert step[1][TEAM] == pytest.approx(float(rewards["ally_0"]), abs=1e-6)
            # The package's own time limit comes a step late: why SmaxGame counts itself.
            assert bool(dones["__all__"]) == (step[2][ALL] or t > LIMIT)
            if ended(step):
                break


def test_a_win_pays_two_in_all_and_each_unit_its_share() -> None:
    env = SmaxEnv()
    battles = (play(env, seed, attack) for seed in range(50))
    steps = next(steps for steps in battles if steps[-1][4][TEAM][WIN])
    *_, (_, rewards, terminateds, truncateds, infos) = steps
    assert terminateds[ALL] and not truncateds[ALL]
    assert infos[TEAM][WIN] is True
    assert rewards[TEAM] > 1  # the bonus is in it
    assert sum(step[1][TEAM] for step in steps) == pytest.approx(2, abs=1e-5)
    assert not any(WIN in step[4][TEAM] for step in steps[:-1])
    for step in steps:
        shares = step[4][TEAM][AGENT_REWARDS]
        assert shares.shape == (3,) and (shares == shares[0]).all()
        assert shares.sum() == pytest.approx(step[1][TEAM], abs=1e-6)


def test_a_lost_battle_ends_without_win() -> None:
    steps = play(SmaxEnv(), 0, lambda mask: np.full(3, STOP))
    *_, (obs, rewards, terminateds, truncateds, infos) = steps
    assert terminateds[ALL] and not truncateds[ALL]
    assert infos[TEAM][WIN] is False
    assert rewards[TEAM] < 1
    assert not obs[TEAM][OBS].any()  # all dead


def test_dead_units_keep_stop_and_nothing_else() -> None:
    seen = 0
    for obs, *_ in play(SmaxEnv(), 0, lambda mask: np.full(3, STOP)):
        dead = ~obs[TEAM][OBS].any(axis=1)
        seen += dead.sum()
        mask = obs[TEAM][ACTION_MASK]
        assert (mask[dead].sum(axis=1) == 1).all() and mask[:, STOP].all()
        assert (mask[~dead][:, :FIRST_ATTACK] == 1).all()
    assert seen > 3


def test_the_time_limit_truncates_after_exactly_so_many_steps() -> None:
    steps = play(SmaxEnv(max_episode_steps=LIMIT), 0, lambda mask: np.full(3, STOP))
    assert len(steps) == LIMIT
    _, _, terminateds, truncateds, infos = steps[-1]
    assert truncateds[ALL] and not terminateds[ALL]
    assert infos[TEAM][WIN] is False


def same(ours: Any, theirs: Any) -> bool:
    return all((ours[TEAM][key] == theirs[TEAM][key]).all() for key in (OBS, ACTION_MASK, STATE))


def test_seeds_repeat_and_differ() -> None:
    env, other = SmaxEnv(), SmaxEnv()
    first = env.reset(seed=3)[0]
    assert not same(first, env.reset(seed=4)[0])
    assert same(first, env.reset(seed=3)[0]) and same(first, other.reset(seed=3)[0])
    assert not same(env.reset(seed=1)[0], env.reset(seed=2**32 + 1)[0])
    unseeded = [env.reset()[0] for _ in range(2)]
    assert not same(*unseeded)
    # The draws of later steps come from the seed too.
    ends = [play(each, 5, attack)[-1][0] for each in (env, other)]
    assert same(*ends)


def test_observations_are_new_arrays_that_may_be_written() -> None:
    env = SmaxEnv()
    first = env.reset(seed=0)[0][TEAM][OBS]
    kept = first.copy()
    second = env.step({TEAM: np.full(3, 1)})[0][TEAM][OBS]
    second[:] = 9
    np.testing.assert_array_equal(first, kept)
    assert (env.step({TEAM: np.full(3, 1)})[0][TEAM][OBS] != 9).any()


def test_the_state_unscaled_is_the_packages() -> None:
    plain, env = SmaxEnv(scale_state=False), SmaxEnv()
    state = plain.reset(seed=2)[0][TEAM][STATE]
    assert state.max() > 1
    expected = env.reset(seed=2)[0][TEAM][STATE]
    np.testing.assert_allclose(scaled(state, 6), expected, atol=1e-6)


@pytest.mark.parametrize("task", SMAX_TASKS)
def test_every_scenario_has_its_sizes(task: str) -> None:
    env, scenario = SmaxEnv(task), map_name_to_scenario(task)
    units = scenario.num_allies + scenario.num_enemies
    assert env.n_agents == scenario.num_allies
    assert env.n_actions == scenario.num_enemies + FIRST_ATTACK
    assert env.obs_size == 13 * (units - 1) + 10
    assert env.state_size == 12 * units


def test_all_scenarios_of_the_package_are_there() -> None:
    assert set(SMAX_TASKS) == set(MAP_NAME_TO_SCENARIO)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"task": "3n"}, "did you mean '3m'"),
        ({"max_steps": 5}, "did you mean 'max_episode_steps'"),
        ({"max_episode_steps": 0}, "must be 1 or more"),
        ({"attack_mode": "nearest"}, "closest"),
    ],
)
def test_mistakes_are_answered_in_words(config: dict[str, Any], words: str) -> None:
    with pytest.raises(EnvConfigError, match=words):
        env_registry.make("smax", **config)


def test_the_picture_shows_who_lives() -> None:
    env = SmaxEnv()
    env.reset(seed=0)
    start = env.render()
    assert start.shape == (448 + 20, 448, 3) and start.dtype == np.uint8
    start = start[:448]  # below it is the legend

    def more(picture: np.ndarray, this: int, that: int) -> np.ndarray:
        return picture[..., this] > picture[..., that].astype(int) + 60

    red, blue = more(start, 0, 2), more(start, 2, 0)
    assert blue[:, :224].sum() == blue.sum() > 100  # allies start on the left
    assert red[:, 224:].sum() == red.sum() > 100
    play(env, 0, lambda mask: np.full(3, STOP))
    end = env.render()[:448]  # lost
    assert not more(end, 2, 0).any() and more(end, 0, 2).any()


def test_attacks_name_who_lost_health() -> None:
    """The package counts the allies' targets up and the enemies' down; both must hit their own."""
    env = SmaxEnv()
    obs, _ = env.reset(seed=0)
    seen = set()
    for _ in range(100):
        before = env.units()["unit_health"]
        obs, _, terminateds, truncateds, _ = env.step({TEAM: attack(obs[TEAM][ACTION_MASK])})
        units = env.units()
        attacks = env.game.attacks(units)
        assert all((who < 3) != (whom < 3) for who, whom in attacks)
        hurt = set(np.flatnonzero(units["unit_health"] < before - 1e-3).tolist())
        living = {i for i in range(6) if units["unit_health"][i] > 0}
        targets = {whom for _, whom in attacks}
        # Whoever is hurt was attacked, by one that lives to be drawn or that died of the exchange.
        assert hurt <= targets or living != set(range(6))
        seen |= {(who < 3, whom) for who, whom in attacks}
        if terminateds[ALL] or truncateds[ALL]:
            break
    assert {side for side, _ in seen} == {True, False} and len(seen) > 2
