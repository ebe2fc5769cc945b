"""What is compared: environments with their settings, and algorithms with theirs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from benchmarks.protocol import BenchmarkError

#: Nothing but the measured parts runs, and every algorithm plays the same kind of episodes:
#: random ones, with the networks asked all the same.
MEASURED_SETTINGS: dict[str, Any] = {
    "evaluation_interval_env_steps": None,
    "epsilon": 1.0,
    "num_env_runners": 0,
    "num_envs_per_env_runner": 8,
    "train_batch_episodes": 32,
    "learning_starts_episodes": 32,
    "updates_per_episode": 1.0,
}


@dataclass(frozen=True)
class Environment:
    """A task to measure on.

    Attributes:
        env: registered name.
        title: for the tables.
        env_config: of the environment.
        settings: of the algorithm, as the task's tuned example has them.
        filled_steps: the replay starts with 40 episodes of so many random steps; None: with the
            episodes played. For games that random play ends much sooner than training will.
    """

    env: str
    title: str
    env_config: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    filled_steps: int | None = None


_SEQUENCES = {
    "normalise_observations": True,
    "max_seq_len": 50,
    "replay_burn_in": 10,
    "replay_capacity_episodes": 1000,
}
ENVIRONMENTS = {
    "lbf": Environment("lbf", "LBF 10x10-3p-3f-v3", {"task": "10x10-3p-3f-v3"}),
    "smax": Environment("smax", "SMAX 3m", {"task": "3m"}),
    "mamujoco": Environment(
        "mamujoco",
        "MAMuJoCo Hopper_3x1",
        {"task": "Hopper_3x1", "agent_obsk": 2, "n_actions": 5},
        _SEQUENCES,
        filled_steps=1000,
    ),
    "cheetah": Environment(
        "mamujoco",
        "MAMuJoCo HalfCheetah_6x1, 200 steps",
        {"task": "HalfCheetah_6x1", "agent_obsk": 2, "n_actions": 5, "max_episode_steps": 200},
        _SEQUENCES,
    ),
    "smacv2": Environment(
        "smacv2",
        "SMACv2 terran_5_units",
        {"task": "terran_5_units", "backend": "starcraft2"},
        {"num_envs_per_env_runner": 1},  # each is a game of its own
    ),
    "counter": Environment("counter", "counter (toy)", {"min_length": 9}),
}


@dataclass(frozen=True)
class Variant:
    """An algorithm under some settings; ``name`` is what the user wrote."""

    name: str
    algorithm: str
    settings: dict[str, Any] = field(default_factory=dict)


def assignment(text: str) -> tuple[str, Any]:
    """ "key=value" to (key, value), the value read as YAML.

    Raises:
        BenchmarkError: there is no "=".
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise BenchmarkError(f"{text!r} is not a setting; write key=value")
    return key.strip(), yaml.safe_load(value)


def parse_variant(text: str) -> Variant:
    """ "MMSA" or "MMSA:rollout_horizon=1;latent_dim=8"."""
    algorithm, _, settings = text.partition(":")
    given = dict(assignment(part) for part in settings.split(";") if part.strip())
    return Variant(text, algorithm, given)


def with_settings(variants: list[Variant], sets: list[str]) -> list[Variant]:
    """Adds "key=value" to all variants and "ALGORITHM:key=value" to those of one algorithm.

    A variant's own settings win.

    Raises:
        BenchmarkError: a setting is for an algorithm that is not measured.
    """
    for text in sets:
        algorithm, colon, rest = text.partition(":")
        only = algorithm if colon and "=" not in algorithm else None
        key, value = assignment(rest if only else text)
        if only and only not in {variant.algorithm for variant in variants}:
            raise BenchmarkError(f"{text!r} is for {only}, which is not measured")
        variants = [
            Variant(v.name, v.algorithm, {key: value, **v.settings})
            if only in (None, v.algorithm)
            else v
            for v in variants
        ]
    return variants
