"""SMAC and SMACv2 on the game that SC2PATH names; skipped where there is none.

Nothing here asks for more than the rules of the game: no test depends on who wins.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import env_registry
from env_registry.contract import ACTION_MASK, ALL, OBS, STATE, TEAM, WIN, EnvFailure, check_env
from env_registry.diagnose import diagnose
from tests.game.game import MARKS, games

pytestmark = MARKS

NO_OP, STOP = 0, 1


@pytest.fixture
def made() -> Iterator[Any]:
    """Makes environments that are closed at the end."""
    environments: list[Any] = []

    def make(name: str, **config: Any) -> Any:
        environments.append(env_registry.make(name, **config))
        return environments[-1]

    yield make
    for env in environments:
        env.close()


def legal(rng: np.random.Generator, obs: Any) -> np.ndarray:
    return np.array([rng.choice(np.flatnonzero(row)) for row in obs[TEAM][ACTION_MASK]])


def play(env: Any, seed: int, steps: int = 10_000) -> list[Any]:
    """What reset and every step returned."""
    rng = np.random.default_rng(seed)
    obs, _ = env.reset(seed=seed)
    came: list[Any] = [obs]
    for _ in range(steps):
        result = env.step({TEAM: legal(rng, obs)})
        came.append(result)
        obs = result[0]
        if result[2][ALL] or result[3][ALL]:
            break
    return came


@pytest.mark.parametrize("race", ["terran", "protoss", "zerg"])
def test_battles_are_played_to_their_end(made: Any, race: str) -> None:
    env = made("smacv2", task=f"{race}_5_units")
    assert env.game_pid is None  # the first reset starts the game
    for seed in range(3):
        _, *steps = play(env, seed)
        *before, last = steps
        assert all(WIN not in step[4][TEAM] for step in before)
        assert last[2][ALL] != last[3][ALL]
        assert isinstance(last[4][TEAM][WIN], bool)
        for _, rewards, _, _, infos in steps:
            shares = infos[TEAM]["agent_rewards"]
            assert shares.sum() == pytest.approx(rewards[TEAM], rel=1e-5)
            assert len(set(shares.tolist())) == 1
        for obs, *_ in steps[-3:]:
            dead = obs[TEAM][ACTION_MASK][:, NO_OP] == 1
            assert (obs[TEAM][ACTION_MASK][dead].sum(axis=1) == 1).all()
            assert (obs[TEAM][ACTION_MASK][~dead, STOP] == 1).all()
    assert env.game_pid in games()


@pytest.mark.parametrize(
    ("name", "config"),
    [("smacv2", {"task": "zerg_5_units"}), ("smac", {"task": "3s_vs_5z"})],
)
def test_new_games_keep_the_contract_and_repeat_their_seed(
    made: Any, name: str, config: dict[str, Any]
) -> None:
    check_env(made(name, exact_seeds=True, **config), episodes=2)


def test_a_seed_repeats_teams_and_places_in_a_running_game(made: Any) -> None:
    env = made("smacv2")
    first, _ = env.reset(seed=5)
    play(env, 6)
    again, _ = env.reset(seed=5)
    other, _ = env.reset(seed=7)
    for key in (OBS, ACTION_MASK, STATE):
        assert np.array_equal(first[TEAM][key], again[TEAM][key])
    assert not np.array_equal(first[TEAM][STATE], other[TEAM][STATE])


def test_environments_beside_each_other_do_not_disturb(made: Any) -> None:
    config = {"exact_seeds": True, "task": "terran_5_units"}
    alone = [play(made("smacv2", **config), seed) for seed in (1, 2)]
    envs = [made("smacv2", **config) for _ in range(2)]
    assert len({play(env, 3, steps=1) is None for env in envs}) == 1
    rngs = [np.random.default_rng(seed) for seed in (1, 2)]
    obs = [env.reset(seed=seed)[0] for env, seed in zip(envs, (1, 2), strict=True)]
    for step in range(1, min(map(len, alone))):  # in turns
        for i, env in enumerate(envs):
            result = env.step({TEAM: legal(rngs[i], obs[i])})
            obs[i] = result[0]
            assert np.array_equal(obs[i][TEAM][STATE], alone[i][step][0][TEAM][STATE])
            assert result[1] == alone[i][step][1]
    assert len({env.game_pid for env in envs}) == 2


def test_a_win_is_worth_the_scale_and_the_time_limit_is_no_end(made: Any) -> None:
    env = made("smac", task="2m_vs_1z", episode_limit=3)
    env.reset(seed=0)
    game = env._game
    assert game.max_reward == 10 + 200 + sum(
        unit.health_max + unit.shield_max for unit in game.enemies.values()
    )
    for over in (False, False, True):
        stop = np.full(env.n_agents, STOP)
        _, _, terminateds, truncateds, infos = env.step({TEAM: stop})
        assert (terminateds[ALL], truncateds[ALL]) == (False, over)
    assert infos[TEAM][WIN] is False


def test_a_forbidden_action_does_not_fail(made: Any) -> None:
    env = made("smac", task="3m")
    env.reset(seed=0)
    assert np.isfinite(env.step({TEAM: np.full(3, NO_OP)})[1][TEAM])  # no-op is for the dead
    assert np.isfinite(env.step({TEAM: np.full(3, env.n_actions - 1)})[1][TEAM])  # out of range


@pytest.mark.parametrize("where", ["step", "reset"])
def test_a_game_that_dies_raises_and_the_next_reset_starts_another(made: Any, where: str) -> None:
    env = made("smacv2")
    play(env, 0, steps=3)
    victim = env.game_pid
    os.kill(victim, signal.SIGKILL)
    with pytest.raises(EnvFailure, match="10gen_terran: .*\n?"):
        if where == "step":
            env.step({TEAM: np.full(5, STOP)})
        else:
            env.reset(seed=1)
    assert len(play(env, 2)) > 1
    assert env.game_pid not in (None, victim)


def test_a_reset_that_hangs_is_ended(made: Any) -> None:
    env = made("smac", task="3m", reset_timeout_s=2.0)
    play(env, 0)
    os.kill(env.game_pid, signal.SIGSTOP)
    with pytest.raises(EnvFailure, match="reset_timeout_s"):
        env.reset(seed=1)
    assert env.game_pid is None
    assert len(play(env, 2)) > 1


def test_fixed_maps_are_reset_where_the_map_puts_everybody_back_at_once(
    made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """smacv2's own reset waits for ever here (its issues 2 and 55)."""
    monkeypatch.setenv("FAKE_SC2_RESPAWN_DELAY", "0")  # the game itself needs no telling
    env = made("smac", task="3m", reset_timeout_s=30.0)
    pids = set()
    for seed in range(4):
        assert len(play(env, seed)) > 1
        pids.add(env.game_pid)
    assert len(pids) == 1


@pytest.mark.parametrize("last_line", ["env.close()", ""])
def test_a_program_that_ends_says_nothing(last_line: str) -> None:
    """Objects are deleted when modules are gone already."""
    code = f"import env_registry\nenv = env_registry.make('smacv2')\nenv.reset(seed=0)\n{last_line}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Exception ignored" not in done.stderr
    assert "Traceback" not in done.stderr


def test_the_check_of_an_installation_passes() -> None:
    findings = list(diagnose("smacv2", {"task": "terran_5_units"}))
    assert [finding for finding in findings if not finding.ok] == []
    assert findings[-1].step == "one episode"
    assert "starcraft2" in findings[-1].detail


def test_the_check_ends_at_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SC2PATH", "/nowhere")
    *_, last = (finding for finding in diagnose("smac") if not finding.ok)
    assert last.step == "game"
    assert "install_smacv2.sh" in last.detail
