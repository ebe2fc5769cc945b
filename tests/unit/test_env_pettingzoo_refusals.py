"""What of PettingZoo cannot be a team, and what env_config gets wrong, is answered in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

import env_registry
from env_registry import EnvConfigError
from env_registry.contract import ContractError

pytest.importorskip("pettingzoo")
pytest.importorskip("mpe2")

from pettingzoo import AECEnv

from env_registry.pettingzoo_env import ParallelTeamEnv, PettingZooEnv
from tests.envs.parallel import FixedLives


class Turns(AECEnv):
    """Agents that take turns: nothing of it is called."""

    metadata = {"name": "turns_v0"}


class Endless(FixedLives):
    """Actions without bounds."""

    def action_space(self, agent: str) -> spaces.Space:
        return spaces.Box(-np.inf, np.inf, (1,))


class Large(FixedLives):
    """A screen for an observation."""

    def observation_space(self, agent: str) -> spaces.Space:
        return spaces.Box(0, 255, (200, 300, 3), np.uint8)


class Text(FixedLives):
    """Words for an observation."""

    def observation_space(self, agent: str) -> spaces.Space:
        return spaces.Sequence(spaces.Discrete(3))


class Short(FixedLives):
    """Observes less than it declares."""

    def observation_space(self, agent: str) -> spaces.Space:
        return spaces.Box(0, 1, (3,))


class Whole(FixedLives):
    """A Box of whole numbers for an action."""

    def action_space(self, agent: str) -> spaces.Space:
        return spaces.Box(0, 3, (1,), np.int64)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ParallelTeamEnv(Turns()), "agents take turns"),
        (lambda: ParallelTeamEnv(Endless({"a": 1})), "lowest and a highest value"),
        (lambda: ParallelTeamEnv(Large({"a": 1})), "180000 numbers"),
        (lambda: ParallelTeamEnv(Text({"a": 1})), "a fixed number of numbers"),
        (lambda: ParallelTeamEnv(Whole({"a": 1})), "floating-point"),
        (lambda: ParallelTeamEnv(Short({"a": 1})).reset(), "observes 2 numbers"),
        (lambda: ParallelTeamEnv(FixedLives({})), "no possible_agents"),
        (lambda: ParallelTeamEnv(object()), "ParallelEnv"),  # type: ignore[arg-type]
        (lambda: ParallelTeamEnv(FixedLives({"a": 1}), state="all"), "state is 'all'"),
        (lambda: ParallelTeamEnv(FixedLives({"a": 1}), team_reward="max"), "team_reward is 'max'"),
        (lambda: PettingZooEnv(env_kwargs={"n": 5}), "unexpected keyword argument 'n'"),
        (lambda: PettingZooEnv(wrappers=["frame_stack_v9"]), "did you mean 'frame_stack"),
        (
            lambda: PettingZooEnv(env_kwargs={"continuous_actions": True}, n_actions=9),
            "59049 combinations",
        ),
    ],
)
def test_what_cannot_be_a_team_is_refused_in_words(make: Any, words: str) -> None:
    with pytest.raises(ContractError) as caught:
        make()
    assert words in str(caught.value)
    assert "remedy:" in str(caught.value)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"task": "mpe2.simple_spred_v3"}, "nearest: mpe2.simple_spread_v3"),
        ({"task": "mpe2.simple_spread_v2"}, "no module"),
        ({"task": "mpe3.simple_spread_v3"}, 'no module "mpe3" installed here'),
        ({"task": "json"}, "none of parallel_env, env, raw_env"),
        ({"task": "json:lods"}, "did you mean loads"),
        ({"task": "simple spread"}, "no import path"),
        ({"n_actions": 1}, "must be 2 or more"),
        ({"max_episode_steps": 0}, "must be 1 or more"),
        ({"wrappers": [5]}, "has the entry 5"),
        ({"wrappers": ["black_death_v3"]}, "agents that die are handled here"),
        ({"wrappers": [{"resize_v1": 20}]}, "must be a mapping"),
        ({"wrappers": "resize_v1"}, "of type list"),
        ({"team_reward": "max"}, "valid: mean, shared, sum"),
    ],
)
def test_mistakes_are_answered_before_anything_is_built(config: Any, words: str) -> None:
    with pytest.raises(EnvConfigError) as caught:
        env_registry.validate("pettingzoo", config)
    assert words in str(caught.value)


def test_a_module_whose_import_fails_says_why(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_more.py").write_text("import not_there_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EnvConfigError, match="No module named 'not_there_at_all'"):
        env_registry.validate("pettingzoo", {"task": "needs_more"})


def test_supersuit_s_black_death_ends_both_ways_and_late() -> None:
    """Why it is refused; if it is ever corrected, this says so."""
    supersuit = pytest.importorskip("supersuit")
    game = supersuit.black_death_v3(FixedLives({"a": 1, "b": 2}))
    game.reset()
    flags = []
    while game.agents:
        *_, ends, limits, _ = game.step(dict.fromkeys(game.agents, 0))
        flags.append((any(ends.values()), any(limits.values())))
    assert flags == [(False, False), (False, False), (True, True)]
