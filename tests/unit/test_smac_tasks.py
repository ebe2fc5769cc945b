"""SMAC and SMACv2 without the game: tasks, tables, which game plays, what is said."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

import env_registry
from env_registry import ENVIRONMENTS, EnvConfigError
from env_registry.errors import TaskError
from env_registry.starcraft2 import backend, install, make
from env_registry.tasks.starcraft2 import (
    RACES,
    SMAC_MAPS,
    Scenario,
    capability_config,
    check_smac,
    parse_smacv2,
    smacv2_tasks,
)

NO_GAME = "no StarCraft II in /nowhere: install it"
NO_SMAX = "environment 'smax' needs jaxmarl, not installed here"


@pytest.mark.parametrize(
    ("task", "scenario"),
    [
        ("terran_5_units", Scenario("terran", 5, 5)),
        ("protoss_20_units", Scenario("protoss", 20, 20)),
        ("zerg_10_vs_11", Scenario("zerg", 10, 11)),
        ("10gen_terran_20_vs_23", Scenario("terran", 20, 23)),
        ("zerg_5_vs_5", Scenario("zerg", 5, 5)),
    ],
)
def test_a_task_names_race_and_sizes(task: str, scenario: Scenario) -> None:
    assert parse_smacv2(task) == scenario
    assert scenario.map_name == f"10gen_{scenario.race}"


def test_the_listed_tasks_are_the_published_ones() -> None:
    tasks = smacv2_tasks()
    assert tasks[:3] == ("terran_5_units", "protoss_5_units", "zerg_5_units")
    assert len(tasks) == 15
    sizes = {parse_smacv2(task)[1:] for task in tasks}
    assert sizes == {(5, 5), (10, 10), (10, 11), (20, 20), (20, 23)}
    assert set(ENVIRONMENTS["smacv2"].tasks) == set(tasks)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("teran_5_units", "nearest: terran_5_units"),
        ("terran_5", "RACE_N_units or RACE_N_vs_M"),
        ("orc_5_units", "terran, protoss, zerg"),
        ("terran_0_units", "outside 1 to 50"),
        ("terran_5_vs_99", "outside 1 to 50"),
    ],
)
def test_a_task_that_does_not_exist_is_answered_in_words(task: str, words: str) -> None:
    with pytest.raises(TaskError, match=words):
        parse_smacv2(task)
    with pytest.raises(EnvConfigError, match=words):
        env_registry.validate("smacv2", {"task": task})


@pytest.mark.parametrize("name", ["2s3z", "3s5z", "3s5z_vs_3s6z"])
def test_maps_that_smacv2_cannot_play_are_refused(name: str) -> None:
    with pytest.raises(EnvConfigError, match="IndexError"):
        env_registry.validate("smac", {"task": name})


def test_a_misspelt_map_is_answered_with_the_nearest() -> None:
    with pytest.raises(TaskError, match="did you mean '5m_vs_6m'"):
        check_smac("5m_v_6m")
    for name in SMAC_MAPS:
        check_smac(name)


def test_the_teams_are_table_7() -> None:
    table = {
        "protoss": {"stalker": 0.45, "zealot": 0.45, "colossus": 0.1},
        "terran": {"marauder": 0.45, "marine": 0.45, "medivac": 0.1},
        "zerg": {"zergling": 0.45, "hydralisk": 0.45, "baneling": 0.1},
    }
    assert {race: dict(zip(*units[:2], strict=True)) for race, units in RACES.items()} == table


def test_the_options_are_table_8() -> None:
    table = {
        "obs_pathing_grid": False,
        "debug": False,
        "obs_instead_of_state": False,
        "obs_all_health": True,
        "conic_fov": False,
        "heuristic_ai": False,
        "obs_own_health": True,
        "reward_scale": True,
        "reward_scale_rate": 20,
        "reward_win": 200,
        "reward_death_value": 10,
        "difficulty": "7",
    }
    for name in ("smacv2", "smac"):
        options = ENVIRONMENTS[name].options
        assert {key: options[key].default for key in table} == table
    death = ENVIRONMENTS["smacv2"].options
    assert death["reward_death_value"].default * death["reward_negative_scale"].default == 5


def test_parts_of_the_capability_config_are_merged_in() -> None:
    scenario = Scenario("terran", 5, 6)
    config = capability_config(
        scenario, {"team_gen": {"weights": [1, 0, 0]}, "start_positions": None}
    )
    assert (config["n_units"], config["n_enemies"]) == (5, 6)
    assert config["team_gen"]["weights"] == [1, 0, 0]
    assert config["team_gen"]["unit_types"] == ["marine", "marauder", "medivac"]
    assert "start_positions" not in config
    assert capability_config(scenario)["team_gen"]["weights"] == [0.45, 0.45, 0.1]  # a copy


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"teams": {}}, "no part 'teams'; valid: team_gen"),
        ({"team_gen": 1}, "must be a mapping"),
        ({"team_gen": None}, "needs 'team_gen'"),
        ({"team_gen": {"weights": [0.5, 0.5]}}, "one probability for each"),
        ({"team_gen": {"weights": [0.5, 0.5, 0.5]}}, "sum to 1"),
        ({"team_gen": {"unit_types": ["marine", "tank", "medivac"]}}, "unknown unit type 'tank'"),
        ({"team_gen": {"weights": [0, 0, 1]}}, "drawing would never end"),
        ({"attack": {"observe": True}}, "no dist_type"),
    ],
)
def test_a_capability_config_that_cannot_work_is_answered_in_words(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(EnvConfigError, match=words):
        _validate_with_game({"capability_config": changes})


def _validate_with_game(config: dict[str, Any]) -> None:
    """As where StarCraft II is installed with its maps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(install, "problem", lambda: "")
        patch.setattr(install, "maps_problem", lambda files: "")
        env_registry.validate("smacv2", config)


def test_the_options_agree_with_smacv2() -> None:
    """Every default is smacv2's own, but for what the published SMACv2 configuration sets."""
    pytest.importorskip("smacv2", reason="needs smacv2")
    from smacv2.env import StarCraft2Env

    own = {"task", "backend", "episode_limit", "reward_scale_by", "exact_seeds", "reset_timeout_s"}
    theirs = inspect.signature(StarCraft2Env.__init__).parameters
    for name in ("smac", "smacv2"):
        options = ENVIRONMENTS[name].options
        shared = {key: option.default for key, option in options.items() if key not in own}
        shared.pop("capability_config", None)
        changed = {key for key, value in shared.items() if value != theirs[key].default}
        assert changed == (set() if name == "smac" else {"obs_own_pos", "use_unit_ranges"})


# Which game plays.


@pytest.mark.parametrize(
    ("config", "no_game", "no_smax", "game"),
    [
        ({}, "", "", "starcraft2"),
        ({}, "", NO_SMAX, "starcraft2"),
        ({}, NO_GAME, "", "smax"),
        ({"backend": "smax"}, "", "", "smax"),
        ({"backend": "starcraft2"}, "", "", "starcraft2"),
    ],
)
def test_which_game_plays(
    monkeypatch: pytest.MonkeyPatch,
    config: dict[str, str],
    no_game: str,
    no_smax: str,
    game: str,
) -> None:
    monkeypatch.setattr(install, "problem", lambda: no_game)
    monkeypatch.setattr(backend, "smax_problem", lambda: no_smax)
    assert backend.choose(config) == game
    there, instead = env_registry.installed("smacv2")
    assert there and instead == ("SMAX instead: " + NO_GAME if no_game else "")


@pytest.mark.parametrize(
    ("config", "no_smax", "words"),
    [
        ({}, NO_SMAX, "StarCraft II: .*install it\n.*SMAX instead: .*jaxmarl"),
        ({"backend": "starcraft2"}, "", "backend starcraft2 .*install it"),
        ({"task": "terran_10_vs_11"}, "", "no 10 against 11, only 5 against 5"),
        ({"task": "zerg_10_vs_11", "backend": "smax"}, "", "backend smax cannot play"),
        ({"difficulty": "A", "backend": "smax"}, "", "does not take difficulty"),
    ],
)
def test_what_cannot_be_played_is_answered_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, config: dict[str, str], no_smax: str, words: str
) -> None:
    monkeypatch.setattr(install, "problem", lambda: NO_GAME)
    monkeypatch.setattr(backend, "smax_problem", lambda: no_smax)
    with pytest.raises(TaskError, match=words):
        backend.check_smacv2_config(config)


def test_playing_another_game_is_said_once_and_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "problem", lambda: NO_GAME)
    monkeypatch.setattr(backend, "smax_problem", lambda: "")
    line = env_registry.notice("smacv2", {"difficulty": "A"})
    assert line.startswith("NOT STARCRAFT II")
    assert "smacv2_5_units on SMAX" in line and "without effect: difficulty" in line
    assert "8 battles at once or more" in line
    assert "\n" not in line
    assert env_registry.notice("smacv2", {"backend": "smax"}) == ""  # the user's own choice
    assert env_registry.stand_in("smacv2") == "smax"  # which folders are called after
    assert env_registry.notice("lbf") == env_registry.stand_in("lbf") == ""
    monkeypatch.setattr(install, "problem", lambda: "")
    assert env_registry.notice("smacv2") == env_registry.stand_in("smacv2") == ""


@pytest.mark.parametrize(
    ("no_game", "env_config", "asked_for", "played"),
    [
        (NO_GAME, {}, 1, 8),  # a number that was set for StarCraft II
        (NO_GAME, {"task": "zerg_10_units"}, 16, 16),
        (NO_GAME, {"backend": "smax"}, 1, 1),  # one that was set for SMAX
        (NO_GAME, {"task": "terran_10_vs_11"}, 1, 1),  # which nothing here can play
        ("", {}, 1, 1),
    ],
)
def test_as_many_battles_as_pay_where_smax_stands_in(
    monkeypatch: pytest.MonkeyPatch,
    no_game: str,
    env_config: dict[str, Any],
    asked_for: int,
    played: int,
) -> None:
    from rllib_mmsa import QMIXConfig

    monkeypatch.setattr(install, "problem", lambda: no_game)
    monkeypatch.setattr(backend, "smax_problem", lambda: "")
    config = QMIXConfig().environment("smacv2", env_config=env_config)
    config.num_envs_per_env_runner = config.evaluation_num_envs = asked_for
    config.validate()
    assert config.num_envs_per_env_runner == played
    assert config.get_evaluation_config_object().num_envs_per_env_runner == played


@pytest.mark.parametrize("maker", ["make_smacv2", "make_smacv2_slots"])
def test_the_game_is_chosen_once_for_an_environment(
    monkeypatch: pytest.MonkeyPatch, maker: str
) -> None:
    """Looking for the game reads folders and packages: not for each environment twice."""
    pytest.importorskip("jaxmarl")
    asked: list[Any] = []
    monkeypatch.setattr(install, "problem", lambda: NO_GAME)
    monkeypatch.setattr(backend, "choose", lambda config: asked.append(config) or "smax")
    made = getattr(make, maker)(**({"num_envs": 2} if maker.endswith("slots") else {}))
    assert len(asked) == 1
    assert (made if maker == "make_smacv2" else made.envs[1]).backend == "smax"


# What is installed.


def test_the_installation_is_looked_through(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SC2PATH", str(tmp_path / "StarCraftII"))
    assert "SC2PATH says so" in install.game_problem()
    (tmp_path / "StarCraftII").mkdir()
    assert "no Versions/Base" in install.game_problem()
    for build in (75689, 55958):
        (tmp_path / f"StarCraftII/Versions/Base{build}").mkdir(parents=True)
    assert install.game_problem() == ""
    assert install.builds(install.game_folder()) == [75689, 55958]
    maps = tmp_path / "StarCraftII" / install.MAP_FOLDER
    maps.mkdir(parents=True)
    (maps / "3m.SC2Map").touch()
    assert install.maps_problem(("3m",)) == ""
    assert "no map 8m" in install.maps_problem(("3m", "8m"))


def test_the_game_is_not_there_without_its_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SC2PATH", str(tmp_path / "none"))
    there, reason = env_registry.installed("smac")
    assert not there and "install_smacv2.sh" in reason
    with pytest.raises(EnvConfigError, match="'smac'"):
        env_registry.validate("smac")
