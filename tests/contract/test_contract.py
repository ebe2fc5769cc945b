"""Every registered environment follows the contract."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import env_registry
from env_registry.contract import (
    ACTION_MASK,
    OBS,
    STATE,
    TEAM,
    ContractError,
    as_grouped_env,
    check_env,
    concat_state,
    keep_one_legal,
    pad_rows,
)
from env_registry.starcraft2 import install
from env_registry.toy import CounterEnv

CASES: list[Any] = [  # name, env_config
    *((name, {}) for name in env_registry.ENVIRONMENTS if name not in ("smac", "smacv2")),
    # A running StarCraft II goes on with its own dice, so that only a new game repeats a seed.
    ("smac", {"exact_seeds": True}),
    ("smacv2", {"backend": "starcraft2", "exact_seeds": True}),
    (
        "smacv2",
        {
            "backend": "starcraft2",
            "exact_seeds": True,
            "task": "zerg_10_vs_11",
            "conic_fov": True,
        },
    ),
    *(("lbf", {"task": task}) for task in env_registry.ENVIRONMENTS["lbf"].tasks),
    ("lbf", {"task": "Foraging-2s-8x8-2p-2f-coop-v3"}),
    ("lbf", {"task": "6x6-2p-1f-ind-pen-v3"}),
    ("lbf", {"task": "grid-2s-8x8-2p-2f-v2", "observe_agent_levels": False}),
    ("lbf", {"mask_invalid_actions": True}),
    ("lbf", {"scale_observations": False, "observe_agent_levels": False}),
    *(
        ("mamujoco", {"task": task, "max_episode_steps": 100})
        for task in env_registry.ENVIRONMENTS["mamujoco"].tasks
    ),
    ("mamujoco", {"task": "Humanoid_9|8", "n_actions": 2, "agent_obsk": 0}),
    ("mamujoco", {"task": "Pusher_3p", "n_actions": 3, "max_episode_steps": 30}),
    ("pettingzoo", {"task": "mpe2.simple_speaker_listener_v4", "state": "observations"}),
    ("pettingzoo", {"env_kwargs": {"continuous_actions": True}, "n_actions": 2}),
    ("pettingzoo", {"task": "mpe2.simple_world_comm_v3", "team_reward": "mean"}),
    pytest.param(
        "smax",
        {"task": "5m_vs_6m", "observation_type": "conic", "scale_state": False},
        marks=pytest.mark.slow,  # compiling
    ),
    pytest.param(
        *("jaxmarl", {"task": "MPE_simple_speaker_listener_v4"}),
        marks=pytest.mark.slow,  # compiling
    ),
    pytest.param(
        *("jaxmarl", {"task": "overcooked:counter_circuit", "shaped_reward": 0.5}),
        marks=pytest.mark.slow,
    ),
    ("gymnasium", {"env_kwargs": {"msg_bits": 1}, "max_episode_steps": 50}),
    ("counter", {"ends_by": "truncation", "n_agents": 5, "n_actions": 2}),
    ("counter", {"ends_by": "mixed"}),
    ("climbing", {"game": "penalty", "penalty": -100}),
]


@pytest.mark.parametrize(("name", "config"), CASES, ids=str)
def test_registered_environments_follow_the_contract(name: str, config: dict[str, Any]) -> None:
    there, reason = env_registry.installed(name, config.get("task"))
    if not there:
        pytest.skip(reason)
    if config.get("backend") == "starcraft2" and install.problem():
        pytest.skip(install.problem())
    env = env_registry.make(name, **config)
    check_env(env, episodes=3)
    assert as_grouped_env(env) is env
    obs, _ = env.reset(seed=1)
    assert obs[TEAM][OBS].shape == (env.n_agents, env.obs_size)
    assert obs[TEAM][ACTION_MASK].shape == (env.n_agents, env.n_actions)
    assert obs[TEAM][STATE].shape == (env.state_size,)
    env.close()


def test_seeds_differ_and_unseeded_resets_go_on() -> None:
    env = CounterEnv()

    def episode_number(seed: int | None) -> float:
        return float(env.reset(seed=seed)[0][TEAM][STATE][1])

    seeded = [episode_number(seed) for seed in range(5)]
    assert len(set(seeded)) == 5
    assert [episode_number(seed) for seed in range(5)] == seeded
    assert len({episode_number(None) for _ in range(5)}) == 5


def test_helpers_pad_concatenate_and_keep_a_no_op() -> None:
    padded = pad_rows([np.array([1.0, 2.0]), np.array([3.0])], 3)
    assert padded.dtype == np.float32
    assert padded.tolist() == [[1, 2, 0], [3, 0, 0]]
    state = concat_state(padded)
    state[0] = 9
    assert padded[0, 0] == 1  # a copy
    mask = keep_one_legal(np.array([[0, 0], [0, 1]], np.int8))
    assert mask.tolist() == [[1, 0], [0, 1]]


def test_contract_errors_travel_between_processes() -> None:
    error = ContractError("value\n  rule: ...")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_ray_accepts_the_environments() -> None:
    from ray.rllib.utils.pre_checks.env import check_multiagent_environments

    for name in env_registry.ENVIRONMENTS:
        if env_registry.installed(name)[0]:
            env = env_registry.make(name)
            check_multiagent_environments(env)
            env.close()


def test_agents_and_actions_have_names() -> None:
    assert CounterEnv().agent_names == ("agent_0", "agent_1", "agent_2")
    assert CounterEnv().action_names == ()
    if env_registry.installed("lbf")[0]:
        names = ("none", "north", "south", "west", "east", "load")
        assert env_registry.make("lbf").action_names == names
