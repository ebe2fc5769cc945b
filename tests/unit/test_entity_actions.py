"""An action that belongs to a thing of an observation is done to that thing, and to no other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import env_registry
from env_registry.contract import ACTION_MASK, OBS, TEAM, checked_layout, find_layout
from tests.unit.test_observation_layout import things


def assert_attacks_are_of_whom_they_hit(env: Any, seen: Any, units: dict[str, Any]) -> None:
    """An enemy's action is legal just where that enemy, as it is observed, is within reach."""
    layout = checked_layout(env)
    _, there, numbers = things(env, seen[OBS])
    attacks = [p for p, entity in enumerate(layout) if entity.action is not None]
    assert [layout[p].action for p in attacks] == list(range(5, env.n_actions))
    assert {layout[p].kind for p in attacks} == {"enemy"}
    kinds = units["unit_types"][: env.n_agents]
    sight, reach = (
        np.asarray(getattr(env.game.env, f"unit_type_{name}_ranges"))[kinds]
        for name in ("sight", "attack")
    )
    for p in attacks:
        offset = numbers[p][:, 1:3] * sight[:, None]
        within = np.linalg.norm(offset, axis=-1) < reach
        legal = seen[ACTION_MASK][:, layout[p].action]
        assert legal.tolist() == (within & there[:, p]).tolist()


@pytest.mark.slow  # compiling
@pytest.mark.parametrize("task", ["2s3z", "5m_vs_6m", "smacv2_5_units"])
def test_an_attack_hurts_the_enemy_whose_action_it_is(task: str) -> None:
    pytest.importorskip("jaxmarl")
    env = env_registry.make("smax", task=task)
    layout, hit, rng = checked_layout(env), set(), np.random.default_rng(3)
    enemies = [entity for entity in layout if entity.kind == "enemy"]
    for seed in range(6):
        obs, _ = env.reset(seed=seed)
        over = False
        while not over:
            mask = obs[TEAM][ACTION_MASK]
            assert_attacks_are_of_whom_they_hit(env, obs[TEAM], env.units())
            targets = np.flatnonzero(mask[:, 5:].any(0))
            target = 5 + int(rng.choice(targets)) if len(targets) else 1
            before = env.units()["unit_health"][env.n_agents :].copy()
            # All who can attack the one enemy; the others come nearer (east) or stop.
            actions = np.where(mask[:, target] == 1, target, np.where(mask[:, 1] == 1, 1, 4))
            obs, _, ended, cut, _ = env.step({TEAM: actions})
            over = ended[TEAM] or cut[TEAM]
            hurt = np.flatnonzero(env.units()["unit_health"][env.n_agents :] < before)
            for enemy in hurt:
                assert enemies[enemy].action == target, "nobody else is shot at"
                hit.add(int(enemy))
    assert len(hit) > 1


def test_foraging_s_actions_are_done_to_no_thing() -> None:
    pytest.importorskip("lbforaging")
    assert all(entity.action is None for entity in find_layout(env_registry.make("lbf")))


@pytest.mark.parametrize(
    ("map_type", "first"), [("zerg_gen", 8), ("marines", 8), ("terran_gen", None), ("MMM", None)]
)
def test_attacks_of_starcraft_begin_behind_all_other_actions(map_type: str, first: Any) -> None:
    from env_registry.starcraft2.layout import obs_layout

    game = SimpleNamespace(
        obs_starcraft=True, map_type=map_type, n_actions_no_attack=8,
        get_obs_move_feats_size=lambda: 4, get_obs_own_feats_size=lambda: 5,
        get_obs_enemy_feats_size=lambda: (3, 6), get_obs_ally_feats_size=lambda: (2, 7),
    )  # fmt: skip
    layout = obs_layout(game)
    actions = [None] * 3 if first is None else [8, 9, 10]
    assert [e.action for e in layout if e.kind == "enemy"] == actions
    assert [e.start for e in layout if e.kind == "enemy"] == [4, 10, 16]
    assert all(e.action is None for e in layout if e.kind != "enemy")
