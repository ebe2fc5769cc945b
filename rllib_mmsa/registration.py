"""Registers the algorithms with Ray Tune by name, without importing them."""

from __future__ import annotations

from typing import Any

#: Names that a configuration file may give to ``run``.
ALGORITHM_NAMES = ("MMSA", "QMIX", "QPLEX", "VDN", "IndependentQ", "MAPPO", "IPPO")
#: What users call them elsewhere. (RLlib's IQL is another method: implicit Q-learning.)
OTHER_ALGORITHM_NAMES = {
    "IQL": "IndependentQ",
    "IDQN": "IndependentQ",
    "DQN": "IndependentQ",
    "DRQN": "IndependentQ",
    "independent": "IndependentQ",
    "Q-learning": "IndependentQ",
    "PPO": "IPPO",
}


def load_algorithm(name: str) -> type:
    """The class of an algorithm; imports RLlib and torch."""
    from rllib_mmsa.rllib import ALGORITHMS

    return ALGORITHMS[name]


class _Named:
    """Pickles as the name of an algorithm and unpickles as its class.

    Tune's registry keeps pickles and reads one when its name is used: until then nothing heavy
    is imported.
    """

    def __init__(self, name: str):
        self.name = name

    def __reduce__(self) -> tuple[Any, ...]:
        return load_algorithm, (self.name,)


def register() -> None:
    """Registers every algorithm under its name; may be called again."""
    from ray.tune.registry import TRAINABLE_CLASS, _global_registry

    for name in ALGORITHM_NAMES:
        # What tune.register_trainable does with a class, less its check that it is one.
        _global_registry.register(TRAINABLE_CLASS, name, _Named(name))
