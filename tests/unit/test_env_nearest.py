"""Names from elsewhere are answered with how the same is said here."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

import env_registry
from env_registry import ENVIRONMENTS, EnvConfigError
from env_registry.registry import validate_options

TASKS: list[tuple[str, str, str]] = [  # environment, task, what is said
    ("smacv2", "10gen_terran", "nearest: terran_5_units"),
    ("smacv2", "10gen_zerg_epo", "nearest: zerg_5_units"),
    ("smacv2", "10gen_protos", "nearest: protoss_5_units"),
    ("smacv2", "terran_5v5", "nearest: terran_5_units"),
    ("smacv2", "zerg_10_11", "nearest: zerg_10_vs_11"),
    ("smacv2", "3_vs_4", "nearest: terran_3_vs_4, protoss_3_vs_4, zerg_3_vs_4"),
    ("smacv2", "smacv2_5_units", "nearest: terran_5_units, protoss_5_units, zerg_5_units"),
    ("smacv2", "MMM2", "env: smac, task: MMM2"),
    ("smac", "10gen_terran", "env: smacv2 draws teams, task: terran_5_units"),
    ("smac", "protoss_10_units", "env: smacv2 draws teams, task: protoss_10_units"),
    ("lbf", "8x8-2p-2f", 'nearest: "8x8-2p-2f-v'),
    ("lbf", "rware:rware-tiny-2ag-v2", "env: gymnasium, task: rware:rware-tiny-2ag-v2"),
    ("mamujoco", "HalfCheetah-6x1", 'nearest: "HalfCheetah_6x1"\n'),
    ("mamujoco", "halfcheetah6x1", 'nearest: "HalfCheetah_6x1"\n'),
    ("mamujoco", "HalfCheetah-v4", 'nearest: "HalfCheetah_6x1", "HalfCheetah_2x3"\n'),
    ("mamujoco", "2x3", 'nearest: "HalfCheetah_2x3", "Walker2d_2x3", "ManySegmentAnt_2x3"\n'),
    ("mamujoco", "Ant_3x3", '"Ant_8x1", "Ant_2x4"'),
]


@pytest.mark.parametrize(("name", "task", "words"), TASKS)
def test_a_task_that_does_not_exist(name: str, task: str, words: str) -> None:
    with pytest.raises(EnvConfigError) as caught:
        validate_options(name, {"task": task})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("task", "nearest"),
    [
        ("simple_spread", "mpe2.simple_spread_v3"),
        ("simple_spread_v2", "mpe2.simple_spread_v3"),
        ("mpe.simple_spread_v3", "mpe2.simple_spread_v3"),
        ("mpe2.simple_spread", "mpe2.simple_spread_v3"),
        ("pettingzoo.mpe.simple_spread_v3", "mpe2.simple_spread_v3"),
        ("pz-mpe-simple-spread-v3", "mpe2.simple_spread_v3"),
        ("mpe/simple_spread_v3", "mpe2.simple_spread_v3"),
        ("pistonball", "pettingzoo.butterfly.pistonball_v6"),
        ("butterfly.pistonball_v6", "pettingzoo.butterfly.pistonball_v6"),
        ("pettingzoo.sisl.multiwalker_v8", "pettingzoo.sisl.multiwalker_v9"),
    ],
)
def test_a_pettingzoo_name_without_its_family_or_version(task: str, nearest: str) -> None:
    if find_spec("mpe2") is None or find_spec("pettingzoo") is None:
        pytest.skip("needs the extra pettingzoo")
    with pytest.raises(EnvConfigError, match=f"nearest: {nearest}$"):
        validate_options("pettingzoo", {"task": task})


KEYS: list[tuple[str, str, str]] = [  # environment, key, what is said
    ("lbf", "sight", "2s-8x8-2p-2f-v2"),
    ("lbf", "players", "8x8-3p-2f-v2"),
    ("lbf", "max_food", "8x8-2p-3f-v2"),
    ("lbf", "field_size", "10x10-3p-3f-v2"),
    ("lbf", "force_coop", "8x8-2p-2f-coop-v2"),
    ("lbf", "time_limit", "max_episode_steps"),
    ("lbf", "key", "task: 8x8-2p-2f-v2"),
    ("lbf", "penality", "did you mean 'penalty'"),
    ("smacv2", "map_name", "task: terran_5_units"),
    ("smacv2", "n_units", "task: terran_5_vs_6"),
    ("smac", "map_name", "task: 3m"),
    ("smac", "max_episode_steps", "episode_limit"),
    ("mamujoco", "agent_conf", "task: HalfCheetah_6x1"),
    ("mamujoco", "episode_limit", "max_episode_steps"),
    ("pettingzoo", "max_cycles", "env_kwargs: {max_cycles: ...}"),
    ("pettingzoo", "wraper", "did you mean 'wrappers'"),
    ("gymnasium", "msg_bits", "env_kwargs: {msg_bits: ...}"),
    ("gymnasium", "key", "task: rware:rware-tiny-2ag-v2"),
    ("two_step", "game", "it takes none"),
]


@pytest.mark.parametrize(("name", "key", "words"), KEYS)
def test_a_key_that_does_not_exist(name: str, key: str, words: str) -> None:
    with pytest.raises(EnvConfigError, match=f"unknown key '{key}'") as caught:
        validate_options(name, {key: 2})
    assert words in str(caught.value)


def test_no_row_says_elsewhere_what_it_has_itself() -> None:
    for row in ENVIRONMENTS.values():
        assert not set(row.said) & set(row.options)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rware", "env: gymnasium, task: rware:rware-tiny-2ag-v2"),
        ("rware:rware-tiny-2ag-v2", "env: gymnasium, env_config: {task: rware:rware-tiny-2ag-v2}"),
        ("lbforaging", "env: lbf"),
        ("Foraging-8x8-2p-2f-v3", "env: lbf, env_config: {task: Foraging-8x8-2p-2f-v3}"),
        ("HalfCheetah_6x1", "env: mamujoco, env_config: {task: HalfCheetah_6x1}"),
        ("terran_5_units", "env: smacv2, env_config: {task: terran_5_units}"),
        ("3m", "env: smac, env_config: {task: 3m}"),
        ("mpe2.simple_spread_v3", "env: pettingzoo, env_config: {task: mpe2.simple_spread_v3}"),
        ("simple_spread", "env: pettingzoo, task: mpe2.simple_spread_v3"),
        ("sc2v2", "env: smacv2"),
        ("MPE", "env: pettingzoo"),
        ("jaxmarl-overcooked", "did you mean 'jaxmarl'"),
        ("overcooked", "env: jaxmarl, task: overcooked:cramped_room"),
        ("MPE_simple_spread_v3", "env: jaxmarl, env_config: {task: MPE_simple_spread_v3}"),
        ("SMAX", "did you mean 'smax'"),
        ("smac_v2", "did you mean 'smacv2'"),
        ("two-step", "did you mean 'two_step'"),
        ("", "valid: climbing"),
    ],
)
def test_an_environment_that_does_not_exist(name: Any, words: str) -> None:
    with pytest.raises(EnvConfigError, match="unknown environment") as caught:
        env_registry.validate(name)
    assert words in str(caught.value)


def test_lbforaging_s_full_id_is_a_task() -> None:
    validate_options("lbf", {"task": "lbforaging:Foraging-2s-8x8-2p-2f-coop-v3"})
