"""MAMuJoCo under the contract plays what gymnasium-robotics plays, number for number."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import env_registry
from env_registry import EnvConfigError
from env_registry.contract import ACTION_MASK, AGENT_REWARDS, ALL, OBS, STATE, TEAM
from env_registry.errors import TaskError
from env_registry.tasks.mamujoco import TABLE_9, TASKS, check_task, parse_task

installed, reason = env_registry.installed("mamujoco")
needs_mamujoco = pytest.mark.skipif(not installed, reason=reason)
if installed:
    from env_registry.mamujoco import MAMuJoCoEnv, make_game


def _playable(task: str) -> bool:
    try:
        check_task(task)
    except TaskError:
        return False
    return True


PLAYABLE = [*filter(_playable, TASKS), "ManySegmentSwimmer_2x1", "ManySegmentAnt_3x1"]


def _raw_actions(game: Any, numbers: np.ndarray) -> dict[str, np.ndarray]:
    """What the agents do, in a row -> the package's dictionary."""
    sizes = [game.action_space(agent).shape[0] for agent in game.possible_agents]
    split = np.split(numbers.astype(np.float32), np.cumsum(sizes)[:-1])
    return dict(zip(game.possible_agents, split, strict=True))


def _assert_same(env: Any, team: dict[str, np.ndarray], game: Any, raw: dict[str, Any]) -> None:
    assert team[OBS].dtype == team[STATE].dtype == np.float32
    for row, agent in zip(team[OBS], game.possible_agents, strict=True):
        size = raw[agent].size
        np.testing.assert_array_equal(row[:size], raw[agent].astype(np.float32))
        assert not row[size:].any()  # the padding
    np.testing.assert_array_equal(team[STATE], game.state().astype(np.float32))


@needs_mamujoco
@pytest.mark.parametrize("agent_obsk", [0, 2])
@pytest.mark.parametrize("task", PLAYABLE)
def test_the_robot_is_the_package_s_under_the_same_actions(task: str, agent_obsk: int) -> None:
    env = MAMuJoCoEnv(task, agent_obsk=agent_obsk, n_actions=2, max_episode_steps=40)
    game = make_game(task, agent_obsk, 40)
    rng = np.random.default_rng(0)
    obs, _ = env.reset(seed=3)
    raw, _ = game.reset(seed=3)
    for _ in range(100):
        _assert_same(env, obs[TEAM], game, raw)
        actions = rng.integers(obs[TEAM][ACTION_MASK].sum(axis=1))
        obs, rewards, terminateds, truncateds, infos = env.step({TEAM: actions})
        raw, raw_rewards, ends, limits, _ = game.step(_raw_actions(game, env._actions(actions)))
        assert [rewards[TEAM]] * env.n_agents == list(raw_rewards.values())
        assert infos[TEAM][AGENT_REWARDS].tolist() == [np.float32(rewards[TEAM])] * env.n_agents
        assert terminateds[TEAM] == ends["agent_0"]
        assert truncateds[TEAM] == (limits["agent_0"] and not ends["agent_0"])
        if terminateds[ALL] or truncateds[ALL]:
            _assert_same(env, obs[TEAM], game, raw)
            obs, _ = env.reset()
            raw, _ = game.reset()


@needs_mamujoco
@pytest.mark.parametrize("task", ["Hopper_3x1", "Walker2d_6x1", "Ant_8x1", "Humanoid_9|8"])
def test_the_gather_clips_where_the_package_does(task: str) -> None:
    """Random play hardly reaches the bounds: set velocities and forces beyond them."""
    env = MAMuJoCoEnv(task, n_actions=2)
    env.reset(seed=0)
    data = env.game.single_agent_env.unwrapped.data
    rng = np.random.default_rng(1)
    for name in ("qvel", "cfrc_ext", "cinert", "cvel", "qfrc_actuator"):
        array = getattr(data, name)
        array[...] = rng.normal(0, 30, array.shape)
    expected = [row.astype(np.float32) for row in env.game._get_obs().values()]
    for row, wanted in zip(env._gather(), expected, strict=True):
        np.testing.assert_array_equal(row[: wanted.size], wanted)


SIZES = {  # N, observations from .. to, S
    "Ant_8x1": (8, 32, 35, 105),
    "HalfCheetah_6x1": (6, 9, 11, 17),
    "Hopper_3x1": (3, 9, 9, 11),
    "Walker2d_6x1": (6, 9, 11, 17),
}


@needs_mamujoco
@pytest.mark.parametrize("task", TABLE_9)
def test_the_paper_s_tasks_have_table_9_s_joints_one_agent_each(task: str) -> None:
    env = MAMuJoCoEnv(task)
    n_agents, shortest, longest, state_size = SIZES[task]
    sizes = [env.game.observation_space(agent).shape[0] for agent in env.game.possible_agents]
    assert (env.n_agents, min(sizes), max(sizes)) == (n_agents, shortest, longest)
    assert (env.obs_size, env.state_size, env.n_actions) == (longest, state_size, 5)
    # The joint that each agent moves, by the robot's own file.
    model = env.game.single_agent_env.unwrapped.model
    order = np.argsort(env._actuators)  # the actuator of each agent
    joints = [model.joint(int(model.actuator_trnid[i, 0])).name for i in order]
    if task == "Ant_8x1":  # the file counts from 1 and calls the legs by their place
        joints = [joint.replace("_", "") for joint in joints]
    assert tuple(joints) == TABLE_9[task]


@needs_mamujoco
def test_an_action_moves_its_own_joint_by_equal_steps() -> None:
    env = MAMuJoCoEnv("Hopper_3x1", n_actions=5)
    env.reset(seed=0)
    env.step({TEAM: np.array([0, 3, 4])})
    control = env.game.single_agent_env.unwrapped.data.ctrl
    assert control.tolist() == [-1, 0.5, 1]
    env = MAMuJoCoEnv("Ant_8x1", n_actions=3)
    env.reset(seed=0)
    env.step({TEAM: np.array([2, 1, 1, 0, 1, 1, 1, 1])})  # hip4 forward, ankle1 back
    model = env.game.single_agent_env.unwrapped.model
    control = env.game.single_agent_env.unwrapped.data.ctrl
    moved = {model.joint(int(model.actuator_trnid[i, 0])).name: control[i] for i in range(8)}
    assert {name: value for name, value in moved.items() if value} == {"hip_4": 1, "ankle_1": -1}


@needs_mamujoco
def test_falling_is_an_end_and_the_limit_is_none() -> None:
    env = MAMuJoCoEnv("Hopper_3x1")
    env.reset(seed=0)
    steps = 0
    while True:
        steps += 1
        _, _, terminateds, truncateds, _ = env.step({TEAM: np.array([4, 0, 4])})
        if terminateds[ALL] or truncateds[ALL]:
            break
    assert terminateds[ALL] and not truncateds[ALL]
    assert steps < 200
    # The same fall on the last permitted step has still terminated; one step less is truncated.
    for limit, terminated in ((steps, True), (steps - 1, False)):
        env = MAMuJoCoEnv("Hopper_3x1", max_episode_steps=limit)
        env.reset(seed=0)
        for _ in range(limit):
            _, _, terminateds, truncateds, _ = env.step({TEAM: np.array([4, 0, 4])})
        assert terminateds == {TEAM: terminated, ALL: terminated}
        assert truncateds == {TEAM: not terminated, ALL: not terminated}


@needs_mamujoco
@pytest.mark.parametrize(("task", "limit"), [("HalfCheetah_6x1", 1000), ("Reacher_2x1", 50)])
def test_without_a_limit_of_its_own_a_task_has_the_registered_one(task: str, limit: int) -> None:
    env = MAMuJoCoEnv(task)
    env.reset(seed=0)
    for step in range(1, limit + 1):
        _, _, terminateds, truncateds, _ = env.step({TEAM: np.zeros(env.n_agents, int)})
        assert truncateds[ALL] == (step == limit)
        assert not terminateds[ALL]


@needs_mamujoco
@pytest.mark.parametrize("task", ["Ant_8x1", "HalfCheetah_6x1"])
def test_seeds_repeat_whatever_was_played_before(task: str) -> None:
    def play(env: Any, seed: int | None, steps: int) -> list[np.ndarray]:
        obs, _ = env.reset(seed=seed)
        seen = [obs[TEAM][STATE]]
        for t in range(steps):
            obs, *_ = env.step({TEAM: np.arange(t, t + env.n_agents) % env.n_actions})
            seen.append(obs[TEAM][STATE])
        return seen

    first, second = MAMuJoCoEnv(task), MAMuJoCoEnv(task)
    play(second, 9, 30)
    np.testing.assert_array_equal(play(first, 5, 20), play(second, 5, 20))
    starts = {tuple(play(first, seed, 0)[0]) for seed in (1, 2, None, None)}
    assert len(starts) == 4


@needs_mamujoco
@pytest.mark.parametrize("task", PLAYABLE)
def test_the_largest_agent_is_known_without_the_package(task: str) -> None:
    sizes = [len(part) for part in make_game(task, 0, None).agent_action_partitions]
    assert max(sizes) == parse_task(task).most_joints


@needs_mamujoco
@pytest.mark.parametrize("task", PLAYABLE)
def test_observations_have_the_same_order_in_every_process(task: str) -> None:
    """The package sorts joints by label; those of one label (Pusher's) would come by address."""
    for joints in make_game(task, 2, None).k_dicts:
        for at_distance in joints.values():
            labels = [joint.label for joint in at_distance]
            assert labels == sorted(labels)
            # Two of one label stand for the same joint (ManySegmentAnt has copies).
            by_label = dict(zip(labels, at_distance, strict=True))
            assert [by_label[joint.label].qpos_ids for joint in at_distance] == [
                joint.qpos_ids for joint in at_distance
            ]


@needs_mamujoco
def test_pusher_s_arm_is_observed_from_the_shoulder_on() -> None:
    layout = [
        [[joint.qpos_ids for joint in at_distance] for at_distance in joints.values()]
        for joints in make_game("Pusher_3p", 1, None).k_dicts
    ]
    assert layout == [[[0, 1, 2], [3]], [[3], [2, 4]], [[4, 5, 6], [3]]]


@needs_mamujoco
def test_nothing_is_written_where_one_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for task in ("HalfCheetah_6x1", "ManySegmentAnt_2x3"):
        MAMuJoCoEnv(task, n_actions=2).reset(seed=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"task": "Hoper_3x1"}, 'nearest: "Hopper_3x1"'),
        ({"task": "Hopper_4x1"}, 'nearest: "Hopper_3x1"'),
        ({"task": "Ant"}, "all: Ant_8x1"),
        ({"task": "ManySegmentSwimmer_ten"}, "segments of each"),
        ({"task": "ManySegmentSwimmer_1x1"}, "has 1 segments"),
        ({"task": "ManySegmentAnt_0x3"}, "has 0 segments"),
        ({"n_actions": 1}, "must be 2 or more"),
        ({"agent_obsk": -1}, "must be 0 or more"),
        ({"max_episode_steps": 0}, "must be 1 or more"),
        ({"task": "Humanoid_9|8"}, "1953125 combinations"),
        ({"task": "Ant_2x4", "n_actions": 9}, "6561 combinations"),
    ],
)
def test_mistakes_are_answered_before_mujoco_is_imported(config: Any, words: str) -> None:
    with pytest.raises(EnvConfigError) as caught:
        env_registry.validate("mamujoco", config)
    assert words in str(caught.value)


@needs_mamujoco
def test_numbers_are_checked_once_no_search_space_is_left() -> None:
    env_registry.validate("mamujoco", {"task": "Humanoid_9|8", "n_actions": {"grid_search": [2]}})
    env_registry.validate("mamujoco", {"task": "Humanoid_9|8", "n_actions": 2})
    with pytest.raises(EnvConfigError, match="19683 combinations"):
        env_registry.validate("mamujoco", {"task": "Humanoid_9|8", "n_actions": 3})


def test_checking_imports_neither_mujoco_nor_rllib() -> None:
    code = (
        "import sys, env_registry\n"
        "from env_registry.tasks.mamujoco import check_config, check_task\n"
        "check_task('Ant_8x1')\n"
        "check_config({'task': 'Ant_2x4', 'n_actions': 5})\n"
        "heavy = {'mujoco', 'gymnasium_robotics', 'pettingzoo', 'ray.rllib', 'torch'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("version", "plays"), [("3.3.7", True), ("3.6.0", False), ("4.0.0", False)]
)
def test_the_coupled_cheetah_needs_an_older_mujoco(
    version: str, plays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: version)
    if plays:
        check_task("CoupledHalfCheetah_1p1")
        return
    with pytest.raises(TaskError, match='pip install "mujoco<3.6"'):
        check_task("CoupledHalfCheetah_1p1")
