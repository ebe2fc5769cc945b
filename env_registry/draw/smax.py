"""SMAX drawn from what its units observe, seen or foreseen.

Shape legend: N allied units, U units of both sides, D numbers that a unit observes, K types.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from env_registry.draw.shapes import draw_units

N_OTHER, N_SELF = 7, 4  # numbers of another unit and of oneself, before the types
THERE = 0.05  # health from which on a unit is drawn; one that is dead or not seen shows 0


def draw_observations(env: Any, obs: np.ndarray) -> np.ndarray:
    """Draws the map from unit lists: allies where they see themselves, enemies where they are seen.

    An enemy stands at the mean of where the allies that see it see it, each counted by the health
    that it sees; one that no ally sees is not drawn.

    Args:
        env: The package's environment; its sizes are read.
        obs: (N, D) as `env_registry.smax.spaces.obs_bounds` lists them; any numbers, such as a
            model's.

    Returns:
        (height, width, 3) uint8, RGB.
    """
    n_allies, kinds = env.num_allies, env.unit_type_bits
    size = np.array([env.map_width, env.map_height])
    others, own = np.split(obs, [-(N_SELF + kinds)], axis=1)
    others = others.reshape(n_allies, -1, N_OTHER + kinds)[:, n_allies - 1 :]  # the enemies
    own_types = own[:, N_SELF:].argmax(-1)
    places = own[:, 1:3] * size  # (N, 2)
    sight = np.asarray(env.unit_type_sight_ranges)[own_types]
    seen = others[..., 0] * (others[..., 0] > THERE) * (own[:, :1] > THERE)  # (N, enemies)
    total = seen.sum(0)
    share = seen / np.maximum(total, 1e-9)
    where = places[:, None] + others[..., 1:3] * sight[:, None, None]
    enemies = (share[..., None] * where).sum(0)
    enemy_types = (share[..., None] * others[..., N_OTHER:]).sum(0).argmax(-1)
    health = np.concatenate([own[:, 0], (share * others[..., 0]).sum(0)])
    health = np.where(health > THERE, np.clip(health, 0, 1), 0)
    radii = np.asarray(env.unit_type_radiuses)[np.concatenate([own_types, enemy_types])]
    positions = np.concatenate([places, enemies])
    return draw_units((env.map_width, env.map_height), positions, radii, health, n_allies)
