"""What environments say of their observations is what the game's own state says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import env_registry
from env_registry.contract import (
    ACTION_MASK,
    OBS,
    TEAM,
    ContractError,
    Entity,
    GroupedEnv,
    as_grouped_env,
    check_env,
    checked_layout,
    find_layout,
)
from env_registry.toy import CounterEnv
from rllib_mmsa.method.kinds import places_of

pytest.importorskip("lbforaging")


def things(env: Any, obs: np.ndarray) -> tuple[list[str], np.ndarray, list[np.ndarray]]:
    """The kinds of the places (P,), whether one is there (N, P), and each place's numbers."""
    layout = checked_layout(env)
    places = places_of(layout, env.obs_size)
    there = places.present(places.pick(torch.from_numpy(obs))).numpy()
    return [e.kind for e in layout], there, [obs[:, e.start : e.start + e.size] for e in layout]


def unscaled(env: Any, numbers: np.ndarray, start: int) -> np.ndarray:
    """A place's numbers of Level-Based Foraging in the game's units."""
    if env._low is None:
        return numbers
    size = numbers.shape[-1]
    return numbers / env._inverse_range[start : start + size] + env._low[start : start + size]


def near(game: Any, me: Any, cell: Any, ahead: int) -> np.ndarray | None:
    """Where a player sees a cell, counted from the corner of its view; None where it does not."""
    corner = np.maximum(np.array(me.position) - game.sight, 0)
    seen = np.array(cell) - corner
    last = 2 * game.sight if ahead else np.array(me.position) + game.sight - corner
    return seen if (seen >= 0).all() and (seen <= last).all() else None


def compare(env: Any, obs: np.ndarray) -> int:
    """Compares what players see with the field; how many players do not see one another."""
    game, layout, hidden = env._game, checked_layout(env), 0
    kinds, there, numbers = things(env, obs)
    of = {kind: [p for p, each in enumerate(kinds) if each == kind] for kind in set(kinds)}
    for i, me in enumerate(game.players):
        cells = [(near(game, me, cell, 0), game.field[tuple(cell)])
                 for cell in np.argwhere(game.field)]  # fmt: skip
        foods = [(*map(float, seen), float(level)) for seen, level in cells if seen is not None]
        shown = [tuple(unscaled(env, numbers[p][i], layout[p].start).round(3)) for p in of["food"]]
        assert [food for p, food in zip(of["food"], shown, strict=True) if there[i, p]] == foods
        others = [near(game, me, other.position, 1) for other in game.players if other is not me]
        absent = sum(other is None for other in others)
        assert (~there[i, of["player"]]).sum() == absent
        hidden += absent
        [own] = of["self"]
        assert there[i, own]
        position = unscaled(env, numbers[own][i], layout[own].start)[:2]
        assert position == pytest.approx(near(game, me, me.position, 1), abs=1e-3)
    return hidden


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("8x8-2p-2f-v2", {}),
        ("8x8-2p-2f-v2", {"scale_observations": False}),
        ("2s-8x8-2p-2f-coop-v2", {}),
        ("2s-10x10-3p-3f-v2", {"observe_agent_levels": False}),
        ("10x10-3p-5f-v2", {"scale_observations": False, "observe_agent_levels": False}),
    ],
)
def test_foraging_shows_what_is_on_the_field(task: str, options: dict[str, Any]) -> None:
    env = env_registry.make("lbf", task=task, mask_invalid_actions=True, **options)
    rng, eaten, hidden = np.random.default_rng(1), 0, 0
    covered = sorted(i for e in checked_layout(env) for i in range(e.start, e.start + e.size))
    assert covered == list(range(env.obs_size)), "every number is of one thing"
    for episode in range(20):
        obs, _ = env.reset(seed=episode)
        over, foods = False, env._game.field.any() * env._game.max_num_food
        while not over:
            hidden += compare(env, obs[TEAM][OBS])
            obs, over = forage(env, obs, rng)
            eaten += foods - (env._game.field > 0).sum()
            foods = (env._game.field > 0).sum()
    assert eaten > 0 and (hidden > 0) == task.startswith("2s")


def forage(env: Any, obs: Any, rng: np.random.Generator) -> tuple[Any, bool]:
    """A random step, in which everybody beside a food loads it; and whether it was the last."""
    mask = obs[TEAM][ACTION_MASK]
    actions = np.where(mask[:, 5], 5, (rng.random(mask.shape) * mask).argmax(-1))
    obs, _, ended, cut, _ = env.step({TEAM: actions})
    return obs, ended[TEAM] or cut[TEAM]


def test_a_food_that_is_eaten_vanishes_and_players_move() -> None:
    env = env_registry.make("lbf", task="5x5-2p-1f-v2", mask_invalid_actions=True)
    rng, vanished, moved = np.random.default_rng(0), 0, 0
    for seed in range(30):
        obs, _ = env.reset(seed=seed)
        over = False
        while not over:
            before, where = obs[TEAM][OBS], [p.position for p in env._game.players]
            obs, over = forage(env, obs, rng)
            _, was, old = things(env, before)
            _, there, new = things(env, obs[TEAM][OBS])
            assert (was[:, 0] & ~there[:, 0]).all() == (not env._game.field.any())
            vanished += not there[0, 0]
            for i, player in enumerate(env._game.players):
                changed = not np.array_equal(old[1][i], new[1][i])  # oneself
                assert changed == (player.position != where[i])
                moved += changed
    assert vanished > 0 and moved > 0


def test_grids_and_conic_views_are_of_no_things() -> None:
    assert find_layout(env_registry.make("lbf", task="grid-2s-8x8-2p-2f-v2")) is None
    assert find_layout(CounterEnv()) is None


@pytest.mark.slow  # compiling
def test_units_that_die_vanish() -> None:
    pytest.importorskip("jaxmarl")
    env = env_registry.make("smax", task="3m")
    from tests.envs.battles import attack

    deaths = 0
    for seed in range(3):
        obs, _ = env.reset(seed=seed)
        over = False
        while not over:
            kinds, there, numbers = things(env, obs[TEAM][OBS])
            assert kinds == ["ally"] * 2 + ["enemy"] * 3 + ["self"]
            units = env.units()
            alive, places = units["unit_alive"], units["unit_positions"]
            sight = np.asarray(env.game.env.unit_type_sight_ranges)[units["unit_types"]]
            for i in range(3):
                others = [j for j in range(6) if j != i]
                close = np.linalg.norm(places[others] - places[i], axis=-1) < sight[i]
                assert there[i, :5].tolist() == (close & alive[others] & alive[i]).tolist()
                assert there[i, 5] == alive[i]
                health = units["unit_health"][i] * alive[i]
                full = np.asarray(env.game.env.unit_type_health)[units["unit_types"][i]]
                assert numbers[5][i, 0] == pytest.approx(health / full, abs=1e-5)
            deaths += int((~alive).sum())
            obs, _, ended, cut, _ = env.step({TEAM: attack(obs[TEAM][ACTION_MASK])})
            over = ended[TEAM] or cut[TEAM]
    assert deaths > 0


# StarCraft II: smacv2's own observation of units that are only made up here; no game runs.


def battle(**settings: Any) -> Any:
    """smacv2's environment with five marines against five, at places of one's own."""
    pytest.importorskip("smacv2")
    from smacv2.env.starcraft2.starcraft2 import StarCraft2Env

    sizes = {"n_units": 5, "n_enemies": 5, "observe": True}
    game = StarCraft2Env("10gen_terran", capability_config={"team_gen": sizes}, **settings)
    legal = [1] * game.get_total_actions()
    game.get_avail_agent_actions = game.get_true_avail_agent_actions = lambda agent: legal
    game.unit_sight_range = lambda agent: 9.0
    game.unit_max_shield = lambda unit: 1.0
    game.get_unit_type_id = lambda unit, ally: 0
    game.get_surrounding_pathing = lambda unit: np.ones(game.n_obs_pathing)
    game.get_surrounding_height = lambda unit: np.ones(game.n_obs_height)
    game.map_x = game.map_y = 32
    game.last_action = np.zeros((game.n_agents, game.n_actions))
    game.enemy_tags = dict.fromkeys(range(game.n_enemies))
    game.obs_enemies = np.ones((game.n_enemies, game.n_agents))
    return game


def unit(x: float, health: float = 45) -> SimpleNamespace:
    pos = SimpleNamespace(x=x, y=5.0)
    return SimpleNamespace(health=health, health_max=45, shield=0, pos=pos, unit_type=0)


@pytest.mark.parametrize(
    "settings",
    [
        {"obs_own_pos": True, "obs_pathing_grid": False},
        {"obs_last_action": True, "obs_terrain_height": True, "obs_pathing_grid": True},
        {"obs_all_health": False, "obs_own_health": False, "obs_timestep_number": True},
    ],
)
def test_units_of_starcraft_stand_where_smacv2_puts_them(settings: dict[str, Any]) -> None:
    pytest.importorskip("smacv2")
    from env_registry.starcraft2.layout import obs_layout

    game = battle(**settings)
    game.agents = {i: unit(x) for i, x in enumerate((1.0, 2.0, 3.0, 30.0))} | {4: unit(2.5, 0)}
    game.enemies = {i: unit(x) for i, x in enumerate((4.0, 29.0, 5.0))}
    game.enemies |= {3: unit(6.0, 0), 4: unit(31.0)}
    obs = np.stack(game.get_obs()).astype(np.float32)
    masks = np.ones((game.n_agents, game.n_actions))
    env = SimpleNamespace(
        observation_layout=obs_layout(game), obs_size=obs.shape[1],
        observation_spaces={TEAM: {OBS: obs, ACTION_MASK: masks}},
    )  # fmt: skip
    assert obs.shape[1] == game.get_obs_size()
    kinds, there, _ = things(env, obs)
    enemies, allies = (there[:, [k == kind for k in kinds]] for kind in ("enemy", "ally"))
    assert enemies[0].tolist() == [True, False, True, False, False]
    assert enemies[3].tolist() == [False, True, False, False, True]
    assert allies[0].tolist() == [True, True, False, False]
    assert allies[3].tolist() == [False] * 4
    assert not there[4].any(), "the dead see nothing, not themselves either"
    last = checked_layout(env)[-1]
    assert last.start + last.size == game.get_obs_size() - game.obs_timestep_number
    assert there[:4, [k == "self" for k in kinds]].all()


# Own environments.


class Named(CounterEnv):
    observation_layout = (("place", 0, 1), ("mark", 1, 2, (0, 0)))


def test_plain_tuples_will_do_and_wrappers_hand_them_on() -> None:
    expected = (Entity("place", 0, 1), Entity("mark", 1, 2, (0, 0)))
    assert checked_layout(Named()) == expected
    assert checked_layout(as_grouped_env(Named())) == expected
    from tests.envs.legacy_two_step import make_env

    legacy = make_env({})
    legacy.env.observation_layout = (("place", 0, 1),)
    assert checked_layout(as_grouped_env(legacy)) == (Entity("place", 0, 1),)
    assert isinstance(as_grouped_env(legacy), GroupedEnv)


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ([("place", 0, 99)], "covers the numbers 0 to 98"),
        ([("place", 0, 0)], "covers the numbers 0 to -1"),
        ([("place", -1, 1)], "covers the numbers -1 to -1"),
        ([("mark", 0, 2, (0,))], "has 1 numbers where it is absent"),
        ([("mark", 0, 1, None, 99)], "an entity has the action 99"),
        ([("mark", 0, 1, None, -1)], "an entity has the action -1"),
        ([("mark", 0, 1, None, 1), ("mark", 1, 1, None, 1)], "two entities have the action 1"),
    ],
)
def test_a_layout_that_does_not_fit_is_said_in_words(layout: list, words: str) -> None:
    env = Named()
    env.observation_layout = layout
    with pytest.raises(ContractError, match=words):
        check_env(env)
