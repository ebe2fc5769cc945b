"""JaxMARL's MPE and Overcooked: the package's games unchanged, their rewards, ends and seeds.

Compiling takes most of the time: the tests share two games, those of others are marked slow.
"""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import env_registry
from env_registry import EnvConfigError
from env_registry.contract import ACTION_MASK, AGENT_REWARDS, ALL, OBS, STATE, TEAM
from env_registry.tasks.jaxmarl import ELSEWHERE, JAXMARL_TASKS, LAYOUTS, MPE, REFUSED

pytest.importorskip("jaxmarl")

import jax
from jaxmarl.environments import overcooked_layouts, overcooked_v2_layouts
from jaxmarl.registration import registered_envs
from jaxmarl.wrappers.baselines import CTRolloutManager

from env_registry.jaxmarl_env import JaxmarlEnv, JaxmarlVectorEnv
from env_registry.jaxmarl_env.game import jaxmarl_game

SPREAD, SPEAKER = "MPE_simple_spread_v3", "MPE_simple_speaker_listener_v4"
LIMIT = 50  # env steps, in a kitchen
ROOM = {"task": "overcooked:cramped_room", "max_episode_steps": LIMIT, "shaped_reward": 0.5}
UP, DOWN, RIGHT, LEFT, STAY, INTERACT = range(6)
#: The first cook makes a soup alone: three onions, a plate while it cooks, the soup, the counter.
SOUP = (
    *(LEFT, INTERACT, RIGHT, UP, INTERACT) * 3,
    *(LEFT, DOWN, DOWN, INTERACT, UP, RIGHT, UP, *(STAY,) * 15),
    *(INTERACT, DOWN, RIGHT, DOWN, INTERACT),
)


class Raw:
    """The package's environment, stepped as its users do, with the keys that Slots uses."""

    def __init__(self, env: Any):
        self.env, self.begin, self.step_env = env, jax.jit(env.reset), jax.jit(env.step_env)
        # Their Q-learners' own; it does not take OvercookedV2, which differs in no reward.
        both_get_it = not env.observation_spaces
        manager = None if both_get_it else CTRolloutManager(env, batch_size=1)
        self.team_reward = manager.global_reward if manager else lambda each: each["agent_0"]

    def reset(self, seed: int) -> dict[str, np.ndarray]:
        self.key, key = jax.random.split(jax.random.PRNGKey(seed))
        obs, self.state = self.begin(key)
        return obs

    def step(self, actions: np.ndarray) -> tuple[Any, ...]:
        self.key, key = jax.random.split(self.key)
        named = dict(zip(self.env.agents, actions, strict=True))
        obs, self.state, rewards, dones, infos = self.step_env(key, self.state, named)
        return obs, rewards, dones, infos


def same_view(env: JaxmarlEnv, ours: dict[str, Any], theirs: dict[str, np.ndarray]) -> None:
    for row, name in zip(ours[TEAM][OBS], env.agent_names, strict=True):
        flat = np.asarray(theirs[name]).ravel()
        np.testing.assert_allclose(row[: len(flat)], flat, atol=1e-5, err_msg=name)
        assert not row[len(flat) :].any()
    np.testing.assert_array_equal(ours[TEAM][STATE], ours[TEAM][OBS].ravel())


@pytest.mark.parametrize(
    "config",
    [
        {"task": SPREAD},
        pytest.param(ROOM, marks=pytest.mark.slow),
        pytest.param({"task": SPEAKER}, marks=pytest.mark.slow),
        pytest.param({"task": "MPE_simple_reference_v3"}, marks=pytest.mark.slow),
        pytest.param({**ROOM, "task": "overcooked_v2:cramped_room"}, marks=pytest.mark.slow),
    ],
    ids=lambda config: config["task"],
)
def test_same_game_as_the_package(config: dict[str, Any]) -> None:
    env, weight = JaxmarlEnv(**config), config.get("shaped_reward", 0)
    raw, limit = Raw(env.game.env), env.game.max_episode_steps
    rng = np.random.default_rng(0)
    for seed in range(3):
        obs, _ = env.reset(seed=seed)
        same_view(env, obs, raw.reset(seed))
        for t in range(1, limit + 1):
            scores = rng.random(env.game.legal.shape) * obs[TEAM][ACTION_MASK]
            actions = scores.argmax(1)
            obs, reward, terminated, truncated, infos = env.step({TEAM: actions})
            theirs, rewards, dones, more = raw.step(actions)
            same_view(env, obs, theirs)
            shaped = weight * sum(map(float, more["shaped_reward"].values())) if weight else 0
            expected = float(raw.team_reward(rewards)) + shaped
            assert reward[TEAM] == pytest.approx(expected, abs=1e-5)
            assert infos[TEAM][AGENT_REWARDS].sum() == pytest.approx(expected, abs=1e-5)
            assert truncated[ALL] == (t == limit) and not terminated[ALL]
            # MPE's own time limit comes a step late: why the game counts itself.
            assert bool(dones["__all__"]) == (t == limit and config["task"] not in MPE)


def cook(env: JaxmarlEnv) -> list[tuple[Any, ...]]:
    """Makes one soup; the second cook stands still."""
    env.reset(seed=0)
    return [env.step({TEAM: np.array([action, STAY])}) for action in SOUP]


def test_a_soup_pays_the_team_once_and_each_cook_its_own_steps() -> None:
    steps = cook(JaxmarlEnv(**ROOM))
    each = np.stack([step[4][TEAM][AGENT_REWARDS] for step in steps])
    assert each.sum(0).tolist() == [10 + 0.5 * (3 * 3 + 3 + 5), 10]
    assert steps[-1][1][TEAM] == 20
    assert sum(step[1][TEAM] for step in steps) == each.sum()


@pytest.mark.slow  # compiling
def test_without_shaped_rewards_the_soup_is_all() -> None:
    rewards = [step[1][TEAM] for step in cook(JaxmarlEnv(ROOM["task"]))]
    assert rewards == [0] * (len(SOUP) - 1) + [20]


def test_seeds_repeat_and_differ() -> None:
    env, other = JaxmarlEnv(), JaxmarlEnv()
    start = {seed: env.reset(seed=seed)[0][TEAM][OBS] for seed in (3, 4)}
    assert (start[3] != start[4]).any()
    assert (other.reset(seed=3)[0][TEAM][OBS] == start[3]).all()
    env.reset(seed=3)
    ends = [each.step({TEAM: np.array([1, 2, 3])}) for each in (env, other)]
    assert (ends[0][0][TEAM][OBS] == ends[1][0][TEAM][OBS]).all() and ends[0][1] == ends[1][1]
    unseeded = [env.reset()[0][TEAM][OBS] for _ in range(2)]
    assert (unseeded[0] != unseeded[1]).any()


def test_an_agent_with_fewer_actions_has_the_others_masked() -> None:
    legal = JaxmarlEnv(SPEAKER).game.legal
    assert legal.tolist() == [[1, 1, 1, 0, 0], [1] * 5]
    assert JaxmarlEnv(SPEAKER).agent_names == ("speaker_0", "listener_0")


@pytest.mark.slow  # compiling
def test_slots_play_the_episodes_that_one_environment_plays() -> None:
    from ray.tune.registry import ENV_CREATOR, _global_registry

    creator = pickle.loads(pickle.dumps(_global_registry.get(ENV_CREATOR, "jaxmarl")))
    single, vector = JaxmarlEnv(), creator.make_vec(2, {"task": SPREAD})
    assert isinstance(vector, JaxmarlVectorEnv)
    for slot in range(2):
        vector.reset_slot(slot, slot)
    actions = np.array([[1, 2, 3], [4, 0, 1]])
    for slot, step in enumerate(vector.step_slots([0, 1], actions)):
        single.reset(seed=slot)
        expected = single.step({TEAM: actions[slot]})
        np.testing.assert_allclose(step[0][TEAM][OBS], expected[0][TEAM][OBS], atol=1e-6)
        assert step[1] == pytest.approx(expected[1])


def test_arguments_reach_the_package() -> None:
    env = JaxmarlEnv(env_kwargs={"num_agents": 4, "num_landmarks": 2, "local_ratio": 0})
    assert env.n_agents == 4 and env.obs_size == 4 + 2 * 2 + 3 * 4
    assert env.game.env.local_ratio == 0
    assert env.game is not JaxmarlEnv(env_kwargs={"num_agents": 4}).game
    far = JaxmarlEnv("overcooked_v2:test_time_simple")
    near = JaxmarlEnv("overcooked_v2:test_time_simple", env_kwargs={"agent_view_size": 2})
    assert near.obs_size < far.obs_size


def test_every_name_of_the_package_is_accounted_for() -> None:
    assert set(LAYOUTS["overcooked"]) == set(overcooked_layouts)
    assert set(LAYOUTS["overcooked_v2"]) == set(overcooked_v2_layouts) - {"long_room"}
    games = {name for name in registered_envs if name.startswith("MPE_")}
    assert games == {name for name in (*MPE, *REFUSED) if name.startswith("MPE_")}
    others = {name for name in REFUSED if ":" not in name} | set(ELSEWHERE) | set(LAYOUTS)
    assert others <= set(registered_envs)


@pytest.mark.slow  # traces all
@pytest.mark.parametrize("task", JAXMARL_TASKS)
def test_every_task_is_a_team_s(task: str) -> None:
    game = jaxmarl_game(task, None, 0.0, ())
    assert game.n_agents > 1
    assert game.max_episode_steps == (25 if task in MPE else 400)
    assert len(game.action_names) in (0, game.legal.shape[1])


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"task": "MPE_simple_tag_v3"}, "is not cooperative.*\n  rule: .*discrete actions"),
        ({"task": "MPE_simple_facmac_v1"}, "has continuous actions"),
        ({"task": "overcooked_v2:long_room"}, "has a single agent"),
        ({"task": "SMAX"}, "env: smax, task: 3m"),
        ({"task": "overcooked"}, "nearest: overcooked:cramped_room"),
        ({"task": "coord_ring"}, "nearest: overcooked:coord_ring"),
        ({"task": "mpe2.simple_reference_v3"}, "nearest: MPE_simple_reference_v3"),
        ({"max_steps": 5}, "the time limit is max_episode_steps"),
        ({"max_episode_steps": 0}, "must be 1 or more"),
        ({"layout": "coord_ring"}, "task: overcooked:cramped_room"),
        ({"shaped_reward": 1.0}, "MPE_simple_spread_v3 has no such reward"),
        ({"shaped_reward": -1.0}, "must be 0 or more"),
        ({"env_kwargs": {"action_type": "Continuous"}}, "discrete here"),
        ({"env_kwargs": {"max_steps": 5}}, "max_episode_steps, beside env_kwargs"),
        ({"env_kwargs": {"N": 5}}, "takes num_agents, num_landmarks, local_ratio"),
        ({"env_kwargs": {"num_agents": 1}}, "must be of type int, 2 or more"),
        ({"env_kwargs": {"local_ratio": 2}}, "must be of type float, 0 to 1"),
        ({"task": SPEAKER, "env_kwargs": {"num_agents": 3}}, "takes none"),
        ({**ROOM, "env_kwargs": {"random_reset": 1}}, "must be of type bool"),
    ],
    ids=str,
)
def test_mistakes_are_answered_in_words(config: dict[str, Any], words: str) -> None:
    with pytest.raises(EnvConfigError, match=words):
        env_registry.make("jaxmarl", **config)
