"""Which numbers of smacv2's observations are of which unit.

Source: smacv2 `StarCraft2Env.get_obs_agent`: moves and terrain, enemies, allies, the unit itself,
the time. A unit that is dead or not seen shows zeros, and so does everything to a unit that died.
Source of the actions: `get_avail_agent_actions`: moves first, then one for each target.
"""

from __future__ import annotations

from typing import Any

from env_registry.contract.layout import Entity, Layout, in_a_row

#: Types of maps with medivacs, whose actions heal allies where other units' attack enemies.
WITH_HEALERS = ("MMM", "terran_gen")


def obs_layout(game: Any) -> Layout | None:
    """The enemies, the allies and the unit itself.

    Moves, terrain and time are of no unit, and left out.

    Args:
        game: smacv2's environment; its options and sizes are read.

    Returns:
        M enemies, N - 1 allies, and the unit itself where it observes itself; None where no units
        are observed (`obs_starcraft`). The attack on an enemy is that enemy's action, but where
        there may be medivacs.
    """
    if not game.obs_starcraft:
        return None
    layout: list[Entity] = []
    attack = None if game.map_type in WITH_HEALERS else game.n_actions_no_attack
    start = game.get_obs_move_feats_size()
    own = 1, game.get_obs_own_feats_size()
    counts = {"enemy": game.get_obs_enemy_feats_size(), "ally": game.get_obs_ally_feats_size()}
    for kind, (count, size) in {**counts, "self": own}.items():
        if size:
            action = attack if kind == "enemy" else None
            layout += in_a_row(kind, count, start, [0.0] * size, action)
        start += count * size
    return tuple(layout)
