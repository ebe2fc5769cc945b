"""Level-Based Foraging: the package's game unchanged, its ids, its ends, its seeds, its picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import env_registry
from env_registry.contract import ACTION_MASK, ALL, OBS, STATE, TEAM
from env_registry.errors import EnvConfigError, TaskError
from env_registry.tasks.lbf import EXAMPLES, parse_task

pytest.importorskip("lbforaging")

from lbforaging.foraging.environment import Action, ForagingEnv

from env_registry.lbf import ForagingGame, LBFEnv

TASKS = [
    "8x8-2p-2f-v3",
    "2s-8x8-2p-2f-coop-v3",
    "10x10-3p-5f-v2",
    "10x10-4p-3f-v2",
    "2s-10x10-3p-3f-v2",
    "1s-6x6-4p-3f-pen-v3",
    "3s-7x7-3p-2f-v3",
]


def _twins(task: str, **options: Any) -> tuple[LBFEnv, ForagingEnv]:
    """The adapter and the package's environment of the same game."""
    env = LBFEnv(task, **options)
    raw = ForagingEnv(max_episode_steps=50, **parse_task(task))
    return env, raw


def _reset_raw(raw: ForagingEnv, seed: int) -> np.ndarray:
    for player in raw.players:
        player.position = None  # as in a new environment; else the last episode shows
    return np.stack(raw.reset(seed=seed)[0])


@pytest.mark.parametrize("task", TASKS)
def test_same_game_as_the_package(task: str) -> None:
    env, raw = _twins(task, mask_invalid_actions=True)
    space = raw.observation_space[0]
    rng = np.random.default_rng(0)

    def compare(obs: dict[str, Any], raw_obs: np.ndarray) -> None:
        scaled = (raw_obs - space.low) / (space.high - space.low)
        np.testing.assert_allclose(obs[TEAM][OBS], scaled, atol=1e-6)
        np.testing.assert_array_equal(obs[TEAM][STATE], obs[TEAM][OBS].ravel())
        valid = [[action in raw._valid_actions[p] for action in Action] for p in raw.players]
        np.testing.assert_array_equal(obs[TEAM][ACTION_MASK], valid)

    for seed in range(6):
        compare(env.reset(seed=seed)[0], _reset_raw(raw, seed))
        over, step = False, 0
        while not over:
            actions = rng.integers(0, 6, env.n_agents)
            obs, rewards, terminateds, truncateds, infos = env.step({TEAM: actions})
            raw_obs, raw_rewards, raw_over, _, _ = raw.step(actions.tolist())
            step += 1
            compare(obs, np.stack(raw_obs))
            assert rewards[TEAM] == pytest.approx(sum(raw_rewards))
            np.testing.assert_allclose(infos[TEAM]["agent_rewards"], raw_rewards, rtol=1e-6)
            over = terminateds[ALL] or truncateds[ALL]
            assert over == raw_over
            assert terminateds[ALL] == (raw.field.sum() == 0)
            assert truncateds[ALL] == (step == 50 and raw.field.sum() > 0)


@pytest.mark.parametrize("levels", [True, False])
def test_unscaled_observations_are_the_packages_own(levels: bool) -> None:
    env = LBFEnv("2s-8x8-3p-3f-v3", scale_observations=False, observe_agent_levels=levels)
    arguments = parse_task("2s-8x8-3p-3f-v3")
    raw = ForagingEnv(max_episode_steps=50, observe_agent_levels=levels, **arguments)
    for seed in range(20):
        obs, _ = env.reset(seed=seed)
        np.testing.assert_array_equal(obs[TEAM][OBS], _reset_raw(raw, seed))


def _spawned_levels(task: str, **options: Any) -> tuple[set[int], set[int], int]:
    """Player levels, food levels seen, and the largest (food - team level)."""
    env = LBFEnv(task, **options)
    players: set[int] = set()
    foods: set[int] = set()
    excess = -99
    for seed in range(200):
        env.reset(seed=seed)
        levels = [player.level for player in env._game.players]
        food = env._game.field[env._game.field > 0].tolist()
        players.update(levels)
        foods.update(food)
        excess = max(excess, max(food) - sum(sorted(levels)[:3]))
    return players, foods, excess


def test_levels_are_those_of_the_ids_version() -> None:
    assert _spawned_levels("8x8-2p-2f-v2") == ({1, 2, 3}, {1, 2, 3, 4, 5, 6}, 0)
    assert _spawned_levels("8x8-2p-2f-v3") == ({1, 2}, {1, 2, 3, 4}, 0)
    # In "coop" games every food needs the whole team.
    assert _spawned_levels("8x8-2p-2f-coop-v3") == ({1, 2}, {2, 3, 4}, 0)


def test_exclusive_levels_are_those_of_lbforaging_1() -> None:
    # 1.x draws below its maximum (3), and no food needs the whole team ...
    exclusive = _spawned_levels("8x8-2p-2f-v2", exclusive_levels=True)
    assert exclusive == ({1, 2}, {1, 2, 3}, -1)
    # ... but in "coop" games every food does.
    coop = _spawned_levels("8x8-2p-2f-coop-v2", exclusive_levels=True)
    assert coop == ({1, 2}, {2, 3, 4}, 0)


def test_all_food_collected_is_a_termination_and_pays_one() -> None:
    env = LBFEnv("5x5-2p-1f-v2")
    env.reset(seed=0)
    game = env._game
    row, col = np.argwhere(game.field)[0].tolist()
    game.players[0].position, game.players[1].position = (row - 1, col), (row + 1, col)
    game._gen_valid_moves()
    _, rewards, terminateds, truncateds, infos = env.step({TEAM: np.array([5, 5])})
    assert rewards[TEAM] == pytest.approx(1.0)
    assert infos[TEAM]["agent_rewards"].sum() == pytest.approx(1.0)
    assert terminateds == {TEAM: True, ALL: True}
    assert truncateds == {TEAM: False, ALL: False}


def test_food_collected_on_the_last_step_is_no_truncation() -> None:
    env = LBFEnv("5x5-2p-1f-v2", max_episode_steps=1)
    env.reset(seed=0)
    _, _, terminateds, truncateds, _ = env.step({TEAM: np.array([0, 0])})
    assert (terminateds[ALL], truncateds[ALL]) == (False, True)
    env.reset(seed=0)
    env._game.field[:] = 0
    _, _, terminateds, truncateds, _ = env.step({TEAM: np.array([0, 0])})
    assert (terminateds[ALL], truncateds[ALL]) == (True, False)


def test_a_seed_repeats_an_episode_whatever_was_played_before() -> None:
    fresh = [LBFEnv("5x5-4p-2f-v2").reset(seed=seed)[0][TEAM][OBS] for seed in range(30)]
    env = LBFEnv("5x5-4p-2f-v2")
    for seed, expected in enumerate(fresh):
        np.testing.assert_array_equal(env.reset(seed=seed)[0][TEAM][OBS], expected)


def test_options_reach_the_game() -> None:
    env = LBFEnv("8x8-2p-2f-v3", max_food_level=1, penalty=0.5, max_episode_steps=7)
    obs, _ = env.reset(seed=0)
    assert obs[TEAM][ACTION_MASK].all()
    assert env._game.penalty == 0.5
    assert set(env._game.field[env._game.field > 0]) == {1}
    for step in range(7):
        _, _, _, truncateds, _ = env.step({TEAM: np.zeros(2, int)})
        assert truncateds[ALL] == (step == 6)


def test_picture_needs_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    env = LBFEnv("8x8-2p-2f-v2")
    env.reset(seed=0)
    picture = env.render()
    assert picture.dtype == np.uint8
    assert picture.shape[0] > 8 * 32 + 1  # a legend stands below the field
    assert picture.shape[1:] == (8 * 32 + 1, 3)
    assert env.render_mode == "rgb_array"
    row, col = env._game.players[0].position
    before = picture[row * 32 + 4, col * 32 + 16].copy()
    env._game.players[0].position = (-5, -5)
    env._game.players[0].position = next(
        (r, c) for r in range(8) for c in range(8) if env._game._is_empty_location(r, c)
    )
    assert not np.array_equal(env.render()[row * 32 + 4, col * 32 + 16], before)


def test_every_id_that_the_package_registers_means_the_packages_arguments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import gymnasium
    import lbforaging

    monkeypatch.setattr(lbforaging, "sizes", range(5, 8))  # all of the grid ids take 20 seconds
    monkeypatch.setattr(lbforaging, "players", range(2, 4))
    lbforaging.register_grid_envs()
    names = [name for name in gymnasium.registry if name.startswith("Foraging-")]
    assert len(names) > 1000
    for name in names:
        registered = {"penalty": 0.0, **gymnasium.registry[name].kwargs}
        assert registered.pop("max_episode_steps") == 50
        parsed = parse_task(name)
        assert parsed == registered, name


def test_v2_ids() -> None:
    task = parse_task("2s-8x8-2p-2f-coop-v2")
    assert task == {
        "players": 2,
        "field_size": (8, 8),
        "max_num_food": 2,
        "sight": 2,
        "force_coop": True,
        "grid_observation": False,
        "min_player_level": 1,
        "max_player_level": 3,
        "min_food_level": 1,
        "max_food_level": None,
        "penalty": 0.0,
    }
    assert parse_task("Foraging-2s-8x8-2p-2f-coop-v2") == task
    assert parse_task("10x10-3p-5f-v2")["sight"] == 10
    assert parse_task("30x30-12p-20f-v2")["players"] == 12
    assert parse_task("grid-3s-9x9-2p-2f-v2")["grid_observation"]
    for example in EXAMPLES:
        parse_task(example)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("8x8-2p-2f-v9", 'nearest: "8x8-2p-2f-v'),
        ("8x8-2p-2f", "grammar"),
        ("8x8-2p2f-v2", '"8x8-2p-2f-v2"'),
        ("8x9-2p-2f-v2", "not square"),
        ("9s-8x8-2p-2f-v2", "sight of 9"),
        ("0s-8x8-2p-2f-v2", "sight of 0"),
        ("8x8-0p-2f-v2", "at least one player"),
        ("3x3-5p-5f-v2", "9 cells"),
        ("2x2-1p-1f-v2", "below 3x3"),
        ("8x8-2p-2f-pen-v2", "v2 had not"),
        ("", "grammar"),
        (7, "grammar"),
        ("8x8-2p-2f-v2 ", "nearest"),
    ],
)
def test_bad_ids_are_answered_in_words(task: Any, words: str) -> None:
    with pytest.raises(TaskError, match=words):
        parse_task(task)


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ({"min_player_level": 5}, "min_player_level is 5, and max_player_level is 3"),
        (
            {"min_food_level": 3, "max_food_level": 2},
            "min_food_level is 3, and max_food_level is 2",
        ),
        ({"min_food_level": 3}, "min_food_level is 3, and the weakest team has level 2"),
    ],
)
def test_levels_that_contradict_each_other_are_answered_in_words(levels: Any, words: str) -> None:
    with pytest.raises(EnvConfigError, match=words):
        env_registry.validate("lbf", levels)
    allowed = {"min_player_level": 2, "min_food_level": 4, "max_food_level": None}
    env_registry.validate("lbf", allowed)
    env = env_registry.make("lbf", **allowed)
    for seed in range(20):
        env.reset(seed=seed)


def test_the_registry_lists_the_papers_tasks() -> None:
    row = env_registry.ENVIRONMENTS["lbf"]
    assert row.default_task in row.tasks
    for task in row.tasks:
        parse_task(task)


def test_the_game_is_the_packages() -> None:
    assert issubclass(ForagingGame, ForagingEnv)
    assert ForagingGame.step is ForagingEnv.step  # the rules are not written again
