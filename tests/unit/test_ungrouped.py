"""The environments agent by agent: the team's own game, in the form RLlib's PPO takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ray.rllib.utils.pre_checks.env import check_multiagent_environments

import env_registry
from env_registry import ENVIRONMENTS, EnvConfigError
from env_registry.contract import (
    ACTION_MASK,
    AGENT_ID,
    ALL,
    OBS,
    STATE,
    TEAM,
    ContractError,
    UngroupedEnv,
    as_grouped_env,
)
from env_registry.registry import _Creator


def legal(rng: np.random.Generator, observations: dict) -> dict[str, int]:
    """A random legal action for each agent."""
    return {
        agent: int(rng.choice(np.flatnonzero(seen[ACTION_MASK])))
        for agent, seen in observations.items()
    }


def marked(name: str) -> Any:
    """Those on JAX compile first."""
    slow = [pytest.mark.slow] if name in ("smax", "jaxmarl") else []
    return pytest.param(name, marks=slow)


@pytest.mark.parametrize("name", map(marked, ENVIRONMENTS))
def test_the_team_s_game_agent_by_agent(name):
    """Rows, rewards and ends are the team's, for every environment that is installed."""
    there, reason = env_registry.installed(name)
    if not there or reason or name in ("smac", "smacv2"):
        pytest.skip(reason or "needs the game")
    team, env = env_registry.make(name), env_registry.make(name, grouped=False)
    agents = list(team.agent_names)
    assert env.possible_agents == agents == list(env.observation_spaces)
    rng, over, total, own_total = np.random.default_rng(0), False, 0.0, 0.0
    seen, _ = team.reset(seed=1)
    apart, infos = env.reset(seed=1)
    assert set(infos) == set(agents)
    for _ in range(60):
        for i, agent in enumerate(agents):
            assert env.observation_spaces[agent].contains(apart[agent])
            assert (apart[agent][OBS] == seen[TEAM][OBS][i]).all()
            assert (apart[agent][ACTION_MASK] == seen[TEAM][ACTION_MASK][i]).all()
            assert (apart[agent][STATE] == seen[TEAM][STATE]).all()
            assert apart[agent][AGENT_ID].tolist() == np.eye(len(agents))[i].tolist()
        if over:
            break
        actions = legal(rng, apart)
        seen, reward, ended, cut, info = team.step({TEAM: np.array(list(actions.values()))})
        apart, rewards, terminateds, truncateds, infos = env.step(actions)
        total, own_total = total + reward[TEAM], own_total + sum(rewards.values())
        assert list(rewards) == agents and len(set(rewards.values())) == 1
        assert terminateds == dict.fromkeys([*agents, ALL], ended[ALL])
        assert truncateds == dict.fromkeys([*agents, ALL], cut[ALL])
        assert all(infos[agent].get("win") == info[TEAM].get("win") for agent in agents)
        over = ended[ALL] or cut[ALL]
    assert own_total == pytest.approx(total, abs=1e-5)
    env.close()
    team.close()


@pytest.mark.parametrize("name", ["lbf", "two_step", "climbing", "smax", "pettingzoo"])
def test_rays_own_check_passes(name):
    there, reason = env_registry.installed(name)
    if not there:
        pytest.skip(reason)
    env = env_registry.make(name, grouped=False)
    check_multiagent_environments(env)
    env.close()


def last_step(env: UngroupedEnv) -> tuple:
    """The last step of an episode in which nobody does anything."""
    env.reset(seed=0)
    while True:
        step = env.step(dict.fromkeys(env.agents, 0))
        if step[2][ALL] or step[3][ALL]:
            return step


def test_the_time_limit_truncates_or_is_an_end():
    cut = last_step(env_registry.make("lbf", grouped=False, max_episode_steps=3))
    assert cut[3][ALL] and not cut[2][ALL]
    end = last_step(env_registry.make("lbf", grouped=False, max_episode_steps=3, limit_is_end=True))
    assert end[2] == {"agent_0": True, "agent_1": True, ALL: True} and not end[3][ALL]


def test_an_infos_own_reward_is_the_agent_s():
    env = env_registry.make("lbf", grouped=False)
    env.reset(seed=0)
    *_, infos = env.step(dict.fromkeys(env.agents, 0))
    assert infos == {"agent_0": {"agent_reward": 0.0}, "agent_1": {"agent_reward": 0.0}}


def test_what_makes_no_sense_is_refused_in_words():
    with pytest.raises(EnvConfigError, match="'limit_is_end' .* is for grouped: false; for a team"):
        env_registry.validate("lbf", {"limit_is_end": True})
    with pytest.raises(EnvConfigError, match="'grouped' .* is 1, and must be of type bool"):
        env_registry.validate("lbf", {"grouped": 1})
    with pytest.raises(ContractError, match="leave grouped out of env_config"):
        as_grouped_env(env_registry.make("lbf", grouped=False))


def test_slots_in_one_program_are_the_team_s_alone():
    make_vec = _Creator("smax").make_vec
    assert make_vec is not None and make_vec(2, {"grouped": False}) is None
