"""Named sets of settings, and how ``preset`` sets them: what a user has set himself counts more.

``paper``: MMSA's equations and weights as section 4 prints them (``method/settings.py``).

``epymarl``: the settings that were tuned on Level-Based Foraging for the benchmark of EPyMARL
(Papoudakis, Christianos, Schaefer and Albrecht, "Benchmarking Multi-Agent Deep Reinforcement
Learning Algorithms in Cooperative Tasks", NeurIPS Datasets and Benchmarks, 2021; its appendix, with
parameter sharing, as repeated by others). What the appendix does not name is EPyMARL's own
(github.com/uoe-agents/epymarl, cbc38c0: ``src/config`` and ``src/learners/q_learner.py``).
docs/baselines.md says which repetitions, and what differs.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from rllib_mmsa.method.settings import PRESETS
from rllib_mmsa.rllib.strict import StrictConfig

if TYPE_CHECKING:
    from typing_extensions import Self

#: The unit in which the target networks are moved: one of these is set.
TARGET_UPDATES = ("target_update_episodes", "target_network_update_freq", "target_update_tau")

_EPYMARL: dict[str, Any] = {
    # The appendix's, the same for the three algorithms.
    "lr": 3e-4,
    "standardise_rewards": True,
    "epsilon": [[0, 1.0], [200_000, 0.05]],
    # EPyMARL's.
    "gamma": 0.99,
    "td_lambda": 0.0,
    "optim": "adam",
    "optim_eps": 1e-8,  # PyTorch's default; its `optim_eps` is not read
    "grad_clip": 10.0,
    "grad_clip_by": "global_norm",
    "double_q": True,
    "train_batch_episodes": 32,
    "replay_capacity_episodes": 5000,
    "learning_starts_episodes": 32,
    "updates_per_episode": 1.0,
    "observe_agent_id": True,
    "observe_last_action": False,
}
_SOFT = {"target_update_tau": 0.01}
#: What ``preset: epymarl`` sets. MMSA, which is not in that benchmark, has QMIX's.
EPYMARL_QMIX = {
    **_EPYMARL,
    **_SOFT,
    "hidden_dim": 64,
    "evaluation_epsilon": 0.05,
    "mixing_embed_dim": 32,
    "hypernet_embed_dim": 64,
}
EPYMARL_VDN = {**_EPYMARL, **_SOFT, "hidden_dim": 128, "evaluation_epsilon": 0.0}
EPYMARL_INDEPENDENT_Q = {
    **_EPYMARL,
    "target_update_episodes": 200,
    "hidden_dim": 128,
    "evaluation_epsilon": 0.05,
}
#: What ``preset: paper`` sets.
PAPER = PRESETS["paper"]
#: Presets of any algorithm; which of them one has is said by its configuration class.
NAMES = ("epymarl", "paper")


class PresetConfig(StrictConfig):
    """A configuration with ``preset``: a name of ``presets``.

    A setting that was set by the user keeps its value, whether it was set before the preset, with
    it or after it: in a call, a dictionary or as an attribute. Another preset, or None, puts back
    the defaults that the last one took the place of.
    """

    #: Name of a preset -> setting -> value.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init__(self, algo_class: type | None = None):
        super().__init__(algo_class=algo_class)
        self.preset: str | None = None
        self._chosen: frozenset[str] = frozenset()  # names of what was set after the constructor

    def __setattr__(self, key: str, value: Any) -> None:
        before = self.__dict__.get("preset")
        super().__setattr__(key, value)
        if not self.__dict__.get("_is_finished") or key.startswith("_"):
            return
        if key == "preset":
            self._take_preset(before)
            return
        self._chosen = self._chosen | {key}
        if before is not None and key in TARGET_UPDATES:
            self._take_preset(before)

    def update_from_dict(self, config_dict: dict[str, Any]) -> Self:
        """RLlib's. Tune hands over whole configurations, which know what was set in them."""
        super().update_from_dict(config_dict)
        if "_chosen" in config_dict:
            self._chosen = frozenset(config_dict["_chosen"])
            self._take_preset(None)  # it may have been one of a search
        return self

    def validate(self) -> None:
        """Checks the preset's name, and what RLlib checks.

        Raises:
            ValueError: the algorithm has no such preset.
        """
        if self.preset not in (None, *self.presets):
            raise ValueError(
                f"preset is {self.preset!r}; it must be one of {(None, *self.presets)} for "
                f"{self.algo_class.__name__}"
            )
        super().validate()

    def _take_preset(self, before: Any) -> None:
        """Sets what the preset sets and the user has not, in place of what ``before`` set."""
        values = self._preset_values(self.preset)
        gone = [name for name in self.presets.get(str(before), {}) if name not in values]
        defaults = vars(type(self)()) if gone else {}
        for name, value in {**{name: defaults[name] for name in gone}, **values}.items():
            if name not in self._chosen:
                super().__setattr__(name, copy.deepcopy(value))

    def _preset_values(self, preset: Any) -> dict[str, Any]:
        """A preset's settings; {} of one that there is not, such as a search space of Tune's."""
        values = dict(self.presets.get(preset, {})) if isinstance(preset, str) else {}
        # Soft updates of the targets would silently take the place of a number that was set.
        if any(name in self._chosen and getattr(self, name) for name in TARGET_UPDATES):
            values = {name: values[name] for name in values if name not in TARGET_UPDATES}
        return values
